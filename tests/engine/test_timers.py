"""Timers fire exactly once, stale ones never."""

from __future__ import annotations

import threading
from datetime import timedelta

import pytest
from celery import current_app
from django.db import connection, connections, transaction

from apps.engine import registry, sweep
from apps.engine.models import Event, Timer
from apps.engine.operations import MAX_ATTEMPTS
from apps.engine.sweep import fire_timers, next_due_at
from apps.engine.timers import FIRE_QUEUE, NewTimer, schedule_many
from apps.foundation.clock import now
from tests.engine.conftest import Bells, set_timer

pytestmark = pytest.mark.django_db


def test_a_due_timer_fires_once(bells: Bells) -> None:
    bells.make("a")
    timer = set_timer("a")
    assert fire_timers() == 1
    assert fire_timers() == 0
    timer.refresh_from_db()
    assert (timer.state, bells.rung("a")) == (Timer.State.FIRED, 1)


def test_a_timer_of_an_old_run_is_marked_cancelled_and_does_nothing(bells: Bells) -> None:
    bells.make("a", run=2)
    timer = set_timer("a", run=1)
    fire_timers()
    timer.refresh_from_db()
    assert (timer.state, bells.rung("a")) == (Timer.State.CANCELLED, 0)


def test_a_timer_whose_subject_is_gone_is_marked_cancelled(bells: Bells) -> None:
    timer = set_timer("nobody")
    fire_timers()
    timer.refresh_from_db()
    assert timer.state == Timer.State.CANCELLED


def test_scheduling_the_same_timer_again_changes_nothing(bells: Bells) -> None:
    bells.make("a")
    first, again = set_timer("a"), set_timer("a")
    assert first.pk == again.pk


@pytest.mark.django_db(transaction=True)
def test_scheduling_outside_a_transaction_is_refused() -> None:
    with pytest.raises(RuntimeError, match="in the transaction of its cause"):
        schedule_many([NewTimer("test.bell", "a", 1, 0, now())])


@pytest.mark.parametrize(("due", "rings"), [(2, 0), (3, 1), (9, 1)])
def test_whoever_finds_more_than_a_batch_calls_another_worker(
    bells: Bells, monkeypatch: pytest.MonkeyPatch, due: int, rings: int
) -> None:
    monkeypatch.setattr(sweep, "BATCH", 2)
    names = "abcdefghi"[:due]
    bells.make(*names)
    for name in names:
        set_timer(name)
    with current_app.connection_for_read() as broker:
        queue = broker.default_channel
        before = queue._size(FIRE_QUEUE)
        assert fire_timers() == due
        assert queue._size(FIRE_QUEUE) - before == rings


def test_a_slow_kind_comes_last_and_in_small_batches(bells: Bells) -> None:
    order: list[str] = []

    def kind(name: str, queue: str) -> registry.TimerKind:
        return registry.TimerKind(
            name, bells.lock, bells.exists, lambda due: order.extend([name] * len(due)), queue=queue
        )

    kinds = {"test.slow": kind("test.slow", "bulk"), "test.page": kind("test.page", FIRE_QUEUE)}
    names = [f"s{number}" for number in range(sweep.SLOW_BATCH + 2)]
    bells.make(*names, "page")
    due = now()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(registry, "_timer_kinds", kinds)
        with transaction.atomic():
            schedule_many([NewTimer("test.slow", name, 1, 0, due) for name in names])
            schedule_many([NewTimer("test.page", "page", 1, 0, due)])
        assert fire_timers() == sweep.SLOW_BATCH + 1
        assert order[0] == "test.page"
        assert fire_timers() == 2
        assert fire_timers() == 0


def test_a_broken_timer_holds_back_no_other(bells: Bells) -> None:
    bells.make("a", "b", "c")
    bells.broken = {"b"}
    timers = [set_timer(name) for name in "abc"]
    fire_timers()
    assert [bells.rung(name) for name in "abc"] == [1, 0, 1]
    timers[1].refresh_from_db()
    assert "b is broken" in timers[1].last_error
    assert timers[1].try_at > timers[1].due_at


def test_after_ten_failures_a_timer_waits_for_a_person_and_the_portal_says_so(bells: Bells) -> None:
    bells.make("a")
    bells.broken = {"a"}
    timer = set_timer("a")
    for _ in range(MAX_ATTEMPTS):
        Timer.objects.update(try_at=now())
        fire_timers()
    timer.refresh_from_db()
    assert timer.state == Timer.State.FAILED
    assert Event.objects.get(kind="engine.portal_fault").payload["fault"] == "timer:test.bell"


def test_of_two_due_timers_of_one_subject_the_second_waits_for_the_next_round(bells: Bells) -> None:
    bells.make("a")
    set_timer("a", seq=0)
    set_timer("a", seq=1)
    assert [fire_timers(), fire_timers(), fire_timers()] == [1, 1, 0]
    assert bells.rung("a") == 2


def test_a_sweep_costs_the_same_queries_for_one_and_for_fifty(bells: Bells) -> None:
    counts = []
    for size in (1, 50):
        names = [f"{size}-{number}" for number in range(size)]
        bells.make(*names)
        for name in names:
            set_timer(name)
        with CountOutsideFire() as counter:
            fire_timers()
        counts.append(counter.count - size)  # each ring of a test bell saves once
    assert counts[0] == counts[1]


class CountOutsideFire:
    def __enter__(self) -> CountOutsideFire:
        self.count = 0
        self._wrapper = connection.execute_wrapper(self._tally)
        self._wrapper.__enter__()
        return self

    def _tally(self, execute: object, sql: str, params: object, many: bool, context: object) -> object:
        self.count += 1
        return execute(sql, params, many, context)  # type: ignore[operator]

    def __exit__(self, *_: object) -> None:
        self._wrapper.__exit__(None, None, None)


@pytest.mark.django_db(transaction=True)
@pytest.mark.postgres
def test_four_sweeps_at_once_fire_each_of_five_hundred_timers_once(bells: Bells) -> None:
    names = [f"n{number}" for number in range(500)]
    bells.make(*names)
    with transaction.atomic():
        schedule_many([NewTimer("test.bell", name, 1, 0, now()) for name in names])

    def sweep() -> None:
        while fire_timers():
            pass
        connections.close_all()

    threads = [threading.Thread(target=sweep) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    while fire_timers():
        pass
    assert [bells.rung(name) for name in names] == [1] * 500


def test_the_ticker_is_told_of_the_next_instant_also_while_something_due_waits(bells: Bells) -> None:
    bells.make("late", "soon")
    set_timer("late")
    with transaction.atomic():
        schedule_many([NewTimer("test.bell", "soon", 1, 0, now() + timedelta(seconds=5))])
    assert next_due_at() == Timer.objects.get(key="soon").due_at
