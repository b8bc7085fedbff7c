"""Event streams of OFREP: programs that hold all flags hear that theirs have changed, and ask anew.

After the protocol's 0.3.0 (service/event-streams.yaml, ADR 8): every event is a `message` whose data says
`refetchEvaluation`. Coroutines wait here; the watcher's thread, which looks for changes anyway, wakes them.
"""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import orjson

from apps.flags.ofrep.core import UNAVAILABLE, Answer, admit, failure
from apps.flags.ofrep.cors import allowing
from apps.flags.ofrep.edges import Scope, Send, look_async, watcher
from apps.flags.ofrep.offers import Ticket, ticket_of
from apps.flags.ofrep.storage import by_id
from apps.flags.ofrep.watcher import Watcher
from apps.flags.snapshot import Snapshot
from apps.foundation.bodies import Receive
from apps.foundation.clock import now
from apps.foundation.stopping import before_stopping

HEARTBEAT_SECONDS = 15.0
STREAMS_IN_PROCESS = 2_000
# Who asked for all flags shortly before a change may open the stream just after it.
JUST_NOW = timedelta(seconds=60)
HEARTBEAT = b": still here\n\n"
_OPENING = b"retry: 2000\n\n"
_NO_STREAM = failure(404, "There is no such stream: take its address from the answer for all flags.")
_WRONG_METHOD = failure(405, "A stream is opened by GET.", headers=(("Allow", "GET"),))
_FULL = failure(503, "This server has no stream left: try again later.", headers=(("Retry-After", "10"),))
_TYPE = (
    ("Content-Type", "text/event-stream; charset=utf-8"),
    ("Cache-Control", "no-store"),
    ("X-Accel-Buffering", "no"),
)


def number_of(snapshot: Snapshot, slug: str) -> str:
    """The id of an event, and what it calls the flags' `etag`: the newest revision, and what it makes of them."""
    return f"{snapshot.revision}-{snapshot.tag(slug)}"


def event_of(snapshot: Snapshot, slug: str) -> bytes:
    """The event that has a program ask for all flags again."""
    number = number_of(snapshot, slug)
    data: dict[str, Any] = {"type": "refetchEvaluation", "etag": number}
    if snapshot.changed_at is not None:
        data["lastModified"] = int(snapshot.changed_at.timestamp())
    return b"id: %b\nevent: message\ndata: %b\n\n" % (number.encode(), orjson.dumps(data))


def is_missed(snapshot: Snapshot, slug: str, last_id: str) -> bool:
    """Whether a stream that opens now begins with an event: something changed since the last one, or may have."""
    if last_id:
        return last_id.partition("-")[2] != snapshot.tag(slug)
    return snapshot.changed_at is not None and now() - snapshot.changed_at < JUST_NOW


class _Stopping:
    """Open streams would keep the server from stopping: they end when it is asked to, and come back elsewhere."""

    def __init__(self) -> None:
        self.is_heard = self.has_come = False

    def hear(self) -> None:
        if not self.is_heard:
            self.is_heard = True
            before_stopping(self.come)

    def come(self) -> None:
        self.has_come = True
        for wake in list(_open):
            wake()


_open: set[Any] = set()
_stopping = _Stopping()


async def asgi_flag_stream(scope: Scope, receive: Receive, send: Send) -> None:
    """Serve one stream until the program is gone, its token is no longer good, or the server stops."""
    headers = {
        name: value.decode("latin-1") for name, value in scope["headers"] if name in {b"origin", b"last-event-id"}
    }
    shared = allowing(headers[b"origin"]) if b"origin" in headers else ()
    ticket = ticket_of(scope["path"])
    refused = await _refuse(scope["method"], ticket)
    if refused is not None or ticket is None:
        await _start(send, refused or _NO_STREAM, shared)
        return
    await _start(send, Answer(200, _OPENING, _TYPE), shared, more=True)
    await _Stream(ticket, headers.get(b"last-event-id", "")).serve(receive, send)


async def _refuse(method: str, ticket: Ticket | None) -> Answer | None:
    if method != "GET":
        return _WRONG_METHOD
    if ticket is None:
        return _NO_STREAM
    running = watcher()
    if running.listener_count >= STREAMS_IN_PROCESS or _stopping.has_come:
        return _FULL
    return await _admit(running, ticket)


async def _admit(running: Watcher, ticket: Ticket) -> Answer | None:
    """Why the token of this ticket hears nothing; None lets it."""
    name = by_id(ticket.token_id)
    known, is_certain = running.find(name)
    if not is_certain or running.snapshot is None:
        await look_async(running, name)
        known, is_certain = running.find(name)
    return admit(known) if is_certain and running.snapshot is not None else UNAVAILABLE


async def _start(send: Send, answer: Answer, shared: tuple[tuple[str, str], ...], *, more: bool = False) -> None:
    headers = [
        (name.lower().encode(), value.encode("latin-1", "replace")) for name, value in (*answer.headers, *shared)
    ]
    await send({"type": "http.response.start", "status": answer.status, "headers": headers})
    await send({"type": "http.response.body", "body": answer.body, "more_body": more})


class _Stream:
    """One open connection. What it has told is the tag of the environment's flags that the program knows of."""

    def __init__(self, ticket: Ticket, last_id: str) -> None:
        self.ticket, self._last_id = ticket, last_id
        self._loop = asyncio.get_running_loop()
        self._changed = asyncio.Event()
        self._told: str | None = None

    def _wake(self) -> None:
        """From any thread."""
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._changed.set)

    async def serve(self, receive: Receive, send: Send) -> None:
        running = watcher()
        _stopping.hear()
        _open.add(self._wake)
        running.listen(self._wake)
        gone = asyncio.ensure_future(_until_gone(receive))
        try:
            while not gone.done() and await _admit(running, self.ticket) is None and not _stopping.has_come:
                body = self._news(running.snapshot)
                if body:
                    await send({"type": "http.response.body", "body": body, "more_body": True})
                if not await self._wait(gone):
                    await send({"type": "http.response.body", "body": HEARTBEAT, "more_body": True})
            if not gone.done():
                await send({"type": "http.response.body", "body": b"", "more_body": False})
        finally:
            gone.cancel()
            running.forget(self._wake)
            _open.discard(self._wake)

    def _news(self, snapshot: Snapshot | None) -> bytes:
        if snapshot is None:
            return b""
        slug, before = self.ticket.slug, self._told
        self._told = snapshot.tag(slug)
        is_new = is_missed(snapshot, slug, self._last_id) if before is None else before != self._told
        return event_of(snapshot, slug) if is_new else b""

    async def _wait(self, gone: asyncio.Future[None]) -> bool:
        """Until something happens; False when nothing did for so long that a heartbeat is due."""
        changed: asyncio.Future[Any] = asyncio.ensure_future(self._changed.wait())
        await asyncio.wait([gone, changed], timeout=HEARTBEAT_SECONDS, return_when=asyncio.FIRST_COMPLETED)
        changed.cancel()
        happened = self._changed.is_set() or gone.done()
        self._changed.clear()
        return happened


async def _until_gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
