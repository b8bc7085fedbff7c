"""What is answered under /ofrep/: pure functions of the request and of what the process knows.

After the OpenFeature Remote Evaluation Protocol 0.3.0 (github.com/open-feature/protocol, service/openapi.yaml).
"""

from __future__ import annotations

import hashlib
from typing import Any, NamedTuple
from urllib.parse import parse_qs

import orjson

from apps.flags.ofrep.offers import offer
from apps.flags.ofrep.storage import SCOPE, Known
from apps.flags.snapshot import Environment, Snapshot

MAX_BYTES = 64 * 1024
MAX_DEPTH = 32
MAX_TOKEN_LENGTH = 200
MAX_ECHOED = 100
MAX_REMEMBERED, MAX_REMEMBERED_BYTES = 2_000, 2_048
BULK = "/ofrep/v1/evaluate/flags"
JSON = (("Content-Type", "application/json"),)
_STATUS = {"TARGETING_KEY_MISSING": 400, "GENERAL": 500}
ALLOW = (("Allow", "POST, OPTIONS"),)


class Answer(NamedTuple):
    """A finished response."""

    status: int
    body: bytes
    headers: tuple[tuple[str, str], ...] = JSON


class Head(NamedTuple):
    """The headers that matter, as they came."""

    authorization: str | None = None
    api_key: str | None = None
    environment: str | None = None
    content_length: str | None = None
    content_encoding: str | None = None
    if_none_match: str | None = None
    query: str = ""
    origin: str | None = None


class Target(NamedTuple):
    """What is asked for: one flag, or with None all of them."""

    key: str | None


def failure(
    status: int, details: str, *, code: str = "GENERAL", key: str | None = None, headers: tuple[Any, ...] = ()
) -> Answer:
    """An error as the protocol words it; `key` names the flag that was asked for."""
    content: dict[str, str] = {} if key is None else {"key": key[:MAX_ECHOED]}
    body = orjson.dumps(content | {"errorCode": code, "errorDetails": details})
    return Answer(status, body, (*JSON, *headers))


NO_ADDRESS = failure(404, f"POST to {BULK} for all flags, or to {BULK}/<key> for one.")
NO_TOKEN = failure(
    401,
    "Send an API token with the scope flags:read as `Authorization: Bearer <token>` or as `X-API-Key: <token>`.",
    headers=(("WWW-Authenticate", 'Bearer realm="incident portal"'),),
)
WRONG_TOKEN = failure(
    401,
    "This token is unknown, expired or revoked.",
    headers=(("WWW-Authenticate", 'Bearer realm="incident portal", error="invalid_token"'),),
)
WRONG_SCOPE = failure(403, f"This token lacks the scope {SCOPE}.")
TOO_LARGE = failure(413, f"The body has more than {MAX_BYTES} bytes.")
CUT_OFF = failure(400, "The body ended before it was complete.", code="PARSE_ERROR")
UNAVAILABLE = failure(
    503, "The flags can't be read now, and this server has not read them before.", headers=(("Retry-After", "1"),)
)


def locate(method: str, path: str) -> Target | Answer:
    """Which flag a request asks for, or why it can't be answered. `path` is percent-decoded."""
    if path == BULK:
        target = Target(None)
    elif path.startswith(f"{BULK}/"):
        # Only for the echo: whatever can't be UTF-8 is no key of ours.
        target = Target(path[len(BULK) + 1 :].encode("utf-8", "replace").decode())
    else:
        return NO_ADDRESS
    if method == "POST":
        return target
    if method == "OPTIONS":
        return Answer(204, b"", ALLOW)
    refused = failure(405, f"{method[:20]} is not answered here: send a POST.", key=target.key, headers=ALLOW)
    return refused._replace(body=b"") if method == "HEAD" else refused


def credential(head: Head) -> str | Answer:
    """The digest of the token that was sent; the text itself goes no further."""
    if head.authorization is not None:
        scheme, _, text = head.authorization.strip().partition(" ")
        text = text.strip() if scheme.lower() == "bearer" else ""
    else:
        text = (head.api_key or "").strip()
    if not text:
        return NO_TOKEN
    if len(text) > MAX_TOKEN_LENGTH:
        return WRONG_TOKEN
    return hashlib.sha256(text.encode()).hexdigest()


def admit(known: Known | None) -> Answer | None:
    """Why the holder of this token gets no answer; None lets them."""
    if known is None:
        return WRONG_TOKEN
    return None if known.may_read else WRONG_SCOPE


