"""Maintenance windows hold what opens in them, and nothing else."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from apps.engine.sweep import fire_timers
from apps.foundation.errors import Forbidden, Invalid
from apps.foundation.subjects import Subject
from apps.paging.models import EscalationRun, MaintenanceWindow
from apps.paging.operations import (
    move_maintenance_end,
    plan_maintenance,
    restart,
    snooze,
    start_escalations,
    stop,
    unsnooze,
)
from tests.factories import actor, person, service
from tests.paging.conftest import SYSTEM, World

pytestmark = pytest.mark.django_db
State = EscalationRun.State


def maintain(world: World, hours: float = 1, **of: int) -> MaintenanceWindow:
    at = world.clock()
    ends_at = at + timedelta(hours=hours)
    return plan_maintenance(starts_at=at, ends_at=ends_at, reason="upgrade", actor=SYSTEM, **of)


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
    inside = start_with(world, store.pk)
    both = start_with(world, store.pk, login.pk)
    assert (world.paged(inside), world.paged(both)) == ([], [("ana", 0)])


def start_with(world: World, *service_ids: int) -> Subject:
    item = replace(world.item(), service_ids=service_ids)
    start_escalations([item], actor=SYSTEM)
    return item.subject


def test_what_was_open_before_the_window_goes_on(world: World) -> None:
    subject = world.start()
    maintain(world)
    world.wait(minutes=5)
    assert world.paged(subject) == [("ana", 0), ("ben", 300)]


def test_a_severity_that_changes_in_the_window_pages_what_was_open_before(world: World) -> None:
    subject = world.start(severity="P0")
    world.wait(minutes=1)
    maintain(world)
    restart(world.item(subject, "P1"), actor=SYSTEM)
    assert world.paged(subject) == [("ana", 0), ("ana", 60)]
    world.wait(minutes=5)
    assert world.paged(subject)[-1] == ("ben", 360)


def test_a_severity_that_changes_in_the_window_leaves_held_what_opened_in_it(world: World) -> None:
    maintain(world)
    subject = world.start(severity="P1")
    restart(world.item(subject, "P0"), actor=SYSTEM)
    assert (world.paged(subject), world.run(subject).state) == ([], State.HELD)
    world.wait(hours=1)
    assert world.paged(subject) == [("ana", 3600)]


def test_what_opens_again_in_the_window_is_held(world: World) -> None:
    subject = world.start()
    stop(subject, reason="resolved", actor=SYSTEM)
    maintain(world)
    restart(world.item(subject), forget=True, actor=SYSTEM)
    assert (world.paged(subject), world.run(subject).state) == ([("ana", 0)], State.HELD)


@pytest.mark.parametrize(("opened", "expected"), [("before", 1800), ("inside", 3600), ("let go", 1800)])
def test_a_snooze_that_ends_in_the_window_pages_unless_the_window_holds_it(
    world: World, opened: str, expected: int
) -> None:
    if opened != "before":
        maintain(world)
    subject = world.start()
    if opened == "let go":
        unsnooze(subject, actor=SYSTEM)
    snooze(subject, until=world.clock() + timedelta(minutes=30), actor=SYSTEM)
    if opened == "before":
        maintain(world)
    world.wait(minutes=30)
    world.wait(minutes=30)
    assert world.paged(subject)[-1 if opened == "inside" else 1] == ("ana", expected)


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
    assert counts[1] <= counts[0]
