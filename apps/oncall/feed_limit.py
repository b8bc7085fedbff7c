"""How often one address may be read in a minute."""

from __future__ import annotations

import threading
from collections import Counter
from datetime import datetime

MOST_A_MINUTE = 20
_MINUTE = 60


class FeedLimit:
    """Counts in memory, by calendar minute and for each process: it protects this process's time. For all threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._minute = 0
        self._taken: Counter[str] = Counter()

    def admit(self, address: str, at: datetime) -> int:
        """0 when it may be read, else after how many whole seconds to try again."""
        seconds = int(at.timestamp())
        with self._lock:
            if seconds // _MINUTE != self._minute:
                self._minute = seconds // _MINUTE
                self._taken.clear()
            if self._taken[address] >= MOST_A_MINUTE:
                return _MINUTE - seconds % _MINUTE
            self._taken[address] += 1
            return 0


LIMIT = FeedLimit()
