"""Turns, who is awake, chosen levels, and conditions that somebody marks."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from apps.foundation.errors import Invalid
from apps.oncall.models import RoleBinding
from apps.oncall.operations import pause
from apps.paging.models import EscalationRun
from apps.paging.operations import (
    acknowledge,
    escalate_now,
    mark_condition,
    restart,
    snooze,
)
from tests.factories import actor, rotation
from tests.paging.conftest import MANAGEMENT, SYSTEM, World, level, path_pack

pytestmark = pytest.mark.django_db
State = EscalationRun.State


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


@pytest.mark.parametrize("order", ["round_robin", "awake"])
def test_who_pauses_is_skipped(world: World, order: str) -> None:
    world.version = path_pack(level(1, "crew", order=order))
    world.clock.advance(timedelta(hours=9))
    ana, ben = world.people["ana"], world.people["ben"]
    crew = rotation(world.team, ana, ben)
    RoleBinding.objects.create(role="crew", rotation=crew, team=world.team)
    pause(crew.pk, user_id=ana.pk, actor=SYSTEM)
    for _ in range(2):
        assert [page.user for page in world.pages(world.start())] == [ben]
    pause(crew.pk, actor=SYSTEM)
    assert world.paged(world.start()) == []


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
