"""The ticker: rings for each sweeper every second and at every due time, and sweeps itself when workers don't."""

from __future__ import annotations

import logging
import threading
import time
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import wait as wait_for

import httpx
from django.conf import settings
from django.db import DatabaseError, InterfaceError, close_old_connections, connections, transaction
from django.urls import reverse

from apps.engine.bell import publish_ring
from apps.engine.models import Pulse
from apps.engine.operations import report_fault
from apps.engine.pulses import beat, is_fresh, last_beats
from apps.engine.registry import Sweeper, invariants, sweepers
from apps.engine.sweep import next_due_at
from apps.engine.sweeping import ROUND_BUDGET_SECONDS, run_sweeper
from apps.engine.timers import FIRE_TASK, PAGING_QUEUES
from apps.foundation.clock import now

logger = logging.getLogger(__name__)

TICK_SECONDS = 1.0
STALE_SWEEP_SECONDS = 2.0
INVARIANT_EACH_SECONDS = 30.0
DEADMAN_EACH_SECONDS = 60.0


class Ticker:
    """Any number may run side by side: sweeps skip each other's rows."""

    def __init__(self) -> None:
        self.stopping = threading.Event()
        # Of their own, so that no page waits for a thread of something else.
        self._pages = ThreadPoolExecutor(max_workers=4, thread_name_prefix="page")
        self._others = ThreadPoolExecutor(max_workers=4, thread_name_prefix="sweep")
        self._running: dict[str, Future[None]] = {}
        self._next: dict[str, float] = {}

    def run(self) -> None:
        """Tick until `stopping` is set. A dead database or broker is waited for, never died of."""
        # Each page links to the portal: the first one that is made here doesn't wait for all the pages' code.
        self._others.submit(reverse, "admin:index")
        while not self.stopping.is_set():
            try:
                wait = self.tick()
            except (DatabaseError, InterfaceError) as error:
                logger.warning("The database can't be reached (%s); trying again.", error)
                connections.close_all()
                wait = TICK_SECONDS
            self.stopping.wait(wait)
        self.close()

    def close(self) -> None:
        """Wait for what runs; what hasn't begun is left to others."""
        for pool in (self._others, self._pages):
            pool.shutdown(wait=True, cancel_futures=True)

    def tick(self) -> float:
        """One tick; returns for how many seconds to sleep: a second, or less when a timer falls due before."""
        close_old_connections()
        started = time.monotonic()
        beats = last_beats()
        for item in sorted(sweepers(), key=lambda item: item.task != FIRE_TASK):
            published = publish_ring(item.task, item.queue)
            if not published or not is_fresh(beats, f"sweep:{item.task}", within_seconds=STALE_SWEEP_SECONDS):
                self._sweep_here(item)
        beat("ticker")
        self._each("invariants", INVARIANT_EACH_SECONDS, check_invariants)
        if settings.DEADMAN_URL:
            self._each("deadman", DEADMAN_EACH_SECONDS, send_deadman)
        return self._until_next(started)

    def _until_next(self, started: float) -> float:
        """Sleep to the next second, in steps that end at due times, ringing for the timers then."""
        while not self.stopping.is_set():
            left = started + TICK_SECONDS - time.monotonic()
            due = next_due_at()
            ahead = (due - now()).total_seconds() if due is not None else None
            if ahead is None or ahead <= 0 or ahead >= left:
                return max(left, 0.0)
            self.stopping.wait(ahead)
            if not publish_ring(FIRE_TASK, "timers"):
                self._sweep_here(next(item for item in sweepers() if item.task == FIRE_TASK))
            self.stopping.wait(0.05)
        return 0.0

    def _sweep_here(self, item: Sweeper) -> None:
        running = self._running.get(item.task)
        if running is not None and not running.done():
            return
        if item.queue in PAGING_QUEUES:
            self._running[item.task] = self._pages.submit(self._sweep, item.task)
        else:
            # All threads share one processor: what isn't a page's waits while pages fall due.
            first = self._running.get(FIRE_TASK)
            self._running[item.task] = self._others.submit(self._sweep, item.task, first)

    def _sweep(self, task: str, first: Future[None] | None = None) -> None:
        if first is not None:
            wait_for([first], ROUND_BUDGET_SECONDS)
        try:
            run_sweeper(task)
        except Exception:
            logger.exception("Sweeping %s failed; the next tick tries again.", task)
        finally:
            connections.close_all()

    def _each(self, name: str, seconds: float, action: object) -> None:
        if time.monotonic() < self._next.get(name, 0.0):
            return
        self._next[name] = time.monotonic() + seconds
        running = self._running.get(name)
        if running is None or running.done():
            self._running[name] = self._others.submit(_guarded, name, action)


def _guarded(name: str, action: object) -> None:
    try:
        action()  # type: ignore[operator]  # one of the two functions below
    except Exception:
        logger.exception("%s failed; it is tried again later.", name)
    finally:
        connections.close_all()


def check_invariants() -> list[str]:
    """Run every invariant, repair what it can, and report what was broken; by one process each 30 seconds.

    The pulse row is the lock: of several tickers only one checks.
    """
    with transaction.atomic():
        Pulse.objects.get_or_create(name="invariants", defaults={"at": now()})
        held = Pulse.objects.select_for_update(skip_locked=True).filter(name="invariants").first()
        if held is None:
            return []
        broken: list[str] = []
        for item in invariants():
            found = item.check()
            if found:
                report_fault(f"invariant:{item.name}", f"{item.name}: repaired {len(found)}", "\n".join(found[:50]))
            broken += found
        held.at = now()
        held.detail = {"broken": len(broken)}
        held.save(update_fields=["at", "detail"])
    return broken


def send_deadman() -> None:
    """Tell an outside watcher that the portal is alive; when these stop, it raises the alarm."""
    try:
        httpx.get(settings.DEADMAN_URL, timeout=10).raise_for_status()
    except httpx.HTTPError as error:
        logger.warning("The dead-man heartbeat could not be sent: %s", error)
