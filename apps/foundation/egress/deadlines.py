"""The time that one exchange with the outside may take in all."""

from __future__ import annotations

import time
from contextvars import ContextVar


class DeadlinePassed(TimeoutError):
    """The time for one attempt is over."""


class Deadline:
    """The time that one attempt may take in all, however slowly the provider drips its answer."""

    def __init__(self, seconds: float) -> None:
        self._until = time.monotonic() + seconds

    def remaining(self) -> float:
        """Seconds left. DeadlinePassed when there are none."""
        left = self._until - time.monotonic()
        if left <= 0:
            raise DeadlinePassed("The provider took too long.")
        return left

    def passed(self) -> bool:
        return time.monotonic() >= self._until


running_deadline: ContextVar[Deadline | None] = ContextVar("egress_deadline", default=None)


def within(timeout: float | None) -> float | None:
    """`timeout`, or what is left of the running attempt's deadline where that is less."""
    deadline = running_deadline.get()
    if deadline is None:
        return timeout
    left = deadline.remaining()
    return left if timeout is None else min(timeout, left)
