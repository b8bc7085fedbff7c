"""Webhooks: signed POSTs over one HTTP client, to checked addresses, without following redirects."""

from __future__ import annotations

import hashlib
import hmac
import json
from typing import Any

from django.conf import settings

from apps.foundation.clock import now
from apps.foundation.egress.deadlines import Deadline
from apps.messaging.models import Attempt
from apps.messaging.providers.base import Outgoing, Result, shortened
from apps.messaging.providers.http import Reply, ask, not_now, refused, retry_after

# The receiver is asked to be tried again; any other 4xx says that this request will never do.
_TRY_AGAIN = frozenset({408, 409, 421, 425})
_GONE = (404, 410)
_CLIENT_ERROR = 400


def portal_signing_key() -> str:
    """The key that signs pages to people's own webhooks; it follows from SECRET_KEY and changes with it."""
    digest = hmac.new(settings.SECRET_KEY.encode(), b"incident portal webhook signing key", hashlib.sha256)
    return f"whsec_{digest.hexdigest()}"


def signature(secret: str, timestamp: int, body: bytes) -> str:
    """The value of `Portal-Signature`: HMAC-SHA256 over the timestamp (Unix seconds), a dot and the body."""
    digest = hmac.new(secret.encode(), f"{timestamp}.".encode() + body, hashlib.sha256).hexdigest()
    return f"t={timestamp},v1={digest}"


def body_of(message: Outgoing) -> bytes:
    """The JSON that is sent; every attempt of a message has the same bytes."""
    if message.is_event:
        content: dict[str, Any] = message.payload
    else:
        content = {
            "id": message.idempotency_key,
            "type": "message",
            "title": message.title,
            "text": message.body,
            "subject": {"kind": message.subject.kind, "key": message.subject.key, "url": message.subject_url},
            "data": message.payload,
        }
    return json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


class WebhookTransport:
    """A host that has not answered yet gets one request at a time, then a few."""

    most_sessions = 4
    first_sessions = 1

    def open(self) -> WebhookSession:
        return WebhookSession()


class WebhookSession:
    """Requests over the process's client, which keeps the connections."""

    def send(self, message: Outgoing, deadline: Deadline) -> Result:
        body, timestamp = body_of(message), int(now().timestamp())
        headers = {
            "Content-Type": "application/json",
            "Portal-Signature": signature(message.secret, timestamp, body),
            "Portal-Event": str(message.payload.get("type", "event")) if message.is_event else "message",
            "Portal-Attempt": str(message.number),
            "Idempotency-Key": message.idempotency_key,
        }
        reply = ask("POST", message.address, body=body, headers=headers, deadline=deadline)
        return reply if isinstance(reply, Result) else _result(reply)

    def close(self) -> None:
        """Nothing: the client keeps its connections for a moment by itself."""


def _result(reply: Reply) -> Result:
    if reply.is_ok:
        request_id = shortened(reply.headers.get("x-request-id", ""))[:200]
        return Result(Attempt.Outcome.ACCEPTED, reply.detail(), provider_id=request_id)
    if (wait := not_now(reply)) is not None:
        return wait
    if reply.status in _TRY_AGAIN:
        return Result(Attempt.Outcome.RETRY, reply.detail(), retry_after_seconds=retry_after(reply.headers))
    if reply.status < _CLIENT_ERROR:
        return Result(
            Attempt.Outcome.REFUSED, f"HTTP {reply.status}: redirects are not followed; give the final address."
        )
    return refused(reply, *_GONE)
