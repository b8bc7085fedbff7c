"""What goes wrong in the two minutes, by a plan that follows from a seed, and a supervisor that restarts what died."""

from __future__ import annotations

import heapq
import itertools
import random
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from benchmarks.rig import Rig
from scripts.services import PrivatePostgres

WORKERS = {"first": "timers", "second": "timers", "third": "messages", "fourth": "messages", "fifth": "bulk"}
TICKERS = ("ticker-1", "ticker-2")
SENDERS = frozenset({"third", "fourth", *TICKERS})
"""Who may be killed in the middle of sending: a ticker sends too where no worker does."""

KILL_EACH_SECONDS = (3.0, 6.0)
RESTART_AFTER_SECONDS = 1.0
WEB_KILLS = 3
FLUSHES = 4
REDIS_AWAY_SECONDS = 20.0
_LOOK_EACH_SECONDS = 0.1


@dataclass
class Told:
    """What was done, for the assertions: a test in which nothing went wrong has shown nothing."""

    kills: Counter[str] = field(default_factory=Counter)
    flushes: int = 0
    redis_away: list[tuple[float, float]] = field(default_factory=list)
    postgres_away: list[tuple[float, float]] = field(default_factory=list)
    postgres_modes: list[str] = field(default_factory=list)

    @property
    def sender_kills(self) -> int:
        return sum(count for name, count in self.kills.items() if name in SENDERS)

    def lines(self) -> Iterator[str]:
        killed = ", ".join(f"{count} × {name}" for name, count in sorted(self.kills.items()))
        yield f"killed: {killed} ({self.kills.total()} in all); Redis flushed {self.flushes} times"
        redis, postgres = (sum(end - start for start, end in away) for away in (self.redis_away, self.postgres_away))
        yield f"Redis was away for {redis:.1f} s, PostgreSQL for {postgres:.1f} s ({', '.join(self.postgres_modes)})"


class Chaos:
    """One thread kills, stops and starts again; whatever it starts a supervisor would start."""

    def __init__(self, rig: Rig, postgres: PrivatePostgres, dice: random.Random, seconds: float) -> None:
        self.told = Told()
        self._rig, self._postgres, self._dice = rig, postgres, dice
        self._number = itertools.count()
        self._plan: list[tuple[float, int, Callable[[], None]]] = []
        self._seconds, self._began = seconds, 0.0
        self._draw()

    def _at(self, seconds: float, what: Callable[[], None]) -> None:
        heapq.heappush(self._plan, (seconds, next(self._number), what))

    def _draw(self) -> None:
        dice, end = self._dice, self._seconds
        at, turn = dice.uniform(*KILL_EACH_SECONDS), list[str]()
        while at < end:
            # Each once in turn, in a new order each time.
            turn = turn or dice.sample([*WORKERS, *TICKERS], len(WORKERS) + len(TICKERS))
            name = turn.pop()
            self._at(at, lambda name=name: self._kill(name))  # type: ignore[misc]  # bound now
            at += dice.uniform(*KILL_EACH_SECONDS)
        for _ in range(WEB_KILLS):
            self._at(dice.uniform(5, end), lambda: self._kill("web"))
        for _ in range(FLUSHES):
            self._at(dice.uniform(2, end), self._flush)
        away = dice.uniform(10, end - REDIS_AWAY_SECONDS - 10)
        self._at(away, self._stop_redis)
        # Nobody rings meanwhile, and for a moment nobody ticks either.
        for name in TICKERS:
            self._at(away + dice.uniform(2, REDIS_AWAY_SECONDS / 2), lambda name=name: self._kill(name))  # type: ignore[misc]  # the same
        for mode in ("fast", "immediate"):
            self._at(dice.uniform(10, end - 10), lambda mode=mode: self._restart_postgres(mode))  # type: ignore[misc]  # the same

    def run(self) -> None:
        """Do the whole plan; returns at its end, with Redis and PostgreSQL there and nothing to be restarted."""
        self._began = time.monotonic()
        while self._plan or self._now() < self._seconds:
            while self._plan and self._plan[0][0] <= self._now():
                heapq.heappop(self._plan)[2]()
            time.sleep(_LOOK_EACH_SECONDS)
            self._supervise()

    def _now(self) -> float:
        return time.monotonic() - self._began

    def _supervise(self) -> None:
        """Start again also what ended by itself: a supervisor does not ask why."""
        for name, process in list(self._rig.processes.items()):
            if name != "redis" and process.poll() is not None:
                self._rig.kill(name)
                self.told.kills["ended by itself"] += 1
                self._start_soon(name)

    def _kill(self, name: str) -> None:
        if name not in self._rig.processes:
            return
        self._rig.kill(name)
        self.told.kills[name] += 1
        self._start_soon(name)

    def _start_soon(self, name: str) -> None:
        self._at(self._now() + RESTART_AFTER_SECONDS, lambda: start(self._rig, name))

    def _flush(self) -> None:
        if "redis" in self._rig.processes:
            self._rig.redis_command(b"FLUSHALL")
            self.told.flushes += 1

    def _stop_redis(self) -> None:
        self._rig.kill("redis")
        stopped = time.time()

        def bring_back() -> None:
            self._rig.start_redis()
            self.told.redis_away.append((stopped, time.time()))

        self._at(self._now() + REDIS_AWAY_SECONDS, bring_back)

    def _restart_postgres(self, mode: str) -> None:
        stopped = time.time()
        self._postgres.stop(mode)
        assert self._postgres.start(), "PostgreSQL did not come back"
        self.told.postgres_away.append((stopped, time.time()))
        self.told.postgres_modes.append(mode)


def start(rig: Rig, name: str) -> None:
    """Start one of the portal's processes by its name."""
    if name in WORKERS:
        rig.start_worker(name, WORKERS[name])
    elif name in TICKERS:
        rig.start_ticker(name)
    else:
        rig.start_web(wait=False)
