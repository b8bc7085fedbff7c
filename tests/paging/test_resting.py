"""Snooze, maintenance, an answer that is forgotten or taken back, and several people who must answer."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from apps.engine.sweep import fire_timers
from apps.foundation.errors import Conflict, Forbidden, Invalid
from apps.paging import registry
from apps.paging.models import Acknowledgement, EscalationRun, MaintenanceWindow, Snooze
from apps.paging.operations import (
    acknowledge,
    escalate_now,
    mark_condition,
    move_maintenance_end,
    plan_maintenance,
    restart,
    snooze,
    start_escalations,
    stop,
    unacknowledge,
    unsnooze,
)
from apps.paging.operations.resting import next_working_hours
from apps.paging.policy import WorkingHours
from apps.policies.models import PolicyVersion
from tests.factories import actor, person, service
from tests.paging.conftest import MANAGEMENT, SYSTEM, World, level, path_pack

pytestmark = pytest.mark.django_db
State = EscalationRun.State


def maintain(world: World, hours: float = 1, **of: int) -> MaintenanceWindow:
    at = world.clock()
    ends_at = at + timedelta(hours=hours)
    return plan_maintenance(starts_at=at, ends_at=ends_at, reason="upgrade", actor=SYSTEM, **of)


# --- snooze


def test_a_snooze_pages_nobody_until_it_ends_and_then_begins_with_the_first_level(world: World) -> None:
    subject = world.start()
    snooze(subject, until=world.clock() + timedelta(hours=1), reason="the vendor looks", actor=SYSTEM)
    assert [page.state for page in world.pages(subject)] == ["closed"]
    world.wait(minutes=59)
    assert world.paged(subject) == [("ana", 0)]
    world.wait(minutes=1)
    assert world.paged(subject) == [("ana", 0), ("ana", 3600)]
    world.wait(minutes=5)
    assert world.paged(subject)[-1] == ("ben", 3900)
    assert [row.payload["after"] for row in world.events(subject, "resumed")] == ["snooze"]
    assert Snooze.objects.get().ended_at is not None


def test_snoozing_again_moves_the_end_and_the_first_timer_wakes_nobody(world: World) -> None:
    subject = world.start()
    for hours in (1, 2):
        snooze(subject, until=world.clock() + timedelta(hours=hours), actor=SYSTEM)
    world.wait(hours=1)
    assert world.run(subject).state == State.SNOOZED
    world.wait(hours=1)
    assert world.paged(subject) == [("ana", 0), ("ana", 7200)]
    assert Snooze.objects.filter(ended_at=None).count() == 0


def test_ending_a_snooze_by_hand_pages_at_once_and_again_changes_nothing(world: World) -> None:
    subject = world.start()
    snooze(subject, until=world.clock() + timedelta(hours=1), actor=SYSTEM)
    world.wait(minutes=10)
    unsnooze(subject, actor=SYSTEM)
    unsnooze(subject, actor=SYSTEM)
    world.wait(seconds=0)
    assert world.paged(subject) == [("ana", 0), ("ana", 600)]


@pytest.mark.parametrize("how", ["stop", "acknowledge", "restart"])
def test_what_ends_or_restarts_escalation_ends_the_snooze(world: World, how: str) -> None:
    subject = world.start()
    snooze(subject, until=world.clock() + timedelta(hours=1), actor=SYSTEM)
    if how == "stop":
        stop(subject, reason="resolved", actor=SYSTEM)
    elif how == "acknowledge":
        acknowledge(subject, via="web", actor=actor(world.people["ana"]))
    else:
        restart(world.item(subject), actor=SYSTEM)
    assert not Snooze.objects.filter(ended_at=None).exists()
    world.wait(hours=3)
    assert not world.events(subject, "resumed")


def test_a_snooze_has_an_end_in_the_future_and_within_the_packs_limit(world: World) -> None:
    subject = world.start()
    for until in (world.clock(), world.clock() + timedelta(days=4), "tomorrow"):
        with pytest.raises(Invalid):
            snooze(subject, until=until, actor=SYSTEM)
    stop(subject, reason="resolved", actor=SYSTEM)
    with pytest.raises(Conflict):
        snooze(subject, until=world.clock() + timedelta(hours=1), actor=SYSTEM)


def test_only_who_may_respond_snoozes(world: World) -> None:
    with pytest.raises(Forbidden):
        snooze(world.start(), until=world.clock() + timedelta(hours=1), actor=actor(person("responder")))


@pytest.mark.parametrize(
    ("at", "zone", "expected"),
    [
        ("2026-05-04T06:59", "Europe/Berlin", "2026-05-05T07:00"),  # Monday 08:59 there is before nine … see below
        ("2026-05-08T20:00", "America/Chicago", "2026-05-11T14:00"),  # Friday evening: Monday at nine
        ("2026-03-28T12:00", "Europe/Berlin", "2026-03-30T07:00"),  # over the change of clocks
    ],
)
def test_working_hours_begin_at_nine_on_the_persons_clock(at: str, zone: str, expected: str) -> None:
    hours = WorkingHours.model_validate({"from": "09:00", "to": "17:00"})
    moment = datetime.fromisoformat(at).replace(tzinfo=UTC)
    if expected == "2026-05-05T07:00":
        assert next_working_hours(hours, zone, moment) == datetime(2026, 5, 4, 7, tzinfo=UTC)
        moment += timedelta(minutes=1)
    assert next_working_hours(hours, zone, moment) == datetime.fromisoformat(expected).replace(tzinfo=UTC)


# --- maintenance


def test_what_opens_in_a_window_pages_at_its_end_if_it_is_still_open(world: World) -> None:
    maintain(world, team_id=world.team.pk)
    subject, over = world.start(), world.start()
    assert (world.paged(subject), world.run(subject).state) == ([], State.HELD)
    assert world.events(subject, "held")[0].payload["reason"] == "upgrade"
    stop(over, reason="resolved", actor=SYSTEM)
    world.wait(minutes=59)
    assert world.paged(subject) == []
    world.wait(minutes=1)
    assert (world.paged(subject), world.paged(over)) == ([("ana", 3600)], [])


def test_a_window_that_ends_early_pages_then(world: World) -> None:
    window = maintain(world)
    subject = world.start()
    world.wait(minutes=10)
    move_maintenance_end(window.pk, actor=SYSTEM)
    move_maintenance_end(window.pk, actor=SYSTEM)
    world.wait(seconds=0)
    assert world.paged(subject) == [("ana", 600)]


def test_a_window_that_ends_later_holds_on(world: World) -> None:
    window = maintain(world)
    subject = world.start()
    move_maintenance_end(window.pk, window.ends_at + timedelta(hours=1), actor=SYSTEM)
    world.wait(hours=1)
    assert world.paged(subject) == []
    world.wait(hours=1)
    assert world.paged(subject) == [("ana", 7200)]


def test_what_also_affects_a_service_outside_of_the_window_pages(world: World) -> None:
    store, login = service("Store"), service("Login")
    maintain(world, service_id=store.pk)
    inside = restart_with(world, store.pk)
    both = restart_with(world, store.pk, login.pk)
    assert (world.paged(inside), world.paged(both)) == ([], [("ana", 0)])


def restart_with(world: World, *service_ids: int):
    from dataclasses import replace

    from apps.paging.operations import start_escalations

    item = replace(world.item(), service_ids=service_ids)
    start_escalations([item], actor=SYSTEM)
    return item.subject


def test_what_was_open_before_the_window_goes_on(world: World) -> None:
    subject = world.start()
    maintain(world)
    world.wait(minutes=5)
    assert world.paged(subject) == [("ana", 0), ("ben", 300)]


def test_paging_all_the_same_ends_the_hold(world: World) -> None:
    maintain(world)
    subject = world.start()
    unsnooze(subject, actor=SYSTEM)
    assert world.paged(subject) == [("ana", 0)]


def test_only_managers_and_leads_plan_maintenance(world: World) -> None:
    given = {"starts_at": world.clock(), "ends_at": world.clock() + timedelta(hours=1), "reason": "upgrade"}
    for group, may in (("responder", False), ("manager", True)):
        if may:
            plan_maintenance(**given, actor=actor(person(group)))
        else:
            with pytest.raises(Forbidden):
                plan_maintenance(**given, actor=actor(person(group)))


@pytest.mark.parametrize("wrong", [{"reason": " "}, {"hours": -1}, {"hours": 31 * 24}])
def test_a_window_has_a_reason_and_an_end_within_a_month(world: World, wrong: dict[str, object]) -> None:
    ends_at = world.clock() + timedelta(hours=float(str(wrong.get("hours", 1))))
    with pytest.raises(Invalid):
        plan_maintenance(
            starts_at=world.clock() - timedelta(days=1),
            ends_at=ends_at,
            reason=str(wrong.get("reason", "upgrade")),
            actor=SYSTEM,
        )


def test_waking_costs_the_same_number_of_queries_for_many(world: World) -> None:
    counts = []
    for count in (3, 12):
        maintain(world)
        world.start(count)
        world.clock.advance(timedelta(hours=1))
        with CaptureQueriesContext(connection) as queries:
            fire_timers()
        counts.append(len(queries))
        world.wait(days=1)
    assert counts[0] == counts[1]


# --- answers


def test_an_acknowledged_track_comes_back_when_nothing_happens(world: World) -> None:
    world.version = quiet_pack()
    subject = world.start()
    world.wait(minutes=1)
    acknowledge(subject, via="web", actor=actor(world.people["ana"]))
    world.wait(minutes=29, seconds=59)
    assert world.run(subject).state == State.ACKNOWLEDGED
    world.wait(seconds=1)
    assert world.paged(subject) == [("ana", 0), ("ana", 31 * 60)]
    assert len(world.events(subject, "unacknowledged")) == 1


def quiet_pack():
    return path_pack(level(1, "primary"), level(2, "secondary", "5m"), unacknowledge="30m")


def test_work_pushes_the_return_on(world: World) -> None:
    world.version = quiet_pack()
    subject = world.start()
    acknowledge(subject, via="web", actor=actor(world.people["ana"]))
    worked_at = world.clock() + timedelta(minutes=20)
    registry.register_activity("squad", lambda keys: dict.fromkeys(keys, worked_at))
    try:
        world.wait(minutes=30)
        assert world.paged(subject) == [("ana", 0)]
        world.wait(minutes=20)
        assert world.paged(subject) == [("ana", 0), ("ana", 3000)]
    finally:
        registry._activities.pop("squad")


def test_taking_the_answer_back_pages_from_the_first_level(world: World) -> None:
    subject = world.start()
    acknowledge(subject, via="web", actor=actor(world.people["ana"]))
    unacknowledge(subject, reason="my train leaves", actor=SYSTEM)
    unacknowledge(subject, actor=SYSTEM)
    assert world.paged(subject) == [("ana", 0), ("ana", 0)]
    assert world.events(subject, "unacknowledged")[0].payload["reason"] == "my train leaves"


def test_a_level_that_needs_two_answers_goes_on_after_the_first(world: World) -> None:
    both = level(1, "primary", roles=["primary", "secondary"], acknowledgements=2)
    world.version = path_pack(both, level(2, "boss", "5m"), repeat={"times": 1, "every": "5m"})
    world.answer("cat", "boss")
    subject = world.start()
    first = acknowledge(subject, via="web", actor=actor(world.people["ana"]))
    again = acknowledge(subject, via="web", actor=actor(world.people["ana"]))
    assert first is not None
    assert (first, first.completes, world.run(subject).state) == (again, False, State.RUNNING)
    world.wait(minutes=5)
    assert world.paged(subject) == [("ana", 0), ("ben", 0), ("cat", 300)]
    done = acknowledge(subject, via="web", actor=actor(world.people["ben"]))
    assert done is not None
    assert (done.completes, world.run(subject).state) == (True, State.ACKNOWLEDGED)
    assert Acknowledgement.objects.count() == 2


# --- who is called


def test_round_robin_calls_one_at_a_time_each_the_next(world: World) -> None:
    turns = level(1, "primary", roles=["primary", "secondary", "third"], order="round_robin")
    world.version = path_pack(turns, repeat={"times": 1, "every": "5m"})
    world.answer("cat", "third")
    first, second = world.start(), world.start()
    world.wait(minutes=5)
    assert [world.paged(first), world.paged(second)] == [[("ana", 0), ("cat", 300)], [("ben", 0), ("ana", 300)]]


def test_whoever_is_awake_is_called_first_and_the_others_by_the_repeat(world: World) -> None:
    awake = level(1, "primary", roles=["primary", "secondary"], order="awake")
    world.version = path_pack(awake, repeat={"times": 1, "every": "5m"})
    world.people["ana"].time_zone = "Europe/Berlin"  # five in the morning
    world.people["ana"].save()
    world.people["ben"].time_zone = "Australia/Sydney"  # one in the afternoon
    world.people["ben"].save()
    subject = world.start()
    world.wait(minutes=5)
    assert world.paged(subject) == [("ben", 0), ("ana", 300), ("ben", 300)]


def test_where_everybody_sleeps_everybody_is_called(world: World) -> None:
    world.version = path_pack(level(1, "primary", roles=["primary", "secondary"], order="awake"))
    assert world.paged(world.start()) == [("ana", 0), ("ben", 0)]  # three in the morning in UTC


def test_a_chosen_level_is_called_now_and_not_again_at_its_time(world: World) -> None:
    world.version = path_pack(
        level(1, "primary"), level(2, "secondary", "5m"), level(3, "boss", "10m"), until="resolved"
    )
    world.answer("cat", "boss")
    subject = world.start()
    world.wait(minutes=1)
    escalate_now(subject, level=3, actor=SYSTEM)
    for _ in range(3):
        world.wait(minutes=4)
    assert world.paged(subject) == [("ana", 0), ("cat", 60), ("ben", 300)]
    with pytest.raises(Invalid):
        escalate_now(subject, level=4, actor=SYSTEM)


def test_a_chosen_level_is_called_after_the_acknowledgement_too(world: World) -> None:
    subject = world.start()
    acknowledge(subject, via="web", actor=actor(world.people["ana"]))
    escalate_now(subject, level=2, actor=SYSTEM)
    world.wait(hours=1)
    assert world.paged(subject) == [("ana", 0), ("ben", 0)]
    assert world.run(subject).state == State.ACKNOWLEDGED


def test_a_level_called_after_the_answer_brings_no_other_and_the_answer_still_runs_out(world: World) -> None:
    world.version = path_pack(
        level(1, "primary"), level(2, "secondary", "5m"), level(3, "primary", "6m"), unacknowledge="30m"
    )
    subject = world.start()
    acknowledge(subject, via="web", actor=actor(world.people["ana"]))
    world.wait(minutes=20)
    escalate_now(subject, level=2, actor=SYSTEM)
    escalate_now(subject, level=2, actor=SYSTEM)
    assert world.paged(subject) == [("ana", 0), ("ben", 1200)]
    world.wait(hours=1)
    assert len(world.events(subject, "unacknowledged")) == 1


def answer_in_time() -> PolicyVersion:
    late = {"when": "response_exceeded", "call": "next"}
    return path_pack(level(1, "primary"), level(2, "secondary", "2h"), until="resolved", triggers=[late])


def test_who_takes_the_answer_back_has_the_time_to_answer_begin_anew(world: World) -> None:
    world.version = answer_in_time()
    item = replace(world.item(), response_at=world.clock() + timedelta(minutes=15))
    start_escalations([item], actor=SYSTEM)
    world.wait(minutes=10)
    acknowledge(item.subject, via="web", actor=actor(world.people["ana"]))
    unacknowledge(item.subject, actor=SYSTEM)
    world.wait(minutes=14)
    assert world.paged(item.subject) == [("ana", 0), ("ana", 600)]
    world.wait(minutes=2)
    assert [name for name, _ in world.paged(item.subject)] == ["ana", "ana", "ben"]


def test_a_new_severity_calls_nobody_for_an_answer_that_was_given(world: World) -> None:
    world.version = answer_in_time()
    item = replace(world.item(), response_at=world.clock() + timedelta(minutes=15))
    start_escalations([item], actor=SYSTEM)
    acknowledge(item.subject, via="web", actor=actor(world.people["ana"]))
    world.wait(minutes=30)
    restart(replace(item, severity="P0"), actor=SYSTEM)
    world.wait(minutes=1)
    assert world.paged(item.subject) == [("ana", 0)]


def test_what_was_marked_before_anybody_was_to_be_paged_is_not_forgotten(world: World) -> None:
    path = [level(1, "primary")]
    world.version = path_pack(*path, until="resolved", triggers=[{"when": "security", "roles": ["secondary"]}])
    subject = world.subject()
    mark_condition(subject, "security", actor=SYSTEM)
    restart(replace(world.item(subject), severity="P0"), actor=SYSTEM)
    assert sorted(name for name, _ in world.paged(subject)) == ["ana", "ben"]


def test_a_condition_ends_a_snooze_where_a_trigger_listens(world: World) -> None:
    world.version = path_pack(
        level(1, "primary"), until="resolved", triggers=[{"when": "security", "roles": ["secondary"]}]
    )
    subject = world.start()
    snooze(subject, until=world.clock() + timedelta(hours=1), actor=SYSTEM)
    mark_condition(subject, "data_loss", actor=SYSTEM)
    assert world.run(subject, MANAGEMENT).state == State.SNOOZED
    mark_condition(subject, "security", actor=SYSTEM)
    mark_condition(subject, "security", actor=SYSTEM)
    assert world.paged(subject) == [("ana", 0), ("ana", 0), ("ben", 0)]


def test_marking_needs_a_known_condition_and_an_amount_where_it_has_one(world: World) -> None:
    subject = world.start()
    for condition, amount in (("rain", None), ("revenue", None), ("security", 5), ("revenue", -1)):
        with pytest.raises(Invalid):
            mark_condition(subject, condition, amount=amount, actor=SYSTEM)


def test_a_trigger_that_reaches_nobody_calls_the_next_level_and_says_so(world: World) -> None:
    world.version = path_pack(
        level(1, "primary"),
        level(2, "secondary", "5m"),
        until="resolved",
        triggers=[{"when": "security", "roles": ["nobody"]}],
    )
    subject = world.start()
    mark_condition(subject, "security", actor=SYSTEM)
    world.wait(minutes=10)
    assert world.paged(subject) == [("ana", 0), ("ben", 0)]
    assert len(world.events(subject, "nobody_reachable")) == 1
