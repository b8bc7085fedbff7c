"""Web push: encrypted for one browser (RFC 8291), signed with the portal's VAPID key (RFC 8292)."""

from __future__ import annotations

import json
import time
from email.utils import parseaddr
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings

from apps.foundation.egress.deadlines import Deadline
from apps.messaging.models import Attempt
from apps.messaging.providers.base import Blame, Outgoing, Result, shortened
from apps.messaging.providers.http import ask, not_now, refused
from apps.messaging.providers.plain import PlainTransport, ack_link_of, cut, link_of, not_connected

# Push services keep a message so long for a phone that is off; a page is void long before.
TTL_SECONDS = 3600
_SIGNED_FOR_SECONDS = 3600
# At most 4096 bytes may arrive after encryption.
_LONGEST_TITLE, _LONGEST_BODY = 200, 800
_GONE = (404, 410)
_LONGEST_TOPIC = 32


def transport() -> PlainTransport:
    return PlainTransport(send, "pywebpush")


def send(message: Outgoing, deadline: Deadline) -> Result:
    """Hand the message to the browser's push service. `Topic` lets it replace a repeat that is not shown yet."""
    if message.credentials is None:
        return not_connected("push services")
    try:
        subscription: dict[str, Any] = json.loads(message.secret)
        endpoint = str(subscription["endpoint"])
        body = _encrypted(subscription, message)
    except (ValueError, KeyError, TypeError) as error:
        detail = f"The browser's subscription can't be used: {shortened(error)}"
        return Result(Attempt.Outcome.REFUSED, detail, blame=Blame.ADDRESS)
    headers = {
        "Content-Encoding": "aes128gcm",
        "Content-Type": "application/octet-stream",
        "TTL": str(TTL_SECONDS),
        "Urgency": "high",
        "Topic": message.idempotency_key[:_LONGEST_TOPIC],
        "Authorization": _authorization(endpoint, message.credentials.token),
    }
    reply = ask("POST", endpoint, body=body, headers=headers, deadline=deadline)
    if isinstance(reply, Result):
        return reply
    if reply.is_ok:
        return Result(Attempt.Outcome.ACCEPTED, reply.detail(), provider_id=reply.headers.get("location", "")[-200:])
    return not_now(reply) or refused(reply, *_GONE)


def content(message: Outgoing) -> dict[str, Any]:
    """What the service worker shows; the same `tag` replaces an earlier notification instead of ringing twice."""
    body = message.body.strip()
    if message.payload.get("page_id"):
        # The text of a page is made for mails; its second paragraph says why one is paged.
        body = next((part for part in body.split("\n\n")[1:] if "://" not in part), "")
    return {
        "title": cut(message.title, _LONGEST_TITLE),
        "body": cut(body, _LONGEST_BODY),
        "url": link_of(message) or settings.PUBLIC_URL,
        "ack_url": ack_link_of(message),
        "tag": message.idempotency_key,
    }


def _encrypted(subscription: dict[str, Any], message: Outgoing) -> bytes:
    from pywebpush import WebPusher, WebPushException  # slow to import

    try:
        return bytes(WebPusher(subscription).encode(json.dumps(content(message)).encode(), "aes128gcm")["body"])
    except WebPushException as error:
        raise ValueError(str(error)) from error


def _authorization(endpoint: str, private_key: str) -> str:
    from py_vapid import Vapid02  # the same

    parts = urlsplit(endpoint)
    claims = {
        "aud": f"{parts.scheme}://{parts.netloc}",
        "exp": int(time.time()) + _SIGNED_FOR_SECONDS,
        "sub": _contact(),
    }
    return str(Vapid02.from_pem(private_key.encode()).sign(claims)["Authorization"])


def _contact() -> str:
    """Whom a push service asks about this portal."""
    if settings.PUBLIC_URL.startswith("https://"):
        return str(settings.PUBLIC_URL)
    return f"mailto:{parseaddr(settings.DEFAULT_FROM_EMAIL)[1]}"
