"""What the ticker sweeps itself while no worker does: pages before all else."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator

import pytest

from apps.engine import registry
from apps.engine.registry import Sweeper
from apps.engine.ticker import Ticker
from apps.engine.timers import FIRE_TASK

pytestmark = pytest.mark.django_db(transaction=True)
SECONDS = 10.0


class Work:
    """Sweepers of the test's own: each notes that it began, and ends when it may."""

    def __init__(self) -> None:
        self.begun: dict[str, threading.Event] = {}
        self.may_end = threading.Event()

    def add(self, task: str, queue: str, *, waits: bool = False) -> Sweeper:
        self.begun[task] = threading.Event()
        item = Sweeper(task, task, queue, self._round(task, waits), lambda at: True)
        registry._sweepers[task] = item
        return item

    def _round(self, task: str, waits: bool) -> Callable[[], int]:
        def run() -> int:
            self.begun[task].set()
            if waits:
                self.may_end.wait(SECONDS)
            return 0

        return run


@pytest.fixture
def work() -> Iterator[Work]:
    before = dict(registry._sweepers)
    found = Work()
    yield found
    registry._sweepers.clear()
    registry._sweepers.update(before)


@pytest.fixture
def ticker(work: Work) -> Iterator[Ticker]:
    found = Ticker()
    yield found
    work.may_end.set()
    found.close()


def test_other_work_waits_while_pages_fall_due(work: Work, ticker: Ticker) -> None:
    ticker._sweep_here(work.add(FIRE_TASK, "timers", waits=True))
    ticker._sweep_here(work.add("test.other", "bulk"))
    assert work.begun[FIRE_TASK].wait(SECONDS)
    assert not work.begun["test.other"].wait(0.3)
    work.may_end.set()
    assert work.begun["test.other"].wait(SECONDS)


def test_pages_are_sent_while_others_fall_due(work: Work, ticker: Ticker) -> None:
    ticker._sweep_here(work.add(FIRE_TASK, "timers", waits=True))
    ticker._sweep_here(work.add("test.send", "messages"))
    assert work.begun["test.send"].wait(SECONDS)


def test_work_that_waits_for_pages_keeps_nobody_from_sending_them(work: Work, ticker: Ticker) -> None:
    ticker._sweep_here(work.add(FIRE_TASK, "timers", waits=True))
    for number in range(12):
        ticker._sweep_here(work.add(f"test.other.{number}", "bulk"))
    ticker._sweep_here(work.add("test.send", "messages"))
    assert work.begun["test.send"].wait(SECONDS)
