"""The two ways in: ASGI and WSGI around the same core."""

from __future__ import annotations

import threading
from asyncio import get_running_loop
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from datetime import datetime
from http import HTTPStatus
from time import monotonic
from typing import Any

from django.conf import settings

from apps.alerts.intake.bell import Bell
from apps.alerts.intake.committer import Committer, Ticket, Unavailable
from apps.alerts.intake.core import (
    ENQUEUE_PATHS,
    UNAVAILABLE,
    Address,
    Answer,
    Known,
    accepted,
    admit,
    as_pagerduty,
    check_event,
    count,
    enqueue_problem,
    enqueued,
    locate,
    open_envelope,
    over_limit,
    problem,
    refuse_head,
    too_large,
)
from apps.alerts.intake.storage import Row, storage
from apps.alerts.readers import BEAT
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


def is_intake(path: str) -> bool:
    """Whether a path is answered here, in front of Django."""
    return path.startswith("/in/") or path.rstrip("/") in ENQUEUE_PATHS


async def asgi_intake(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer one request below /in/, or one event for PagerDuty. 202 only after its payload is committed."""
    answer = await _answer_async(scope, receive)
    headers = [(b"content-type", answer.content_type.encode()), (b"content-length", b"%d" % len(answer.body))]
    headers += [(name.lower().encode(), value.encode()) for name, value in answer.headers]
    await send({"type": "http.response.start", "status": answer.status, "headers": headers})
    await send({"type": "http.response.body", "body": answer.body})


async def _answer_async(scope: Scope, receive: Receive) -> Answer:
    if scope["type"] != "http":
        raise RuntimeError("Intake speaks only HTTP.")
    form = ENQUEUE_PATHS.get(scope["path"].rstrip("/"))
    if form is not None:
        answer = enqueue_problem(scope["method"]) or await _or_unavailable(_enqueue_async(form, scope, receive))
        return answer if answer.status == HTTPStatus.ACCEPTED else as_pagerduty(answer)
    address = locate(scope["method"], scope["path"])
    if isinstance(address, Answer):
        return address
    return await _or_unavailable(_take_async(address, scope, receive))


async def _or_unavailable(taking: Awaitable[Answer]) -> Answer:
    try:
        return await taking
    except Unavailable:
        return UNAVAILABLE


async def _take_async(address: Address, scope: Scope, receive: Receive) -> Answer:
    at = now()
    known = _let_in(address, await _known_async(address), at)
    if isinstance(known, Answer):
        return known
    if (refused := _refuse_scope_head(scope)) is not None:
        return refused
    # A beat says nothing but that it came: whatever its body holds is not read.
    body = b"" if address.form == BEAT else await _read_async(receive)
    if isinstance(body, Answer):
        return body
    number = count(address.kind, body, address.form, known.mapping)
    if isinstance(number, Answer):
        return number
    ticket = await _commit_async(_row(address, known, body, at))
    return UNAVAILABLE if ticket.receipt_id is None else accepted(address, number, ticket.receipt_id)


async def _enqueue_async(form: str, scope: Scope, receive: Receive) -> Answer:
    """The same for an event of PagerDuty's, whose key is in the body."""
    at = now()
    if (refused := _refuse_scope_head(scope)) is not None:
        return refused
    body = await _read_async(receive)
    if isinstance(body, Answer):
        return body
    opened = open_envelope(body, form)
    if isinstance(opened, Answer):
        return opened
    address, document = opened
    known = _let_in(address, await _known_async(address), at)
    if isinstance(known, Answer):
        return known
    if (wrong := check_event(address, document)) is not None:
        return wrong
    ticket = await _commit_async(_row(address, known, body, at))
    return UNAVAILABLE if ticket.receipt_id is None else enqueued(address, document, ticket.receipt_id)


async def _commit_async(row: Row) -> Ticket:
    ticket = committer().put(row, get_running_loop())
    await ticket.settled_async(WAIT_SECONDS)
    return ticket


def _let_in(address: Address, known: Known | None, at: datetime) -> Known | Answer:
    """The integration, if its key opens and it is under its limit; the request is counted either way."""
    instant = at.timestamp()
    found = admit(address, known, instant)
    if isinstance(found, Answer):
        return found
    seconds = committer().admit(found, instant)
    return over_limit(seconds) if seconds else found


def _row(address: Address, known: Known, body: bytes, at: datetime) -> Row:
    return Row(known.id, body, at, address.form)


async def _known_async(address: Address) -> Known | None:
    running = committer()
    known, certain = running.find(address.digest)
    if not certain:
        asked_at = monotonic()
        await running.put(None, get_running_loop()).settled_async(WAIT_SECONDS)
        known, certain = running.find(address.digest, asked_at)
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


async def _read_async(receive: Receive) -> bytes | Answer:
    try:
        return await read_asgi(receive, settings.INTAKE_MAX_BYTES)
    except TooLongBody:
        return too_large(settings.INTAKE_MAX_BYTES)
    except BrokenBody as broken:
        return problem(400, str(broken))


def wsgi_intake(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    """The same for a WSGI server; the thread waits for the commit."""
    answer = _answer(environ)
    phrase = HTTPStatus(answer.status).phrase
    headers = [("Content-Type", answer.content_type), ("Content-Length", str(len(answer.body))), *answer.headers]
    start_response(f"{answer.status} {phrase}", headers)
    return [answer.body]


def _answer(environ: dict[str, Any]) -> Answer:
    method, path = environ["REQUEST_METHOD"], environ.get("PATH_INFO", "")
    form = ENQUEUE_PATHS.get(path.rstrip("/"))
    try:
        if form is not None:
            answer = enqueue_problem(method) or _enqueue(form, environ)
            return answer if answer.status == HTTPStatus.ACCEPTED else as_pagerduty(answer)
        address = locate(method, path)
        return address if isinstance(address, Answer) else _take(address, environ)
    except Unavailable:
        return UNAVAILABLE if form is None else as_pagerduty(UNAVAILABLE)


def _take(address: Address, environ: dict[str, Any]) -> Answer:
    at = now()
    known = _let_in(address, _known(address), at)
    if isinstance(known, Answer):
        return known
    body = b"" if address.form == BEAT else _head_and_body(environ)
    if isinstance(body, Answer):
        return body
    number = count(address.kind, body, address.form, known.mapping)
    if isinstance(number, Answer):
        return number
    ticket = _commit(_row(address, known, body, at))
    return UNAVAILABLE if ticket.receipt_id is None else accepted(address, number, ticket.receipt_id)


def _enqueue(form: str, environ: dict[str, Any]) -> Answer:
    at = now()
    body = _head_and_body(environ)
    if isinstance(body, Answer):
        return body
    opened = open_envelope(body, form)
    if isinstance(opened, Answer):
        return opened
    address, document = opened
    known = _let_in(address, _known(address), at)
    if isinstance(known, Answer):
        return known
    if (wrong := check_event(address, document)) is not None:
        return wrong
    ticket = _commit(_row(address, known, body, at))
    return UNAVAILABLE if ticket.receipt_id is None else enqueued(address, document, ticket.receipt_id)


def _commit(row: Row) -> Ticket:
    ticket = committer().put(row, None)
    ticket.settled(WAIT_SECONDS)
    return ticket


def _head_and_body(environ: dict[str, Any]) -> bytes | Answer:
    length, encoding = environ.get("CONTENT_LENGTH") or None, environ.get("HTTP_CONTENT_ENCODING")
    if (refused := refuse_head(length, encoding, settings.INTAKE_MAX_BYTES)) is not None:
        return refused
    return _read(environ)


def _known(address: Address) -> Known | None:
    running = committer()
    known, certain = running.find(address.digest)
    if not certain:
        asked_at = monotonic()
        running.put(None, None).settled(WAIT_SECONDS)
        known, certain = running.find(address.digest, asked_at)
        if not certain:
            raise Unavailable("The keys can't be read now.")
    return known


def _read(environ: dict[str, Any]) -> bytes | Answer:
    try:
        return read_wsgi(environ, settings.INTAKE_MAX_BYTES)
    except TooLongBody:
        return too_large(settings.INTAKE_MAX_BYTES)
    except BrokenBody as broken:
        return problem(400, str(broken))
