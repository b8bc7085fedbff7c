"""What intake answers: pure functions of the request and of the integration its key belongs to."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, NamedTuple

import orjson

from apps.alerts.documents import BadPayload, parse
from apps.alerts.pagerduty import given_key, made_key, routing_key
from apps.alerts.readers import BEAT, CHANGE, READERS, reader

RETRY_AFTER_SECONDS = 1
JSON = "application/json"
PROBLEM = "application/problem+json"


class Known(NamedTuple):
    """What the door knows of an integration."""

    id: int
    kind: str
    state: str
    limit: int = 0
    mapping: Mapping[str, str] = {}
    until: float = float("inf")


class Answer(NamedTuple):
    """A finished response."""

    status: int
    body: bytes
    content_type: str = PROBLEM
    headers: tuple[tuple[str, str], ...] = ()


class Address(NamedTuple):
    """Which integration is spoken to, and in what form. Only the digest of the key goes on from here."""

    kind: str
    digest: str
    form: str = ""
    head_only: bool = False


def problem(status: int, detail: str, *, path: str | None = None, headers: tuple[tuple[str, str], ...] = ()) -> Answer:
    """An error as problem+json (RFC 9457); `path` names the offending field."""
    phrase = HTTPStatus(status)
    content: dict[str, object] = {
        "type": "about:blank",
        "title": phrase.phrase,
        "status": status,
        "code": phrase.name.lower(),
        "detail": detail,
    }
    if path:
        content["path"] = path
        content["fields"] = {path: [detail]}
    return Answer(status, orjson.dumps(content), PROBLEM, headers)


def locate(method: str, path: str) -> Address | Answer:
    """Which integration a request speaks to, or why it can't be answered."""
    parts = path.split("/")
    # "", "in", kind, key and, after a final slash, ""
    if len(parts) not in (4, 5) or parts[1] != "in" or parts[-1] != ("" if len(parts) == 5 else parts[3]):  # noqa: PLR2004  # counted in the line above
        return _NOT_FOUND
    kind, key = parts[2], parts[3]
    if kind not in _KINDS or not key:
        return _NOT_FOUND
    if kind == HEARTBEAT:
        if method not in _BEATS:
            return problem(405, f"{method} is no beat: send a GET, HEAD or POST.", headers=(("Allow", _BEATS_ALLOWED),))
        return Address(kind, digest_of(key), BEAT, head_only=method == "HEAD")
    if method != "POST":
        return _method_not_allowed(method)
    return Address(kind, digest_of(key))


def digest_of(key: str) -> str:
    """What the portal keeps of a key."""
    return hashlib.sha256(key.encode("utf-8", "replace")).hexdigest()


def _method_not_allowed(method: str) -> Answer:
    return problem(405, f"{method} is not answered here: send a POST.", headers=(("Allow", "POST"),))


HEARTBEAT = "heartbeat"
PAGERDUTY = "pagerduty"
ENQUEUE_PATHS = {"/v2/enqueue": "", "/v2/change/enqueue": CHANGE}
"""Where clients of PagerDuty's Events API send to, and the form of what they send there."""

_KINDS = (READERS.keys() - {PAGERDUTY}) | {HEARTBEAT}
_BEATS = ("GET", "HEAD", "POST")
_BEATS_ALLOWED = ", ".join(_BEATS)
_NOT_FOUND = problem(404, "No integration has this address.")
_REVOKED = problem(401, "The key of this integration was revoked: make a new one and put it into the sender's address.")
UNAVAILABLE = problem(
    503,
    "The database can't take this now; nothing was kept. Send it again.",
    headers=(("Retry-After", str(RETRY_AFTER_SECONDS)),),
)


def admit(address: Address, known: Known | None, at: float = 0) -> Known | Answer:
    """The integration that the sender may speak to at the instant `at`, or why it may not."""
    if known is None or known.kind != address.kind:
        return _NOT_FOUND
    return _REVOKED if known.state == "revoked" or at >= known.until else known


