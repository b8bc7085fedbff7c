"""The two ways in: ASGI and WSGI around the same core."""

from __future__ import annotations

import asyncio
import os
import threading
from asyncio import AbstractEventLoop, Future
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from contextlib import suppress
from http import HTTPStatus
from typing import Any

from apps.flags.ofrep.core import (
    CUT_OFF,
    MAX_BYTES,
    TOO_LARGE,
    UNAVAILABLE,
    Answer,
    Head,
    Target,
    admit,
    credential,
    knows_newer,
    locate,
    refuse_head,
    respond,
)
from apps.flags.ofrep.cors import allowing, preflight
from apps.flags.ofrep.storage import Known
from apps.flags.ofrep.watcher import Watcher
from apps.foundation.bodies import BrokenBody, Receive, TooLongBody, read_asgi, read_wsgi

Scope = MutableMapping[str, Any]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

WAIT_SECONDS = 1.5
_HEADERS = {
    b"authorization": "authorization",
    b"x-api-key": "api_key",
    b"x-environment": "environment",
    b"content-length": "content_length",
    b"content-encoding": "content_encoding",
    b"if-none-match": "if_none_match",
    b"origin": "origin",
}

_starting = threading.Lock()
_watcher: Watcher | None = None


def watcher() -> Watcher:
    """This process's watcher, started with the first request: never before a server forks its workers."""
    global _watcher  # noqa: PLW0603  # one per process
    if _watcher is None:
        with _starting:
            if _watcher is None:
                _watcher = Watcher()
    return _watcher


def stop_watcher() -> None:
    """End the thread and give its connection back; the next request starts anew."""
    global _watcher  # the same
    with _starting:
        running, _watcher = _watcher, None
    if running is not None:
        running.stop()


def _forget() -> None:
    """In a forked child there is no such thread: it starts one of its own."""
    global _watcher, _starting  # the same
    _watcher, _starting = None, threading.Lock()


os.register_at_fork(after_in_child=_forget)


# --- ASGI ---------------------------------------------------------------------------------------------------------


async def asgi_ofrep(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer one request below /ofrep/, from memory."""
    given = {}
    for name, value in scope["headers"]:
        if name in _HEADERS:
            given[_HEADERS[name]] = value.decode("latin-1")
    if query := scope.get("query_string"):
        given["query"] = query.decode("latin-1")
    head = Head(**given)
    answer = await _answer_async(scope, receive, head)
    headers = [(name.lower().encode(), value.encode("latin-1", "replace")) for name, value in _headers(answer, head)]
    if answer.status not in (204, 304):
        headers.append((b"content-length", b"%d" % len(answer.body)))
    await send({"type": "http.response.start", "status": answer.status, "headers": headers})
    await send({"type": "http.response.body", "body": answer.body})


def _headers(answer: Answer, head: Head) -> tuple[tuple[str, str], ...]:
    """With those that pages of another origin need, where the request came from one."""
    if head.origin is None:
        return answer.headers
    return (*answer.headers, *(preflight if answer.status == HTTPStatus.NO_CONTENT else allowing)(head.origin))


async def _answer_async(scope: Scope, receive: Receive, head: Head) -> Answer:
    if scope["type"] != "http":
        raise RuntimeError("Flags are asked for by HTTP only.")
    target = locate(scope["method"], scope["path"])
    if isinstance(target, Answer):
        return target
    digest = credential(head)
    if isinstance(digest, Answer):
        return digest
    running = watcher()
    known, is_certain = running.find(digest)
    if not is_certain or running.snapshot is None or (head.query and knows_newer(head, running.snapshot)):
        await look_async(running, digest, flags=bool(head.query))
        known, is_certain = running.find(digest)
    refused = _refuse(running, known, is_certain=is_certain) or refuse_head(head)
    if refused is not None:
        return refused
    try:
        body = await read_asgi(receive, MAX_BYTES)
    except TooLongBody:
        return TOO_LARGE
    except BrokenBody:
        return CUT_OFF
    return _respond(running, target, head, body, known)


def _refuse(running: Watcher, known: Any, *, is_certain: bool) -> Answer | None:
    return admit(known) if is_certain and running.snapshot is not None else UNAVAILABLE


def _respond(running: Watcher, target: Target, head: Head, body: bytes, known: Known | None) -> Answer:
    snapshot = running.snapshot
    if snapshot is None or known is None:
        return UNAVAILABLE
    return respond(target, head, body, snapshot, known.id)


async def look_async(running: Watcher, digest: str, *, flags: bool = False) -> None:
    """Wait in the event loop for the next look, also at the flags if wanted."""
    loop = asyncio.get_running_loop()
    looked: Future[None] = loop.create_future()
    if running.ask(digest, lambda: _wake(loop, looked), flags=flags):
        with suppress(TimeoutError):
            await asyncio.wait_for(looked, WAIT_SECONDS)


def _wake(loop: AbstractEventLoop, looked: Future[None]) -> None:
    def settle() -> None:
        if not looked.done():
            looked.set_result(None)

    with suppress(RuntimeError):  # the loop is closed: nobody waits any more
        loop.call_soon_threadsafe(settle)


# --- WSGI ---------------------------------------------------------------------------------------------------------


def wsgi_ofrep(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    """The same for a WSGI server."""
    head = Head(
        environ.get("HTTP_AUTHORIZATION"),
        environ.get("HTTP_X_API_KEY"),
        environ.get("HTTP_X_ENVIRONMENT"),
        environ.get("CONTENT_LENGTH"),
        environ.get("HTTP_CONTENT_ENCODING"),
        environ.get("HTTP_IF_NONE_MATCH"),
        environ.get("QUERY_STRING", ""),
        environ.get("HTTP_ORIGIN"),
    )
    answer = _answer(environ, head)
    headers = list(_headers(answer, head))
    if answer.status not in (204, 304):
        headers.append(("Content-Length", str(len(answer.body))))
    start_response(f"{answer.status} {HTTPStatus(answer.status).phrase}", headers)
    return [answer.body]


def _answer(environ: dict[str, Any], head: Head) -> Answer:
    # WSGI hands the decoded bytes of the path over as if they were latin-1.
    path = environ.get("PATH_INFO", "").encode("latin-1", "replace").decode("utf-8", "replace")
    target = locate(environ["REQUEST_METHOD"], path)
    if isinstance(target, Answer):
        return target
    digest = credential(head)
    if isinstance(digest, Answer):
        return digest
    running = watcher()
    known, is_certain = running.find(digest)
    if not is_certain or running.snapshot is None or (head.query and knows_newer(head, running.snapshot)):
        looked = threading.Event()
        if running.ask(digest, looked.set, flags=bool(head.query)):
            looked.wait(WAIT_SECONDS)
        known, is_certain = running.find(digest)
    refused = _refuse(running, known, is_certain=is_certain) or refuse_head(head)
    if refused is not None:
        return refused
    try:
        body = read_wsgi(environ, MAX_BYTES)
    except TooLongBody:
        return TOO_LARGE
    except BrokenBody:
        return CUT_OFF
    return _respond(running, target, head, body, known)
