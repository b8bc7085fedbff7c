"""What promises locking, on PostgreSQL with real transactions in threads."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import timedelta
from functools import partial

import pytest
from django.db import connection

from apps.engine.models import Timer
from apps.engine.sweep import fire_timers
from apps.foundation.clock import ManualClock, use_clock
from apps.foundation.subjects import Subject
from apps.paging.models import Acknowledgement, EscalationRun, Page
from apps.paging.operations import acknowledge, escalate_now, start_escalations, stop
from tests.factories import actor, team
from tests.paging.conftest import SYSTEM, World, two_levels

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.postgres]

ROUNDS = 200


@pytest.fixture
def world(transactional_db: None, clock: ManualClock) -> World:
    made = World(clock, two_levels(), team("Core"))
    made.answer("ana", "primary")
    made.answer("ben", "secondary")
    return made


def together(clock: ManualClock, *works: Callable[[], object]) -> None:
    """Run all at once, each in a thread and a connection of its own; an error of one is everybody's."""
    gate = threading.Barrier(len(works), timeout=60)
    errors: list[Exception] = []

    def run(work: Callable[[], object]) -> None:
        try:
            with use_clock(clock):
                gate.wait()
                work()
        except Exception as error:  # noqa: BLE001  # raised again below, in the test's own thread
            errors.append(error)
        finally:
            connection.close()

    threads = [threading.Thread(target=run, args=(work,)) for work in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]


def pages_of(subject: Subject) -> int:
    return Page.objects.filter(subject_kind=subject.kind, subject_key=subject.key).count()


class Race:
    """Two threads that meet at each round: one acknowledges a subject, the other sweeps just then."""

    def __init__(self, world: World, subjects: list[Subject]) -> None:
        self.world, self.subjects, self.user = world, subjects, world.people["ana"]
        self.keys = [str(world.run(subject).pk) for subject in subjects]
        self.meet = threading.Barrier(2, timeout=60)
        self.at_commit: list[int] = []

    def acknowledge(self) -> None:
        for subject, key in zip(self.subjects, self.keys, strict=True):
            Timer.objects.filter(key=key).update(try_at=self.world.clock())
            self.meet.wait()
            acknowledge(subject, via="web", actor=actor(self.user))
            self.at_commit.append(pages_of(subject))
            self.meet.wait()

    def sweep(self) -> None:
        for _ in self.subjects:
            self.meet.wait()
            fire_timers()
            self.meet.wait()
            fire_timers()


def test_no_page_of_a_stale_run_is_made_after_the_acknowledgement_committed(world: World) -> None:
    """200 rounds of acknowledging while the next level falls due: whoever commits first, nothing comes after."""
    start = [world.item() for _ in range(ROUNDS)]
    start_escalations(start, actor=SYSTEM)
    world.clock.advance(timedelta(minutes=5))
    Timer.objects.update(try_at=world.clock() + timedelta(hours=1))
    race = Race(world, [item.subject for item in start])
    together(world.clock, race.acknowledge, race.sweep)
    Timer.objects.update(try_at=world.clock())
    world.wait(minutes=10)
    assert [pages_of(subject) for subject in race.subjects] == race.at_commit
    assert Acknowledgement.objects.count() == ROUNDS
    assert not Page.objects.filter(run__gt=1).exists()
    assert not Page.objects.filter(state=Page.State.OPEN).exists()
    print(f"{ROUNDS} rounds: in {race.at_commit.count(2)} the next level was paged before the acknowledgement.")


def test_two_sweeps_page_everybody_once(world: World) -> None:
    world.start(60)
    world.clock.advance(timedelta(minutes=5))
    together(world.clock, fire_timers, fire_timers, fire_timers)
    fire_timers()
    assert Page.objects.filter(step=1).count() == 60
    assert Timer.objects.filter(state=Timer.State.FIRED).count() == 60


def test_two_people_acknowledge_at_once_and_one_is_the_first(world: World) -> None:
    subject = world.start()
    world.wait(minutes=5)
    both = [partial(acknowledge, subject, via="web", actor=actor(user)) for user in world.people.values()]
    together(world.clock, *both)
    assert Acknowledgement.objects.count() == 1
    assert world.run(subject).run == 2


def test_escalating_by_hand_while_the_timer_fires_takes_one_step(world: World) -> None:
    for _ in range(10):
        subject = world.start()
        world.clock.advance(timedelta(minutes=5))
        together(world.clock, partial(escalate_now, subject, expected_step=1, actor=SYSTEM), fire_timers)
        fire_timers()
        assert pages_of(subject) == 2
        stop(subject, reason="next round", actor=SYSTEM)


def test_stopping_and_acknowledging_at_once_leaves_nothing_open(world: World) -> None:
    for _ in range(10):
        subject = world.start()
        together(
            world.clock,
            partial(acknowledge, subject, via="web", actor=actor(world.people["ana"])),
            partial(stop, subject, reason="resolved", actor=SYSTEM),
        )
        assert world.run(subject).state == EscalationRun.State.STOPPED
        assert not Page.objects.filter(state=Page.State.OPEN).exists()