def over_limit(seconds: int) -> Answer:
    """The integration sent more than it may in this minute; nothing was kept, but it is counted and told."""
    return problem(
        429,
        "This integration sent more requests in this minute than it may; nothing of this one was kept. Send it again "
        "after Retry-After, or send several alerts in one request.",
        headers=(("Retry-After", str(seconds)),),
    )


def refuse_head(content_length: str | None, content_encoding: str | None, limit: int) -> Answer | None:
    """Why the body need not even be read; None lets it come."""
    if content_encoding and content_encoding.strip().lower() != "identity":
        return problem(415, "Send the JSON as it is: compressed bodies are not taken.")
    if content_length is not None:
        if not content_length.isascii() or not content_length.isdigit():
            return problem(400, "Content-Length is not a number.")
        if len(content_length) > 15 or int(content_length) > limit:  # noqa: PLR2004  # far more digits than any limit has
            return too_large(limit)
    return None


def too_large(limit: int) -> Answer:
    """The body is over the limit, as told by its header or found while reading."""
    return problem(413, f"The body has more than {limit} bytes: send fewer alerts at once.")


def count(kind: str, body: bytes, form: str = "", mapping: Mapping[str, str] = {}) -> int | Answer:  # never written
    """How many alerts or changes the body brings, once all of it was found to be in order."""
    if form == BEAT:
        return 1
    try:
        return len(reader(kind, form, mapping)(parse(body)))
    except BadPayload as error:
        return problem(400, error.message, path=error.path)


def accepted(address: Address, number: int, receipt_id: int) -> Answer:
    """The answer to a payload that is committed."""
    if address.head_only:
        return Answer(202, b"", JSON)
    what = _BROUGHT.get(address.kind, b"alerts")
    return Answer(202, b'{"receipts":1,"%b":%d,"receipt_id":%d}' % (what, number, receipt_id), JSON)


_BROUGHT = {"change": b"changes", HEARTBEAT: b"beats"}


# --- PagerDuty's Events API: the key is in the body, and the answers have another form ------------------------------


def open_envelope(body: bytes, form: str) -> tuple[Address, dict[str, Any]] | Answer:
    """Whom an event is for, and the event; an answer when it has no readable routing key."""
    try:
        document = parse(body)
        return Address(PAGERDUTY, digest_of(routing_key(document)), form), document
    except BadPayload as error:
        return problem(400, error.message, path=error.path)


def check_event(address: Address, document: dict[str, Any]) -> Answer | None:
    """What is wrong with an event; None when it is in order."""
    try:
        reader(PAGERDUTY, address.form, {})(document)
    except BadPayload as error:
        return problem(400, error.message, path=error.path)
    return None


def enqueue_problem(method: str) -> Answer | None:
    """Only POST is answered there."""
    return None if method == "POST" else _method_not_allowed(method)


def enqueued(address: Address, document: dict[str, Any], receipt_id: int) -> Answer:
    """PagerDuty's answer to an event that is committed."""
    if address.form == CHANGE:
        return Answer(202, b'{"status":"success","message":"Change event processed"}', JSON)
    dedup_key = given_key(document) or made_key(receipt_id)
    content = {"status": "success", "message": "Event processed", "dedup_key": dedup_key}
    return Answer(202, orjson.dumps(content), JSON)


def as_pagerduty(answer: Answer) -> Answer:
    """A refusal in PagerDuty's words; a key that nobody knows is an invalid event, which its clients don't retry."""
    said = orjson.loads(answer.body)
    path, detail = said.get("path", ""), said["detail"]
    if answer.status in (400, 401, 404):
        reason = f"{path}: {detail}" if path else detail
        if answer.status != 400:  # noqa: PLR2004  # the two of a key that opens nothing
            reason = "routing_key: " + ("it was revoked." if answer.status == 401 else "no integration has this key.")  # noqa: PLR2004  # the same
        content = {"status": "invalid event", "message": "Event object is invalid", "errors": [reason]}
        return Answer(400, orjson.dumps(content), JSON, answer.headers)
    status = "throttle exceeded" if answer.status == 429 else said["code"].replace("_", " ")  # noqa: PLR2004  # Too Many Requests
    return Answer(answer.status, orjson.dumps({"status": status, "message": detail}), JSON, answer.headers)
