from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta

import pytest
from django.db.models import QuerySet

from apps.catalog.models import Membership, Team
from apps.engine.models import Event
from apps.foundation.actor import Actor
from apps.foundation.clock import ManualClock, now, use_clock
from apps.foundation.errors import Conflict, DomainError, Forbidden, Invalid, NotFound
from apps.oncall.models import Layer, Override, RoleBinding, Rotation, RotationMember
from apps.oncall.operations import (
    add_member,
    add_override,
    bind_role,
    cancel_override,
    create_rotation,
    delete_rotation,
    end_member,
    unbind_role,
    update_layer,
    update_rotation,
)
from apps.oncall.queries import on_call_now, people_for_many, people_for_roles, roster, schedules_of
from apps.oncall.schedule import who_is_on
from apps.people.models import User
from tests.factories import actor, named, person, team

pytestmark = pytest.mark.django_db
SYSTEM = Actor.system()
HOUR, DAY, WEEK = timedelta(hours=1), timedelta(days=1), timedelta(days=7)


@pytest.fixture(autouse=True)
def clock() -> Iterator[ManualClock]:
    found = ManualClock(datetime(2026, 5, 6, 12, tzinfo=UTC))  # a Wednesday
    with use_clock(found):
        yield found


@pytest.fixture
def core() -> Team:
    return team("Core")


@pytest.fixture
def ana() -> User:
    return named("ana")


@pytest.fixture
def ben() -> User:
    return named("ben")


@pytest.fixture
def rotation(core: Team, ana: User, ben: User) -> Rotation:
    return create_rotation(core.pk, "core", "Core primary", member_ids=[ana.pk, ben.pk], actor=SYSTEM)


def layer_of(rotation: Rotation) -> Layer:
    return rotation.layers.get()


def members_of(rotation: Rotation) -> QuerySet[RotationMember]:
    return RotationMember.objects.filter(layer__rotation=rotation)


def on_call(rotation: Rotation, at: datetime | None = None) -> int | None:
    return who_is_on(schedules_of([rotation.pk])[rotation.pk], at or now())


def lead(of: Team) -> User:
    user = person("viewer")
    Membership.objects.create(team=of, user=user, role=Membership.Role.LEAD)
    return user


# --- rotations -----------------------------------------------------------------------------------------------------


def test_a_new_rotation_holds_at_once(rotation: Rotation, ana: User) -> None:
    assert layer_of(rotation).starts_on == date(2026, 5, 4)
    assert on_call(rotation) == ana.pk


def test_a_new_rotation_holds_at_once_on_its_own_weekday(core: Team, ana: User) -> None:
    made = create_rotation(
        core.pk, "x", "X", handoff_weekday=2, handoff_time=time(18), member_ids=[ana.pk], actor=SYSTEM
    )
    assert on_call(made) == ana.pk


def test_a_rotation_signs_its_history_and_is_told(rotation: Rotation) -> None:
    assert "create rotation" in rotation.history.get().history_change_reason
    assert Event.objects.get(kind="oncall.rotation_changed").subject_key == str(rotation.pk)


@pytest.mark.parametrize(
    "wrong",
    [
        {"time_zone": "Mars/Base"},
        {"time_zone": "../etc/passwd"},
        {"handoff_weekday": 7},
        {"starts_on": date(1, 1, 1)},
        {"slug": "no spaces"},
        {"name": ""},
    ],
)
def test_a_rotation_that_makes_no_sense_is_refused(core: Team, wrong: dict[str, object]) -> None:
    given = {"slug": "x", "name": "X", **wrong}
    with pytest.raises(Invalid) as refused:
        create_rotation(core.pk, actor=SYSTEM, **given)  # type: ignore[arg-type]  # wrong on purpose
    assert set(refused.value.fields) == set(wrong)


def test_a_slug_is_taken_once(rotation: Rotation) -> None:
    with pytest.raises(Conflict):
        create_rotation(rotation.team_id, "core", "Again", actor=SYSTEM)


def test_changing_a_rotation_to_what_it_is_changes_nothing(rotation: Rotation) -> None:
    update_rotation(rotation.pk, name=rotation.name, actor=SYSTEM)
    assert rotation.history.count() == 1


def test_a_new_handoff_holds_from_now_on(rotation: Rotation) -> None:
    changed = update_layer(layer_of(rotation).pk, handoff_weekday=3, time_zone="Asia/Tokyo", actor=SYSTEM)
    assert (changed.handoff_weekday, changed.time_zone) == (3, "Asia/Tokyo")
    assert changed.history.count() == 2