def refuse_head(head: Head) -> Answer | None:
    """Why the body need not even be read; None lets it come."""
    if head.content_encoding and head.content_encoding.strip().lower() != "identity":
        return failure(415, "Send the JSON as it is: compressed bodies are not taken.")
    length = head.content_length
    if length:
        if not (length.isascii() and length.isdigit()):
            return failure(400, "Content-Length is not a number.", code="PARSE_ERROR")
        if len(length) > 15 or int(length) > MAX_BYTES:  # noqa: PLR2004  # far more digits than any limit has
            return TOO_LARGE
    return None


def knows_newer(head: Head, snapshot: Snapshot) -> bool:
    """Whether the caller heard by an event of a newer revision than this process has read: then it looks first."""
    if not head.query:
        return False
    revision = parse_qs(head.query).get("flagConfigEtag", [""])[0].partition("-")[0]
    return revision.isascii() and revision.isdigit() and len(revision) <= 18 and int(revision) > snapshot.revision  # noqa: PLR2004  # digits of a big integer


def respond(target: Target, head: Head, body: bytes, snapshot: Snapshot, token_id: int = 0) -> Answer:
    """The answer to an admitted request with a whole body; one for all flags offers an event stream to its token."""
    found = snapshot.environment(head.environment)
    if found is None:
        known = ", ".join(snapshot.environments) or "none yet"
        named = (head.environment or "")[:MAX_ECHOED]
        return failure(400, f"There is no environment {named!r} for X-Environment. Known: {known}.", key=target.key)
    if target.key is None:
        return _all(found, head, body, token_id)
    context = _context(body, target.key)
    if isinstance(context, Answer):
        return context
    answered = found.one(target.key, context)
    if answered is None:
        return failure(404, "There is no such flag in this environment.", code="FLAG_NOT_FOUND", key=target.key)
    answered.was_given = True
    return Answer(_STATUS.get(answered.error, 200), answered.body)


def _all(found: Environment, head: Head, body: bytes, token_id: int) -> Answer:
    bulk = found.polled.get(body)
    if bulk is None:
        context = _context(body, None)
        if isinstance(context, Answer):
            return context
        bulk = found.all(context)
        if len(body) <= MAX_REMEMBERED_BYTES:
            if len(found.polled) >= MAX_REMEMBERED:
                found.polled.clear()
            # Programs that poll send the same body each time.
            found.polled[body] = bulk
    bulk.was_given = True
    etag = (("ETag", bulk.tag),)
    if head.if_none_match is not None and _matches(head.if_none_match, bulk.tag):
        return Answer(304, b"", etag)
    return Answer(200, bulk.body + offer(token_id, found.slug), (*JSON, *etag))


def _matches(given: str, etag: str) -> bool:
    """Whether `If-None-Match` lists the tag; weak comparison, as RFC 9110 wants it here."""
    if given == etag:
        return True
    tags = {tag.strip().removeprefix("W/") for tag in given.split(",")}
    return etag in tags or "*" in tags


def _context(body: bytes, key: str | None) -> dict[str, Any] | Answer:
    """Who asks, or why this is no evaluation request."""
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        details = f"The body is not valid JSON: {error.msg}, at line {error.lineno}, column {error.colno}."
        return failure(400, details if body else 'The body is empty: send {"context":{}}.', code="PARSE_ERROR", key=key)
    fault = _fault(document, body)
    if fault:
        return failure(400, fault, code="PARSE_ERROR", key=key)
    context = document.get("context", {})
    if not isinstance(context, dict):
        return failure(400, "`context` must be a JSON object.", code="INVALID_CONTEXT", key=key)
    if not isinstance(context.get("targetingKey", ""), str):
        return failure(400, "`context.targetingKey` must be a string.", code="INVALID_CONTEXT", key=key)
    return context


def _fault(document: Any, body: bytes) -> str:
    """What is wrong with the document as a whole; empty when nothing is."""
    if not isinstance(document, dict):
        return "The body must be a JSON object."
    # Counting brackets is far cheaper than walking, and most requests need no walk.
    if body.count(b"{") + body.count(b"[") > MAX_DEPTH or b"\\u0000" in body:
        return _fault_inside(document)
    return ""


def _fault_inside(document: dict[str, Any]) -> str:
    """Depth and NUL characters, level by level, without recursion."""
    level: list[Any] = [document]
    for _ in range(MAX_DEPTH + 1):
        below: list[Any] = []
        for value in level:
            if isinstance(value, dict):
                below += [*value, *value.values()]
            elif isinstance(value, list):
                below += value
            elif isinstance(value, str) and "\x00" in value:
                return "The body has a NUL character."
        level = below
    return f"The body is nested deeper than {MAX_DEPTH} levels." if level else ""
