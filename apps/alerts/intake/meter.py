"""How many requests each integration sent in this minute, and whether it may send another one.

Counted in memory; the committer's thread writes the sums once a second and learns what the other processes took. So a
refusal writes nothing by itself, and a limit holds over all processes to within what comes in a second.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterable
from typing import NamedTuple

MINUTE = 60


class Counted(NamedTuple):
    """Requests of one integration in one minute. `minute` counts minutes since 1970."""

    integration_id: int
    minute: int
    taken: int
    refused: int


class Meter:
    """Counts by calendar minute. Called from every thread that answers requests; `wake` is called when there is
    something to write again."""

    def __init__(self, wake: Callable[[], None]) -> None:
        self._wake = wake
        self._lock = threading.Lock()
        self._minute = 0
        # In this minute: what the database knows of all processes, and what it does not know yet of this one.
        self._known: dict[int, int] = {}
        self._taken: Counter[int] = Counter()
        self._refused: Counter[int] = Counter()
        self._unwritten: list[Counted] = []
        self.is_dirty = False

    def admit(self, integration_id: int, limit: int, at: float) -> int:
        """0 when the request may come (`limit` 0: always), else after how many whole seconds to try again."""
        minute = int(at) // MINUTE
        with self._lock:
            if minute != self._minute:
                self._turn(minute)
            was_dirty, self.is_dirty = self.is_dirty, True
            seconds = 0
            if limit and self._known.get(integration_id, 0) + self._taken[integration_id] >= limit:
                self._refused[integration_id] += 1
                seconds = MINUTE - int(at) % MINUTE
            else:
                self._taken[integration_id] += 1
        if not was_dirty:
            self._wake()
        return seconds

    def drain(self) -> list[Counted]:
        """What is to be written; the caller owes it to `learn` or, when writing failed, to `put_back`."""
        with self._lock:
            for integration_id, count in self._taken.items():
                self._known[integration_id] = self._known.get(integration_id, 0) + count
            self._keep()
            found, self._unwritten = self._unwritten, []
            self.is_dirty = False
        return sorted(found)

    def learn(self, totals: Iterable[tuple[int, int, int]]) -> None:
        """(integration, minute, taken) over all processes, as written."""
        with self._lock:
            for integration_id, minute, taken in totals:
                if minute == self._minute:
                    self._known[integration_id] = taken

    def put_back(self, counts: Iterable[Counted]) -> None:
        """They could not be written: try again with the next ones."""
        with self._lock:
            self._unwritten += counts
            self.is_dirty = True

    def _turn(self, minute: int) -> None:
        self._keep()
        self._known.clear()
        self._minute = minute

    def _keep(self) -> None:
        """Move the sums of the minute to what is to be written."""
        for integration_id in self._taken.keys() | self._refused.keys():
            sums = Counted(integration_id, self._minute, self._taken[integration_id], self._refused[integration_id])
            if sums.taken or sums.refused:
                self._unwritten.append(sums)
        self._taken.clear()
        self._refused.clear()
