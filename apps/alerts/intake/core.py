"""What intake answers: pure functions of the request and of the integration its key belongs to."""

from __future__ import annotations

import hashlib
from http import HTTPStatus
from typing import NamedTuple

import orjson

from apps.alerts.documents import BadPayload, parse
from apps.alerts.payloads import READERS

RETRY_AFTER_SECONDS = 1
JSON = "application/json"
PROBLEM = "application/problem+json"


class Known(NamedTuple):
    """What the door knows of an integration."""

    id: int
    kind: str
    state: str


class Answer(NamedTuple):
    """A finished response."""

    status: int
    body: bytes
    content_type: str = PROBLEM
    headers: tuple[tuple[str, str], ...] = ()


class Address(NamedTuple):
    """A path under /in/, taken apart. Only the digest of the key goes on from here."""

    kind: str
    digest: str


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
    if kind not in READERS or not key:
        return _NOT_FOUND
    if method != "POST":
        return problem(405, f"{method} is not answered here: send a POST.", headers=(("Allow", "POST"),))
    return Address(kind, hashlib.sha256(key.encode("utf-8", "replace")).hexdigest())


_NOT_FOUND = problem(404, "No integration has this address.")
_REVOKED = problem(401, "The key of this integration was revoked: make a new one and put it into the sender's address.")
UNAVAILABLE = problem(
    503,
    "The database can't take this now; nothing was kept. Send it again.",
    headers=(("Retry-After", str(RETRY_AFTER_SECONDS)),),
)


def admit(address: Address, known: Known | None) -> Known | Answer:
    """The integration that the sender may speak to, or why it may not."""
    if known is None or known.kind != address.kind:
        return _NOT_FOUND
    return _REVOKED if known.state == "revoked" else known


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


def count(kind: str, body: bytes) -> int | Answer:
    """How many alerts or changes the body brings, once all of it was found to be in order."""
    try:
        return len(READERS[kind](parse(body)))
    except BadPayload as error:
        return problem(400, error.message, path=error.path)


def accepted(kind: str, number: int, receipt_id: int) -> Answer:
    """The answer to a payload that is committed."""
    what = b"changes" if kind == "change" else b"alerts"
    return Answer(202, b'{"receipts":1,"%b":%d,"receipt_id":%d}' % (what, number, receipt_id), JSON)
