"""Webhooks: signed POSTs over one HTTP client, to checked addresses, without following redirects."""

from __future__ import annotations

import hashlib
import hmac
import json
import os
from email.utils import parsedate_to_datetime
from functools import cache
from typing import Any

import httpx
from django.conf import settings

from apps.foundation.clock import now
from apps.foundation.egress.addresses import Address, PrivateAddress
from apps.foundation.egress.deadlines import Deadline, running_deadline
from apps.foundation.egress.transports import checked_client
from apps.messaging.models import Attempt
from apps.messaging.providers.base import Outgoing, Result, shortened

CONNECT_SECONDS = 5.0
MOST_CONNECTIONS = 64
KEEP_ALIVE_SECONDS = 2.0
MAX_ANSWER_BYTES = 64 * 1024
SHOWN_BYTES = 300
# The receiver is asked to be tried again; any other 4xx says that this request will never do.
_TRY_AGAIN = frozenset({408, 409, 421, 425, 429})
_OK, _REDIRECT, _CLIENT_ERROR, _SERVER_ERROR = 200, 300, 400, 500
PUBLIC_ONLY = "webhooks go to public addresses only."
_NEVER_LEFT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout)


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


def may_reach(host: str, port: int, address: Address) -> bool:
    """Webhooks go to public addresses only, unless the portal's receivers are inside."""
    return bool(settings.WEBHOOK_ALLOW_PRIVATE)


@cache
def _client(process: int) -> httpx.Client:
    """One client for a process: a fork must not share its parent's connections."""
    return checked_client(may_reach, most_connections=MOST_CONNECTIONS, keep_alive_seconds=KEEP_ALIVE_SECONDS)


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
        token = running_deadline.set(deadline)
        try:
            return _post(message.address, body, headers, deadline)
        except PrivateAddress as error:
            return Result(Attempt.Outcome.REFUSED, f"{shortened(error)}; {PUBLIC_ONLY}")
        except _NEVER_LEFT as error:
            return Result(Attempt.Outcome.RETRY, f"Not reachable: {shortened(error)}", provider_broken=True)
        except (httpx.InvalidURL, httpx.UnsupportedProtocol, httpx.LocalProtocolError) as error:
            return Result(Attempt.Outcome.REFUSED, f"The address can't be used: {shortened(error)}")
        except httpx.HTTPError as error:
            said = shortened(error) or type(error).__name__
            return Result(Attempt.Outcome.UNKNOWN, f"No answer: {said}", provider_broken=True)
        finally:
            running_deadline.reset(token)

    def close(self) -> None:
        """Nothing: the client keeps its connections for a moment by itself."""


def _post(url: str, body: bytes, headers: dict[str, str], deadline: Deadline) -> Result:
    left = deadline.remaining()
    timeout = httpx.Timeout(left, connect=min(CONNECT_SECONDS, left))
    with _client(os.getpid()).stream("POST", url, content=body, headers=headers, timeout=timeout) as response:
        said = _beginning(response)
        status, retry_after = response.status_code, _retry_after(response.headers.get("Retry-After", ""))
        request_id = response.headers.get("X-Request-Id", "")
    detail = shortened(f"HTTP {status} {said}".strip())
    if _OK <= status < _REDIRECT:
        return Result(Attempt.Outcome.ACCEPTED, detail, provider_id=shortened(request_id)[:200])
    if status >= _SERVER_ERROR or status in _TRY_AGAIN:
        return Result(Attempt.Outcome.RETRY, detail, retry_after_seconds=retry_after)
    if status < _CLIENT_ERROR:
        detail = f"HTTP {status}: redirects are not followed; give the final address."
    return Result(Attempt.Outcome.REFUSED, detail)


def _beginning(response: httpx.Response) -> str:
    """The first characters of the answer. Reading little of it costs the connection, never the portal's memory.

    The status stands already: an answer that breaks off after it changes nothing.
    """
    found = b""
    try:
        for part in response.iter_raw():
            found += part
            if len(found) > MAX_ANSWER_BYTES:
                break
    except httpx.HTTPError:
        pass
    return found[:SHOWN_BYTES].decode("utf-8", "replace")


def _retry_after(value: str) -> float | None:
    """Seconds to wait, from a number of seconds or an HTTP date; None for neither."""
    value = value.strip()
    if value.isascii() and value.isdigit():
        return float(value[:9])
    try:
        return max((parsedate_to_datetime(value) - now()).total_seconds(), 0.0)
    except (TypeError, ValueError):
        return None
