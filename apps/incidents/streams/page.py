"""One open page: the hub's thread offers frames, the page's coroutine takes them."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from apps.incidents.streams import frames
from apps.incidents.streams.credentials import Credential, Refusal
from apps.people.models import User

logger = logging.getLogger(__name__)

WAITING_FRAMES = 500


class Stream:
    """What is known of an open page, and the frames that wait to be sent to it. No `incident_id` means home."""

    def __init__(
        self,
        *,
        incident_id: int | None,
        credential: Credential | None,
        after: int | None,
        loop: asyncio.AbstractEventLoop,
    ) -> None:
        self.incident_id = incident_id
        self.credential = credential
        self.after = after
        self.user: User | None = None
        self.seen_seq = 0
        self.hint_wanted = False
        self.hinted_at = 0.0
        self._loop = loop
        self._waiting: list[bytes] = []
        self._ready = asyncio.Event()
        self._ended = False
        self.admitted: asyncio.Future[Refusal | None] = loop.create_future()

    async def next_frames(self) -> tuple[bytes, bool]:
        """All frames that wait, as soon as there is one, and whether more may come."""
        await self._ready.wait()
        self._ready.clear()
        body, self._waiting = b"".join(self._waiting), []
        return body, not self._ended

    def answer(self, refusal: Refusal | None) -> None:
        """From the hub's thread: let the page in, or not."""
        self._call(lambda: None if self.admitted.done() else self.admitted.set_result(refusal))

    def offer(self, data: bytes, *, last: bool = False) -> None:
        """From any thread: queue a frame. A page that is too slow is sent away to come back where it stood."""
        self._call(lambda: self._put(data, last))

    def _put(self, data: bytes, last: bool) -> None:
        if self._ended:
            return
        if len(self._waiting) >= WAITING_FRAMES:
            self._waiting, data, last = [], frames.end_frame("too_slow", reconnect=True), True
        self._waiting.append(data)
        self._ended = last
        self._ready.set()

    def _call(self, func: Callable[[], None]) -> None:
        try:
            self._loop.call_soon_threadsafe(func)
        except RuntimeError:
            logger.debug("A stream's event loop is closed; its page is gone.")