def test_a_rotation_that_a_role_means_is_not_deleted(rotation: Rotation) -> None:
    binding = bind_role("primary", rotation_id=rotation.pk, actor=SYSTEM)
    with pytest.raises(Conflict, match="primary"):
        delete_rotation(rotation.pk, actor=SYSTEM)
    unbind_role(binding.pk, actor=SYSTEM)
    delete_rotation(rotation.pk, actor=SYSTEM)
    with pytest.raises(NotFound):
        delete_rotation(rotation.pk, actor=SYSTEM)


# --- members -------------------------------------------------------------------------------------------------------


def test_a_new_member_comes_last_and_only_once(rotation: Rotation) -> None:
    cat = named("cat")
    member = add_member(layer_of(rotation).pk, cat.pk, actor=SYSTEM)
    assert member.position == 2
    assert add_member(layer_of(rotation).pk, cat.pk, actor=SYSTEM) == member


def test_a_member_who_ends_on_duty_hands_over(rotation: Rotation, ana: User, ben: User, clock: ManualClock) -> None:
    clock.advance(HOUR)
    end_member(members_of(rotation).get(user=ana).pk, actor=SYSTEM)
    assert on_call(rotation) == ben.pk


def test_ending_again_changes_nothing(rotation: Rotation, ana: User, clock: ManualClock) -> None:
    clock.advance(HOUR)
    member = end_member(members_of(rotation).get(user=ana).pk, actor=SYSTEM)
    assert member is not None
    clock.advance(HOUR)
    assert end_member(member.pk, actor=SYSTEM) == member
    assert member.history.count() == 2


def test_a_place_that_has_not_begun_is_removed(rotation: Rotation) -> None:
    member = add_member(layer_of(rotation).pk, named("cat").pk, effective_from=now() + WEEK, actor=SYSTEM)
    assert end_member(member.pk, actor=SYSTEM) is None
    assert not RotationMember.objects.filter(pk=member.pk).exists()


def test_people_can_not_change_who_was_on_call(rotation: Rotation) -> None:
    manager, cat = actor(person("manager")), named("cat")
    with pytest.raises(Invalid, match="past"):
        add_member(layer_of(rotation).pk, cat.pk, effective_from=now() - DAY, actor=manager)
    with pytest.raises(Invalid, match="past"):
        add_override(rotation.pk, cat.pk, now() - DAY, now() + DAY, actor=manager)


def test_only_active_people_take_turns(rotation: Rotation) -> None:
    robot = person(kind=User.Kind.SERVICE)
    with pytest.raises(NotFound, match="active person"):
        add_member(layer_of(rotation).pk, robot.pk, actor=SYSTEM)


# --- overrides -----------------------------------------------------------------------------------------------------


def test_an_override_holds_until_it_is_cancelled(rotation: Rotation, ana: User, clock: ManualClock) -> None:
    cat = named("cat")
    override = add_override(rotation.pk, cat.pk, now(), now() + DAY, actor=SYSTEM)
    assert on_call(rotation) == cat.pk
    clock.advance(HOUR)
    cancel_override(override.pk, actor=SYSTEM)
    assert on_call(rotation) == ana.pk
    assert on_call(rotation, now() - timedelta(minutes=1)) == cat.pk


def test_the_same_override_again_changes_nothing(rotation: Rotation) -> None:
    cat = named("cat")
    first = add_override(rotation.pk, cat.pk, now(), now() + DAY, actor=SYSTEM)
    assert add_override(rotation.pk, cat.pk, now(), now() + DAY, actor=SYSTEM) == first
    assert Override.objects.count() == 1


def test_cancelling_again_changes_nothing_but_what_is_over_stays(rotation: Rotation, clock: ManualClock) -> None:
    cat = named("cat")
    override = add_override(rotation.pk, cat.pk, now() + HOUR, now() + DAY, actor=SYSTEM)
    done = add_override(rotation.pk, cat.pk, now(), now() + HOUR, actor=SYSTEM)
    assert cancel_override(override.pk, actor=SYSTEM) == cancel_override(override.pk, actor=SYSTEM)
    clock.advance(DAY)
    with pytest.raises(Conflict, match="over already"):
        cancel_override(done.pk, actor=SYSTEM)


@pytest.mark.parametrize(("begins", "ends"), [(0, 0), (2, 1), (-3, -2), (0, 367 * 24)])
def test_an_interval_that_makes_no_sense_is_refused(rotation: Rotation, begins: int, ends: int) -> None:
    cat, manager = named("cat"), actor(person("manager"))
    with pytest.raises(Invalid):
        add_override(rotation.pk, cat.pk, now() + begins * HOUR, now() + ends * HOUR, actor=manager)


