"""Snooze: nobody is called until it ends."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from apps.foundation.errors import Conflict, Forbidden, Invalid
from apps.paging.models import EscalationRun, Snooze
from apps.paging.operations import (
    acknowledge,
    restart,
    snooze,
    stop,
    unsnooze,
)
from apps.paging.operations.resting import next_working_hours
from apps.paging.policy import WorkingHours
from tests.factories import actor, person
from tests.paging.conftest import SYSTEM, World

pytestmark = pytest.mark.django_db
State = EscalationRun.State


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
