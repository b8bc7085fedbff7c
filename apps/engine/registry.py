"""Who listens to which events, what timers mean, and what is polled. Filled by the apps' `ready()`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from apps.engine.models import Event, Timer

BatchHandler = Callable[[Sequence[Event]], None]


@dataclass(frozen=True, slots=True)
class Subscription:
    """`handle` writes rows only and rereads state. A batch handler gets many events in one transaction."""

    name: str
    kinds: frozenset[str]
    handle: Callable[[Event], None] | None = None
    handle_batch: BatchHandler | None = None

    def wants(self, kind: str) -> bool:
        return "*" in self.kinds or kind in self.kinds


@dataclass(frozen=True, slots=True)
class Locked:
    """A locked subject of a timer and its current run; a timer of another run is stale."""

    subject: Any
    run: int


@dataclass(frozen=True, slots=True)
class DueTimer:
    timer: Timer
    subject: Any


@dataclass(frozen=True, slots=True)
class TimerKind:
    """What a kind of timer does.

    `lock` takes the subjects' row locks (skipping locked ones) and gives their current runs; `exists`
    tells a skipped subject from one that is gone; `fire` does the effects of a batch, in the sweep's
    transaction and with a constant number of queries, and may schedule the next timers. A `queue` other than
    `timers` says that it takes long: such a kind fires after all others, ten timers a round, and may take some
    queries for each.
    """

    name: str
    lock: Callable[[Sequence[str]], Mapping[str, Locked]]
    exists: Callable[[Sequence[str]], set[str]]
    fire: Callable[[Sequence[DueTimer]], None]
    queue: str = "timers"


@dataclass(frozen=True, slots=True)
class Sweeper:
    """Polled work. `run` does one bounded round and returns how many rows it handled; `due` is one cheap query."""

    name: str
    task: str
    queue: str
    run: Callable[[], int]
    due: Callable[[datetime], bool]


@dataclass(frozen=True, slots=True)
class Invariant:
    """`check` finds and repairs what should never be, and says what it found, a sentence each."""

    name: str
    check: Callable[[], list[str]]


_subscriptions: dict[str, Subscription] = {}
_timer_kinds: dict[str, TimerKind] = {}
_sweepers: dict[str, Sweeper] = {}
_invariants: dict[str, Invariant] = {}


def _add(table: dict[str, Any], name: str, item: Any) -> None:
    if name in table:
        raise RuntimeError(f"{name!r} is registered twice.")
    table[name] = item


def subscribe(kinds: Sequence[str], name: str, handler: Callable[[Event], None]) -> None:
    """Deliver each event of `kinds` ("*": all) to `handler`, one at a time, at least once until it succeeds."""
    _add(_subscriptions, name, Subscription(name=name, kinds=frozenset(kinds), handle=handler))


def subscribe_batch(kinds: Sequence[str], name: str, handler: BatchHandler) -> None:
    """The same, but many events of one subscriber are handed over at once; a failing batch is repeated one by one."""
    _add(_subscriptions, name, Subscription(name=name, kinds=frozenset(kinds), handle_batch=handler))


def register_timer_kind(kind: TimerKind) -> None:
    _add(_timer_kinds, kind.name, kind)


def register_sweeper(sweeper: Sweeper) -> None:
    """Poll this work each second, and whenever `ring(sweeper.task)` is called."""
    _add(_sweepers, sweeper.task, sweeper)


def register_invariant(invariant: Invariant) -> None:
    _add(_invariants, invariant.name, invariant)


def subscriptions() -> list[Subscription]:
    return list(_subscriptions.values())


def subscription(name: str) -> Subscription | None:
    return _subscriptions.get(name)


def timer_kinds() -> list[TimerKind]:
    return list(_timer_kinds.values())


def sweepers() -> list[Sweeper]:
    return list(_sweepers.values())


def sweeper(task: str) -> Sweeper:
    return _sweepers[task]


def invariants() -> list[Invariant]:
    return list(_invariants.values())
