"""An answer that is forgotten, taken back or given by several people."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from apps.paging import registry
from apps.paging.models import Acknowledgement, EscalationRun
from apps.paging.operations import (
    acknowledge,
    restart,
    start_escalations,
    unacknowledge,
)
from apps.policies.models import PolicyVersion
from tests.factories import actor
from tests.paging.conftest import SYSTEM, World, level, path_pack

pytestmark = pytest.mark.django_db
State = EscalationRun.State


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