# --- who may -------------------------------------------------------------------------------------------------------


def test_managers_and_leads_edit_rotations_and_nobody_else(rotation: Rotation, core: Team) -> None:
    update_rotation(rotation.pk, name="1", actor=actor(person("manager")))
    update_rotation(rotation.pk, name="2", actor=actor(lead(core)))
    for user in (lead(team("Other")), person("responder"), person("commander"), person("auditor"), person()):
        with pytest.raises(Forbidden):
            update_rotation(rotation.pk, name="3", actor=actor(user))


def test_responders_cover_in_rotations_of_their_own_team(rotation: Rotation, core: Team, ben: User) -> None:
    mine = person("responder")
    Membership.objects.create(team=core, user=mine)
    assert add_override(rotation.pk, ben.pk, now(), now() + DAY, actor=actor(mine)).user == ben


def test_responders_of_other_teams_only_put_themselves_on(rotation: Rotation, ben: User) -> None:
    other = person("responder")
    with pytest.raises(Forbidden, match="own teams"):
        add_override(rotation.pk, ben.pk, now(), now() + DAY, actor=actor(other))
    override = add_override(rotation.pk, other.pk, now(), now() + DAY, actor=actor(other))
    assert cancel_override(override.pk, actor=actor(other)).cancelled_at is not None


@pytest.mark.parametrize("group", ["viewer", "auditor", "approver"])
def test_readers_cover_nothing(rotation: Rotation, core: Team, group: str) -> None:
    user = person(group)
    Membership.objects.create(team=core, user=user)
    with pytest.raises(Forbidden):
        add_override(rotation.pk, user.pk, now(), now() + DAY, actor=actor(user))


def test_a_lead_binds_roles_of_their_team_only(rotation: Rotation, core: Team) -> None:
    chief = actor(lead(core))
    bind_role("primary", team_id=core.pk, rotation_id=rotation.pk, actor=chief)
    with pytest.raises(Forbidden):
        bind_role("primary", rotation_id=rotation.pk, actor=chief)


# --- roles ---------------------------------------------------------------------------------------------------------


def test_a_role_is_bound_to_one_thing_at_a_time(rotation: Rotation, ana: User) -> None:
    first = bind_role("primary", rotation_id=rotation.pk, actor=SYSTEM)
    second = bind_role("primary", user_id=ana.pk, actor=SYSTEM)
    assert first.pk == second.pk
    assert bind_role("primary", user_id=ana.pk, actor=SYSTEM).history.count() == 2
    for wrong in ({}, {"rotation_id": rotation.pk, "user_id": ana.pk}):
        with pytest.raises(DomainError):
            bind_role("primary", actor=SYSTEM, **wrong)


def test_the_binding_of_the_team_comes_first_then_the_one_for_all(rotation: Rotation, core: Team, ben: User) -> None:
    RoleBinding.objects.create(role="primary", user=ben)
    other = team("Other")
    assert people_for_roles(core.pk, ["primary", "dba"], now()) == {"primary": [ben.pk], "dba": []}
    RoleBinding.objects.create(role="primary", team=core, rotation=rotation)
    found = people_for_many([(core.pk, "primary"), (other.pk, "primary"), (None, "primary")], now())
    first = members_of(rotation).order_by("position")[0].user_id
    assert found == {(core.pk, "primary"): [first], (other.pk, "primary"): [ben.pk], (None, "primary"): [ben.pk]}


def test_a_closed_account_answers_for_nothing(core: Team, ana: User) -> None:
    RoleBinding.objects.create(role="primary", user=ana)
    ana.is_active = False
    ana.save()
    assert people_for_roles(core.pk, ["primary"], now()) == {"primary": []}


def test_who_answers_for_many_costs_seven_queries(
    rotation: Rotation, core: Team, django_assert_num_queries: object
) -> None:
    RoleBinding.objects.create(role="primary", team=core, rotation=rotation)
    pairs = [(team(f"T{number}").pk, "primary") for number in range(20)] + [(core.pk, "primary")]
    with django_assert_num_queries(7):  # type: ignore[operator]  # pytest-django's fixture
        found = roster(pairs, since=now())
        assert all(found.people(core.pk, "primary", now() + week * WEEK) for week in range(3))


def test_on_call_now_says_until_when_and_who_follows(rotation: Rotation, ana: User, ben: User) -> None:
    (found,) = on_call_now([rotation])
    assert (found.user, found.until, found.next_user) == (ana, datetime(2026, 5, 11, 9, tzinfo=UTC), ben)
