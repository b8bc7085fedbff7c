"""What other apps hand to messaging: a message that is not stored yet."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit

from apps.foundation.clock import now
from apps.foundation.subjects import Subject
from apps.messaging.models import Message
from apps.people.addresses import SHOWN_MARK

MAX_LANE_LENGTH = 300


@dataclass(frozen=True, slots=True)
class Guard:
    """The message is void unless `key` still is in `run` just before it is sent. See `register_guard`."""

    kind: str
    key: str
    run: int


@dataclass(frozen=True, slots=True)
class NewMessage:
    """One message to one address. The same `dedupe_key` twice is one message.

    `payload` may hold `ack_url` and `url` (buttons) and `links` (more of them: label and url) for people;
    for a webhook endpoint it is the whole body. `priority` 0 goes first. It is not sent before `due_at`; None is
    at once. A guard is asked at that time, so what was acknowledged meanwhile becomes void.
    """

    dedupe_key: str
    channel: str
    recipient_id: int | None
    endpoint_id: int | None
    address: str
    subject: Subject
    title: str
    body: str
    payload: dict[str, Any] = field(default_factory=dict)
    priority: int = 5
    guard: Guard | None = None
    due_at: datetime | None = None
    destination_id: int | None = None
    contact_point_id: int | None = None


def blank_message(user_id: int, channel: str, address: str) -> NewMessage:
    """A message to one address of a person that says nothing yet: `replace` fills it in."""
    return NewMessage(
        dedupe_key="",
        channel=channel,
        recipient_id=user_id,
        endpoint_id=None,
        address=address,
        subject=Subject("", ""),
        title="",
        body="",
    )


def lane_of(channel: str, address: str) -> str:
    """Messages of one lane share a provider: all email, or the webhooks (or push messages) of one host and port."""
    if channel in {Message.Channel.PUSH, Message.Channel.APPRISE, Message.Channel.DISCORD}:
        return f"{channel}:{address.partition(SHOWN_MARK)[0]}"[:MAX_LANE_LENGTH]
    if channel == Message.Channel.SLACK and not address:
        # Answers to presses go to another host of Slack's: its troubles must not hold back pages.
        return "slack:answers"
    if channel != Message.Channel.WEBHOOK:
        return channel
    try:
        parts = urlsplit(address)
        port = parts.port or (443 if parts.scheme == "https" else 80)
    except ValueError:
        return "webhook:"
    return f"webhook:{(parts.hostname or '').lower()}:{port}"[:MAX_LANE_LENGTH]


def idempotency_key(dedupe_key: str) -> str:
    """The key that every attempt of one message carries, so that a receiver recognises a repeat."""
    return hashlib.sha256(dedupe_key.encode()).hexdigest()[:40]


def row_of(draft: NewMessage) -> Message:
    """The row to insert. One for the inbox is sent by being there, so it does not wait."""
    at = now()
    in_app = draft.channel == Message.Channel.INBOX
    due_at = at if draft.due_at is None or in_app else draft.due_at
    return Message(
        dedupe_key=draft.dedupe_key,
        channel=draft.channel,
        recipient_id=draft.recipient_id,
        endpoint_id=draft.endpoint_id,
        destination_id=draft.destination_id,
        contact_point_id=draft.contact_point_id,
        address=draft.address,
        lane=lane_of(draft.channel, draft.address),
        subject_kind=draft.subject.kind,
        subject_key=draft.subject.key,
        title=draft.title[:300],
        body=draft.body,
        payload=draft.payload,
        priority=draft.priority,
        guard_kind=draft.guard.kind if draft.guard else "",
        guard_key=draft.guard.key if draft.guard else "",
        guard_run=draft.guard.run if draft.guard else None,
        state=Message.State.SENT if in_app else Message.State.QUEUED,
        sent_at=at if in_app else None,
        due_at=due_at,
        planned_at=due_at,
        created_at=at,
    )
