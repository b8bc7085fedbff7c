"""The ASGI side of the streams: one coroutine for each open page, without any database work in it."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any
from urllib.parse import parse_qs

import orjson

from apps.incidents.streams.credentials import Refusal, credential_of
from apps.incidents.streams.frames import HEARTBEAT
from apps.incidents.streams.hub import hub
from apps.incidents.streams.page import Stream

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

HEARTBEAT_SECONDS = 15.0

_INCIDENT = re.compile(r"/events/incidents/([0-9]{1,18})/?")
_HOME = re.compile(r"/events/home/?")
_NOT_FOUND = Refusal(404, "not_found", "There is no such stream.")
_WRONG_METHOD = Refusal(405, "method_not_allowed", "A stream is opened by GET.")


async def application(scope: Scope, receive: Receive, send: Send) -> None:
    """Everything that a server may send here: streams, and the server's own start and stop."""
    if scope["type"] == "lifespan":
        await lifespan(receive, send)
    elif scope["type"] == "http":
        await stream(scope, receive, send)
    else:
        raise ValueError(f"The event streams don't speak {scope['type']}.")


async def lifespan(receive: Receive, send: Send) -> None:
    """Acknowledge the start; at the stop end every stream, so that the server need not wait for them."""
    while True:
        message = await receive()
        if message["type"] == "lifespan.startup":
            await send({"type": "lifespan.startup.complete"})
        elif message["type"] == "lifespan.shutdown":
            hub.retire()
            await send({"type": "lifespan.shutdown.complete"})
            return


async def stream(scope: Scope, receive: Receive, send: Send) -> None:
    """Serve one stream until its page closes, its permission ends, or the server stops."""
    target = _target(scope)
    if isinstance(target, Refusal):
        await _refuse(target, send)
        return
    opened = Stream(
        incident_id=target,
        credential=credential_of(scope["headers"]),
        after=_after(scope),
        loop=asyncio.get_running_loop(),
    )
    refusal = await hub.open(opened)
    try:
        if refusal is not None:
            await _refuse(refusal, send)
        else:
            await _serve(opened, receive, send)
    finally:
        hub.close(opened)


def _target(scope: Scope) -> int | Refusal | None:
    """The incident's id, None for home, or why neither."""
    path = scope["path"]
    found = _INCIDENT.fullmatch(path)
    if found is None and _HOME.fullmatch(path) is None:
        return _NOT_FOUND
    if scope["method"] != "GET":
        return _WRONG_METHOD
    return int(found[1]) if found else None


def _after(scope: Scope) -> int | None:
    """Where the page stands: `Last-Event-ID` after a break, else `?after=` of the first connection."""
    headers = {name.lower(): value for name, value in scope["headers"]}
    given = headers.get(b"last-event-id", b"").decode("latin-1")
    if not given:
        query = parse_qs(scope.get("query_string", b"").decode("latin-1"))
        given = query.get("after", [""])[0]
    return int(given) if re.fullmatch(r"[0-9]{1,10}", given) else None


async def _refuse(refusal: Refusal, send: Send) -> None:
    body = orjson.dumps(
        {
            "type": "about:blank",
            "title": refusal.code.replace("_", " ").capitalize(),
            "status": refusal.status,
            "code": refusal.code,
            "detail": refusal.detail,
        }
    )
    headers = [(b"content-type", b"application/problem+json"), (b"cache-control", b"no-store")]
    extra = {401: (b"www-authenticate", b"Bearer"), 405: (b"allow", b"GET"), 429: (b"retry-after", b"10")}
    if refusal.status in extra:
        headers.append(extra[refusal.status])
    await send({"type": "http.response.start", "status": refusal.status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def _serve(opened: Stream, receive: Receive, send: Send) -> None:
    headers = [
        (b"content-type", b"text/event-stream; charset=utf-8"),
        (b"cache-control", b"no-store"),
        (b"x-accel-buffering", b"no"),
    ]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    gone = asyncio.ensure_future(_until_gone(receive))
    try:
        while True:
            frames = asyncio.ensure_future(opened.next_frames())
            await asyncio.wait({gone, frames}, timeout=HEARTBEAT_SECONDS, return_when=asyncio.FIRST_COMPLETED)
            if gone.done():
                frames.cancel()
                return
            if not frames.done():
                frames.cancel()
                await _send_body(send, HEARTBEAT, more=True)
                continue
            body, more = frames.result()
            await _send_body(send, body, more=more)
            if not more:
                return
    finally:
        gone.cancel()


async def _until_gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def _send_body(send: Send, body: bytes, *, more: bool) -> None:
    await send({"type": "http.response.body", "body": body, "more_body": more})
