"""Layers, orders of people, pauses, coverage, holidays, and what is wrong with a rotation."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from apps.catalog.models import Membership, Team
from apps.foundation.actor import Actor
from apps.foundation.clock import ManualClock, now
from apps.foundation.errors import Conflict, Forbidden, Invalid, NotFound
from apps.oncall.models import HolidayCalendar, Pause, Rotation
from apps.oncall.operations import (
    add_coverage,
    add_layer,
    add_override,
    bind_role,
    cancel_coverage,
    create_holiday_calendar,
    create_rotation,
    delete_holiday_calendar,
    delete_layer,
    pause,
    resume,
    set_members,
    update_holiday_calendar,
    update_layer,
)
from apps.oncall.queries import holidays_of_year, on_call_now, people_for_roles, schedules_of, warnings_of
from apps.oncall.schedule import people_on, who_is_on
from apps.people.models import ContactPoint, User
from tests.factories import actor, named, person

pytestmark = pytest.mark.django_db
SYSTEM = Actor.system()
HOUR, DAY, WEEK = timedelta(hours=1), timedelta(days=1), timedelta(days=7)
OFFICE = [{"weekdays": [0, 1, 2, 3, 4], "starts": "09:00", "ends": "17:00"}]


def on_at(rotation: Rotation, at: datetime) -> list[int]:
    return people_on(schedules_of([rotation.pk])[rotation.pk], at)


# --- layers --------------------------------------------------------------------------------------------------------


def test_a_higher_layer_wins_where_it_has_somebody(weekly: Rotation, ana: User, cat: User) -> None:
    add_layer(weekly.pk, "Office", restrictions=OFFICE, member_ids=[cat.pk], actor=SYSTEM)
    on = [on_at(weekly, datetime(2026, 5, 6, hour, tzinfo=UTC)) for hour in (13, 16, 17, 23)]
    assert on == [[cat.pk], [cat.pk], [ana.pk], [ana.pk]]


def test_the_sun_is_followed_by_layers_in_their_zones(
    clock: ManualClock, core: Team, ana: User, ben: User, cat: User
) -> None:
    day = [{"weekdays": list(range(7)), "starts": "06:00", "ends": "14:00"}]
    zones = {"America/New_York": ana, "Europe/Berlin": ben, "Asia/Tokyo": cat}
    rotation = create_rotation(
        core.pk, "sun", "Sun", time_zone="America/New_York", restrictions=day, member_ids=[ana.pk], actor=SYSTEM
    )
    for zone in ("Europe/Berlin", "Asia/Tokyo"):
        add_layer(rotation.pk, zone, time_zone=zone, restrictions=day, member_ids=[zones[zone].pk], actor=SYSTEM)
    on = [on_at(rotation, datetime(2026, 5, 7, hour, tzinfo=UTC)) for hour in (1, 8, 15)]
    assert on == [[cat.pk], [ben.pk], [ana.pk]]


@pytest.mark.parametrize(
    ("fields", "ends"),
    [
        ({"cadence": "hourly", "every": 8, "handoff_time": time(8)}, datetime(2026, 5, 6, 16, tzinfo=UTC)),
        ({"cadence": "daily"}, datetime(2026, 5, 7, 9, tzinfo=UTC)),
        ({"cadence": "weekly", "every": 2}, datetime(2026, 5, 18, 9, tzinfo=UTC)),
        ({"cadence": "monthly", "handoff_day": 31}, datetime(2026, 5, 31, 9, tzinfo=UTC)),
    ],
)
def test_each_cadence_hands_over_when_it_should(  # noqa: PLR0917  # fixtures and parameters
    clock: ManualClock, core: Team, ana: User, ben: User, fields: dict[str, object], ends: datetime
) -> None:
    made = create_rotation(core.pk, "x", "X", member_ids=[ana.pk, ben.pk], actor=SYSTEM, **fields)
    (found,) = on_call_now([made])
    assert found.until == ends


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"time_zone": "Mars/Base"}, "time_zone"),
        ({"every": 0}, "every"),
        ({"handoff_day": 32}, "handoff_day"),
        ({"cadence": "yearly"}, "cadence"),
        ({"restrictions": [{"weekdays": [7], "starts": "09:00", "ends": "17:00"}]}, "restrictions"),
        ({"restrictions": [{"starts": "25:00"}]}, "restrictions"),
        ({"holiday_rule": "skip"}, "holiday_calendar"),
    ],
)
def test_a_layer_that_makes_no_sense_is_refused(weekly: Rotation, wrong: dict[str, object], field: str) -> None:
    with pytest.raises(Invalid) as refused:
        update_layer(weekly.layers.get().pk, actor=SYSTEM, **wrong)
    assert list(refused.value.fields) == [field]


def test_the_same_layer_again_changes_nothing_and_the_last_one_stays(weekly: Rotation) -> None:
    layer = weekly.layers.get()
    update_layer(layer.pk, cadence="weekly", handoff_time=time(9), restrictions=[], actor=SYSTEM)
    assert layer.history.count() == 1
    with pytest.raises(Conflict, match="at least one layer"):
        delete_layer(layer.pk, actor=SYSTEM)
    with pytest.raises(Conflict, match="of that name"):
        add_layer(weekly.pk, "Main", actor=SYSTEM)


def test_only_editors_build(weekly: Rotation, core: Team, ana: User) -> None:
    lead = person("viewer")
    Membership.objects.create(team=core, user=lead, role=Membership.Role.LEAD)
    add_layer(weekly.pk, "By the lead", actor=actor(lead))
    for verb in (
        lambda: add_layer(weekly.pk, "X", actor=actor(ana)),
        lambda: set_members(weekly.layers.first().pk, [ana.pk], actor=actor(ana)),  # type: ignore[union-attr]  # there
        lambda: pause(weekly.pk, actor=actor(ana)),
        lambda: create_holiday_calendar("x", "X", actor=actor(lead)),
    ):
        with pytest.raises(Forbidden):
            verb()


# --- people in order -----------------------------------------------------------------------------------------------


def test_a_new_order_begins_with_its_first_at_the_next_handoff(
    weekly: Rotation, ana: User, ben: User, cat: User
) -> None:
    set_members(weekly.layers.get().pk, [cat.pk, ana.pk, ben.pk], actor=SYSTEM)
    handoff = datetime(2026, 5, 11, 9, tzinfo=UTC)
    on = [on_at(weekly, at) for at in (now(), handoff - HOUR, handoff, handoff + WEEK, handoff + 2 * WEEK)]
    assert on == [[ana.pk], [ana.pk], [cat.pk], [ana.pk], [ben.pk]]


def test_the_same_order_again_changes_nothing(weekly: Rotation, ana: User, ben: User) -> None:
    layer = weekly.layers.get()
    set_members(layer.pk, [ana.pk, ben.pk], actor=SYSTEM)
    assert layer.members.count() == 2


def test_the_first_people_of_a_layer_are_on_at_once(clock: ManualClock, core: Team, ana: User) -> None:
    empty = create_rotation(core.pk, "x", "X", actor=SYSTEM)
    set_members(empty.layers.get().pk, [ana.pk], actor=SYSTEM)
    assert on_at(empty, now()) == [ana.pk]


# --- pauses --------------------------------------------------------------------------------------------------------


def test_who_pauses_is_skipped_and_comes_back_in_their_place(
    weekly: Rotation, ana: User, ben: User, clock: ManualClock
) -> None:
    made = pause(weekly.pk, user_id=ana.pk, ends_at=now() + 8 * DAY, actor=SYSTEM)
    assert pause(weekly.pk, user_id=ana.pk, ends_at=now() + 8 * DAY, actor=SYSTEM) == made
    on = [on_at(weekly, datetime(2026, 5, day, 10, tzinfo=UTC)) for day in (7, 12, 19, 26)]
    assert on == [[ben.pk], [ben.pk], [ana.pk], [ben.pk]]


def test_a_paused_rotation_has_nobody_but_covers_and_keeps_its_order(
    weekly: Rotation, ben: User, cat: User, clock: ManualClock
) -> None:
    clock.advance(HOUR)
    made = pause(weekly.pk, actor=SYSTEM)
    add_override(weekly.pk, cat.pk, now() + HOUR, now() + 2 * HOUR, actor=SYSTEM)
    assert (on_at(weekly, now()), on_at(weekly, now() + HOUR)) == ([], [cat.pk])
    clock.advance(DAY)
    resume(made.pk, actor=SYSTEM)
    assert on_at(weekly, now()) == [ben.pk]


def test_a_pause_that_overlaps_or_is_of_a_stranger_is_refused(weekly: Rotation, ana: User, cat: User) -> None:
    pause(weekly.pk, user_id=ana.pk, actor=SYSTEM)
    with pytest.raises(Conflict, match="already"):
        pause(weekly.pk, user_id=ana.pk, starts_at=now() + DAY, actor=SYSTEM)
    with pytest.raises(Invalid, match="no turns"):
        pause(weekly.pk, user_id=cat.pk, actor=SYSTEM)


def test_a_pause_to_come_is_removed(weekly: Rotation) -> None:
    made = pause(weekly.pk, starts_at=now() + DAY, actor=SYSTEM)
    assert resume(made.pk, actor=SYSTEM) is None
    assert not Pause.objects.exists()


# --- coverage and covers for one person ------------------------------------------------------------------------------


def test_extra_people_are_paged_besides(weekly: Rotation, core: Team, ana: User, ben: User, cat: User) -> None:
    bind_role("primary", team_id=core.pk, rotation_id=weekly.pk, actor=SYSTEM)
    add_coverage(weekly.pk, [cat.pk, ben.pk], now(), now() + DAY, reason="season 3", actor=SYSTEM)
    assert people_for_roles(core.pk, ["primary"], now())["primary"] == [ana.pk, cat.pk, ben.pk]
    (found,) = on_call_now([weekly])
    assert (found.user, found.also) == (ana, [cat, ben])
    assert people_for_roles(core.pk, ["primary"], now() + DAY)["primary"] == [ana.pk]


def test_coverage_again_changes_nothing_and_is_cancelled_one_by_one(
    weekly: Rotation, ben: User, cat: User, ana: User, clock: ManualClock
) -> None:
    first, second = add_coverage(weekly.pk, [ben.pk, cat.pk], now(), now() + DAY, actor=SYSTEM)
    assert add_coverage(weekly.pk, [ben.pk, cat.pk], now(), now() + DAY, actor=SYSTEM) == [first, second]
    clock.advance(HOUR)
    cancel_coverage(first.pk, actor=actor(ben))
    assert on_at(weekly, now()) == [ana.pk, cat.pk]
    with pytest.raises(Forbidden):
        cancel_coverage(second.pk, actor=actor(ben))


def test_a_cover_for_one_person_holds_only_where_they_would_be_on(
    weekly: Rotation, ana: User, ben: User, cat: User
) -> None:
    add_override(weekly.pk, cat.pk, now(), now() + 2 * WEEK, replaces_id=ben.pk, actor=SYSTEM)
    on = [on_at(weekly, datetime(2026, 5, day, 10, tzinfo=UTC)) for day in (7, 12, 19)]
    assert on == [[ana.pk], [cat.pk], [ana.pk]]


def test_a_cover_that_would_undo_another_is_refused_and_names_it(
    weekly: Rotation, ana: User, ben: User, cat: User
) -> None:
    standing = add_override(weekly.pk, cat.pk, now(), now() + DAY, replaces_id=ana.pk, actor=SYSTEM)
    for replaces in (None, ana.pk):
        with pytest.raises(Conflict, match="Cat covers already") as refused:
            add_override(weekly.pk, ben.pk, now() + HOUR, now() + 2 * DAY, replaces_id=replaces, actor=SYSTEM)
        assert refused.value.extra["override"] == standing.pk
    add_override(weekly.pk, ben.pk, now() + HOUR, now() + 2 * HOUR, replaces_id=cat.pk, actor=SYSTEM)
    assert on_at(weekly, now() + HOUR) == [ben.pk]


# --- holidays ------------------------------------------------------------------------------------------------------


def test_a_layer_skips_holidays_and_another_works_on_them_only(
    clock: ManualClock, core: Team, ana: User, ben: User
) -> None:
    calendar = create_holiday_calendar(
        "by", "Bavaria", country="de", subdivision="BY", own_days=["2026-12-24"], actor=SYSTEM
    )
    rotation = create_rotation(
        core.pk, "x", "X", time_zone="Europe/Berlin", member_ids=[ana.pk],
        holiday_calendar_id=calendar.pk, holiday_rule="skip", actor=SYSTEM,
    )  # fmt: skip
    days = [datetime(2026, 12, day, 12, tzinfo=UTC) for day in (23, 24, 25, 27)]
    assert [on_at(rotation, day) for day in days] == [[ana.pk], [], [], [ana.pk]]
    add_layer(
        rotation.pk, "Feasts", time_zone="Europe/Berlin", member_ids=[ben.pk],
        holiday_calendar_id=calendar.pk, holiday_rule="only", actor=SYSTEM,
    )  # fmt: skip
    assert [on_at(rotation, day) for day in days] == [[ana.pk], [ben.pk], [ben.pk], [ana.pk]]


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"country": "XX"}, "country"),
        ({"country": "DE", "subdivision": "ZZ"}, "subdivision"),
        ({"subdivision": "BY"}, "subdivision"),
        ({"own_days": ["24.12."]}, "own_days"),
    ],
)
def test_a_calendar_that_makes_no_sense_is_refused(wrong: dict[str, object], field: str) -> None:
    with pytest.raises(Invalid) as refused:
        create_holiday_calendar("x", "X", actor=SYSTEM, **wrong)  # type: ignore[arg-type]  # wrong on purpose
    assert list(refused.value.fields) == [field]


def test_a_calendar_in_use_is_not_deleted(weekly: Rotation) -> None:
    calendar = create_holiday_calendar("own", "Our days", own_days=[date(2026, 5, 7)], actor=SYSTEM)
    update_layer(weekly.layers.get().pk, holiday_calendar_id=calendar.pk, holiday_rule="skip", actor=SYSTEM)
    with pytest.raises(Conflict, match="heeds"):
        delete_holiday_calendar(calendar.pk, actor=SYSTEM)
    update_holiday_calendar(calendar.pk, own_days=["2026-05-08"], actor=SYSTEM)
    assert holidays_of_year(HolidayCalendar.objects.get(), 2026) == [date(2026, 5, 8)]
    assert who_is_on(schedules_of([weekly.pk])[weekly.pk], datetime(2026, 5, 8, 12, tzinfo=UTC)) is None


# --- what is wrong -------------------------------------------------------------------------------------------------


def test_a_rotation_without_members_is_told_and_no_role_means_it(clock: ManualClock, core: Team) -> None:
    empty = create_rotation(core.pk, "x", "X", actor=SYSTEM)
    assert warnings_of([empty])[empty.pk] == ["The layer Main has no members: it puts nobody on call."]
    with pytest.raises(Conflict, match="no members"):
        bind_role("primary", rotation_id=empty.pk, actor=SYSTEM)


def test_a_member_whom_no_page_reaches_is_told(weekly: Rotation, ana: User, ben: User) -> None:
    ContactPoint.objects.create(user=ana, kind="email", address="a@example.com", state="verified", verified_at=now())
    ContactPoint.objects.create(user=ben, kind="email", address="b@example.com")
    (sentence,) = warnings_of([weekly])[weekly.pk]
    assert sentence.startswith("Ben has no verified contact point")


def test_warnings_cost_the_same_for_many(weekly: Rotation, core: Team) -> None:
    with CaptureQueriesContext(connection) as one:
        warnings_of([weekly])
    others = [
        create_rotation(core.pk, f"r{n}", f"R{n}", member_ids=[named(f"p{n}").pk], actor=SYSTEM) for n in range(5)
    ]
    with CaptureQueriesContext(connection) as many:
        assert all(warnings_of([weekly, *others]).values())
    assert len(many) == len(one)


def test_a_layer_that_is_not_there_is_not_found() -> None:
    for verb in (update_layer, delete_layer):
        with pytest.raises(NotFound):
            verb(10**6, actor=SYSTEM)


# --- the documents -------------------------------------------------------------------------------------------------


def test_document_e_has_weekly_engineers_and_a_monthly_manager_in_business_hours(
    clock: ManualClock, core: Team, ana: User, ben: User, cat: User
) -> None:
    for role, person_on in (("primary", ana), ("secondary", ben)):
        rotation = create_rotation(core.pk, role, role, member_ids=[person_on.pk], actor=SYSTEM)
        bind_role(role, team_id=core.pk, rotation_id=rotation.pk, actor=SYSTEM)
    managers = create_rotation(
        core.pk, "managers", "Managers", cadence="monthly", restrictions=OFFICE, member_ids=[cat.pk], actor=SYSTEM
    )
    bind_role("manager", team_id=core.pk, rotation_id=managers.pk, actor=SYSTEM)
    roles = ["primary", "secondary", "manager"]
    assert people_for_roles(core.pk, roles, now()) == {"primary": [ana.pk], "secondary": [ben.pk], "manager": [cat.pk]}
    assert people_for_roles(core.pk, roles, now() + 9 * HOUR)["manager"] == []
