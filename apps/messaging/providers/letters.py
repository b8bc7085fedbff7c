"""How a message looks as an email: text and HTML, with a stable Message-ID."""

from __future__ import annotations

import hashlib
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.core.mail import EmailMultiAlternatives
from django.template.loader import get_template
from django.utils.dateformat import format as format_date

from apps.foundation.clock import now
from apps.messaging.providers.base import Outgoing


def letter(message: Outgoing) -> EmailMultiAlternatives:
    """The email of a message. Every attempt has the same Message-ID, so that mailboxes drop repeats.

    Raises ValueError for an address that is none.
    """
    name, at, domain = message.address.rpartition("@")
    if not (name and at and domain) or any(letter.isspace() for letter in message.address):
        raise ValueError("This is not an email address.")
    host = urlsplit(settings.PUBLIC_URL).hostname or "localhost"
    headers = {
        "Message-ID": f"<{message.idempotency_key}@{host}>",
        "X-Idempotency-Key": message.idempotency_key,
        "Auto-Submitted": "auto-generated",
        "X-Auto-Response-Suppress": "All",
    }
    if message.subject.kind:
        # Mail programs show all that is about one subject as one conversation.
        thread = hashlib.sha256(f"{message.subject.kind}:{message.subject.key}".encode()).hexdigest()[:40]
        headers["References"] = headers["In-Reply-To"] = f"<{thread}@{host}>"
    found = EmailMultiAlternatives(
        subject=" ".join(message.title.split()),
        body=message.body,
        from_email=settings.DEFAULT_FROM_EMAIL,
        to=[message.address],
        headers=headers,
    )
    found.attach_alternative(get_template("messaging/email.html").render(_context(message)), "text/html")
    return found


def _context(message: Outgoing) -> dict[str, Any]:
    links = [
        {"label": str(link.get("label", "Open")), "url": str(link["url"])}
        for link in message.payload.get("links", ())
        if isinstance(link, dict) and link.get("url")
    ]
    return {
        "title": message.title,
        "paragraphs": _paragraphs(message.body),
        "ack_url": message.payload.get("ack_url", ""),
        "url": message.payload.get("url") or message.subject_url,
        "links": links,
        "portal_url": settings.PUBLIC_URL,
        "sent_at": format_date(now(), "Y-m-d H:i"),
    }


def _paragraphs(body: str) -> list[str]:
    """The text in paragraphs, for people who read the HTML part."""
    return [part.strip() for part in body.replace("\r\n", "\n").split("\n\n") if part.strip()]
