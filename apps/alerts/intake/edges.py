"""The two ways in: ASGI and WSGI around the same core."""

from __future__ import annotations

import threading
from asyncio import get_running_loop
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from http import HTTPStatus
from typing import Any

from django.conf import settings

from apps.alerts.intake.bell import Bell
from apps.alerts.intake.committer import Committer, Ticket, Unavailable
from apps.alerts.intake.core import (
    UNAVAILABLE,
    Address,
    Answer,
    Known,
    accepted,
    admit,
    count,
    locate,
    problem,
    refuse_head,
    too_large,
)
from apps.alerts.intake.storage import Row, storage
from apps.foundation.bodies import BrokenBody, Receive, TooLongBody, read_asgi, read_wsgi
from apps.foundation.clock import now

Scope = MutableMapping[str, Any]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

WAIT_SECONDS = 3.0

_starting = threading.Lock()
_committer: Committer | None = None


def committer() -> Committer:
    """This process's committer, started with the first request: never before a server forks its workers."""
    global _committer  # noqa: PLW0603  # one per process is the point of group commit
    if _committer is None:
        with _starting:
            if _committer is None:
                _committer = Committer(storage(), Bell())
    return _committer


def stop_committer() -> None:
    """Finish what waits and forget the thread and its connection; the next request starts anew."""
    global _committer  # the same
    with _starting:
        running, _committer = _committer, None
    if running is not None:
        running.stop()


async def asgi_intake(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer one request below /in/. 202 only after its payload is committed."""
    answer = await _answer_async(scope, receive)
    headers = [(b"content-type", answer.content_type.encode()), (b"content-length", b"%d" % len(answer.body))]
    headers += [(name.lower().encode(), value.encode()) for name, value in answer.headers]
    await send({"type": "http.response.start", "status": answer.status, "headers": headers})
    await send({"type": "http.response.body", "body": answer.body})


async def _answer_async(scope: Scope, receive: Receive) -> Answer:
    if scope["type"] != "http":
        raise RuntimeError("Intake speaks only HTTP.")
    address = locate(scope["method"], scope["path"])
    if isinstance(address, Answer):
        return address
    try:
        return await _take_async(address, scope, receive)
    except Unavailable:
        return UNAVAILABLE
    except TooLongBody:
        return too_large(settings.INTAKE_MAX_BYTES)
    except BrokenBody as broken:
        return problem(400, str(broken))


async def _take_async(address: Address, scope: Scope, receive: Receive) -> Answer:
    known = admit(address, await _known_async(address))
    if isinstance(known, Answer):
        return known
    if (refused := _refuse_scope_head(scope)) is not None:
        return refused
    body = await read_asgi(receive, settings.INTAKE_MAX_BYTES)
    number = count(address.kind, body)
    if isinstance(number, Answer):
        return number
    ticket = committer().put(Row(known.id, body, now()), get_running_loop())
    await ticket.settled_async(WAIT_SECONDS)
    return _outcome(address, number, ticket)


def _outcome(address: Address, number: int, ticket: Ticket) -> Answer:
    return UNAVAILABLE if ticket.receipt_id is None else accepted(address.kind, number, ticket.receipt_id)


async def _known_async(address: Address) -> Known | None:
    running = committer()
    known, certain = running.find(address.digest)
    if not certain:
        await running.put(None, get_running_loop()).settled_async(WAIT_SECONDS)
        known, certain = running.find(address.digest)
        if not certain:
            raise Unavailable("The keys can't be read now.")
    return known


def _refuse_scope_head(scope: Scope) -> Answer | None:
    length = encoding = None
    for name, value in scope["headers"]:
        if name == b"content-length":
            length = value.decode("latin-1")
        elif name == b"content-encoding":
            encoding = value.decode("latin-1")
    return refuse_head(length, encoding, settings.INTAKE_MAX_BYTES)


def wsgi_intake(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    """The same for a WSGI server; the thread waits for the commit."""
    answer = _answer(environ)
    phrase = HTTPStatus(answer.status).phrase
    headers = [("Content-Type", answer.content_type), ("Content-Length", str(len(answer.body))), *answer.headers]
    start_response(f"{answer.status} {phrase}", headers)
    return [answer.body]


def _answer(environ: dict[str, Any]) -> Answer:
    address = locate(environ["REQUEST_METHOD"], environ.get("PATH_INFO", ""))
    if isinstance(address, Answer):
        return address
    try:
        return _take(address, environ)
    except Unavailable:
        return UNAVAILABLE
    except TooLongBody:
        return too_large(settings.INTAKE_MAX_BYTES)
    except BrokenBody as broken:
        return problem(400, str(broken))


def _take(address: Address, environ: dict[str, Any]) -> Answer:
    known = admit(address, _known(address))
    if isinstance(known, Answer):
        return known
    length, encoding = environ.get("CONTENT_LENGTH") or None, environ.get("HTTP_CONTENT_ENCODING")
    if (refused := refuse_head(length, encoding, settings.INTAKE_MAX_BYTES)) is not None:
        return refused
    body = read_wsgi(environ, settings.INTAKE_MAX_BYTES)
    number = count(address.kind, body)
    if isinstance(number, Answer):
        return number
    ticket = committer().put(Row(known.id, body, now()), None)
    ticket.settled(WAIT_SECONDS)
    return _outcome(address, number, ticket)


def _known(address: Address) -> Known | None:
    running = committer()
    known, certain = running.find(address.digest)
    if not certain:
        running.put(None, None).settled(WAIT_SECONDS)
        known, certain = running.find(address.digest)
        if not certain:
            raise Unavailable("The keys can't be read now.")
    return known
