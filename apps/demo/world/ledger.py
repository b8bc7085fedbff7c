"""What was asked to change, and by which key: the proof of what a rollback did, and the memory that makes it safe.

Kept in memory: a world that starts anew has seen nothing yet.
"""

from __future__ import annotations

import hashlib
import threading
from collections import OrderedDict, deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

KEPT_REQUESTS = 200
KEPT_ANSWERS = 500
LONGEST_KEY = 200


@dataclass(frozen=True, slots=True)
class Said:
    """An answer as it was given."""

    status: int
    body: dict[str, Any]
    etag: int | None = None


@dataclass(frozen=True, slots=True)
class Asked:
    """A request that may change something."""

    method: str
    path: str
    key: str
    body: bytes

    @property
    def fingerprint(self) -> str:
        text = f"{self.method} {self.path}\n".encode() + self.body
        return hashlib.sha256(text).hexdigest()


class Ledger:
    """Every changing request of the last while; one at a time, so that two with one key can't both have an effect."""

    def __init__(self, clock: Callable[[], str]) -> None:
        self._clock = clock
        self._lock = threading.RLock()
        self._requests: deque[dict[str, Any]] = deque(maxlen=KEPT_REQUESTS)
        self._answers: OrderedDict[str, tuple[str, Said]] = OrderedDict()

    def requests(self) -> list[dict[str, Any]]:
        """The changing requests, oldest first."""
        with self._lock:
            return [dict(entry) for entry in self._requests]

    def once(self, asked: Asked, handle: Callable[[], Said]) -> tuple[Said, bool]:
        """The answer to a request, and whether it is a repetition, which changes nothing.

        Only successes are remembered under their key: what was refused may be tried again. A key that comes with
        another request is refused with 422.
        """
        with self._lock:
            known = self._answers.get(asked.key) if asked.key else None
            if known is not None:
                fingerprint, before = known
                if fingerprint != asked.fingerprint:
                    before = Said(422, {"error": "This Idempotency-Key was used for another request."})
                self._note(asked, before.status, repeated=True)
                return before, True
            said = handle()
            if asked.key and said.status < 300:  # noqa: PLR2004  # HTTP's successes
                self._answers[asked.key] = (asked.fingerprint, said)
                while len(self._answers) > KEPT_ANSWERS:
                    self._answers.popitem(last=False)
            self._note(asked, said.status, repeated=False)
            return said, False

    def _note(self, asked: Asked, status: int, *, repeated: bool) -> None:
        self._requests.append(
            {
                "at": self._clock(),
                "method": asked.method,
                "path": asked.path,
                "idempotency_key": asked.key,
                "status": status,
                "repeated": repeated,
            }
        )
