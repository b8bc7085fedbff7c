"""The only source of time.

Code asks `now()` and never `datetime.now()` or `timezone.now()`; tests and simulations put another
clock in its place with `use_clock`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime, timedelta

Clock = Callable[[], datetime]


def _wall_clock() -> datetime:
    return datetime.now(UTC)


_clock: ContextVar[Clock] = ContextVar("portal_clock", default=_wall_clock)


def now() -> datetime:
    """The current instant, in UTC and with a time zone."""
    return _clock.get()()


@contextmanager
def use_clock(clock: Clock) -> Iterator[None]:
    """Make `now()` read `clock` inside the block, in this thread or task only."""
    token = _clock.set(clock)
    try:
        yield
    finally:
        _clock.reset(token)


class ManualClock:
    """A clock that stands still until it is told to move; for tests and simulations."""

    def __init__(self, start: datetime) -> None:
        if start.tzinfo is None:
            raise ValueError("A clock needs an instant with a time zone.")
        self._at = start.astimezone(UTC)

    def __call__(self) -> datetime:
        return self._at

    def advance(self, step: timedelta) -> datetime:
        """Move forward by `step` and return the new instant; moving back is refused."""
        if step < timedelta(0):
            raise ValueError("A clock never runs backwards.")
        self._at += step
        return self._at

    def move_to(self, at: datetime) -> datetime:
        """Move forward to `at` and return it."""
        return self.advance(at.astimezone(UTC) - self._at)
