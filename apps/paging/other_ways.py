"""When a page can't be delivered on one way, the person's other ways are called upon."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from hashlib import sha256

from apps.foundation.subjects import Subject
from apps.messaging.drafts import Guard, NewMessage
from apps.messaging.models import Message
from apps.messaging.operations import enqueue_many, messages_for_person
from apps.messaging.registry import Undelivered

PAGE_PAYLOAD = "page_id"


def page_key(page_id: int, channel: str, address: str) -> str:
    """What makes a page's message to one address one message, whatever asked for it."""
    return f"page:{page_id}:{channel}:{sha256(address.encode()).hexdigest()[:16]}"


def call_other_ways(undelivered: Sequence[Undelivered]) -> None:
    """Send each page among `undelivered` to all other addresses of its person, also where its level left them out.

    An address that got the page already gets no second one, and nothing goes out once the page is answered. Writes
    rows only; a constant number of queries.
    """
    rows = Message.objects.filter(pk__in=[item.message_id for item in undelivered], guard_run__isnull=False)
    lost = [row for row in rows if PAGE_PAYLOAD in row.payload and row.recipient_id is not None]
    if not lost:
        return
    ways = messages_for_person(sorted({row.recipient_id for row in lost if row.recipient_id}), channels=None)
    enqueue_many(
        [
            _again(row, way)
            for row in lost
            for way in ways
            if way.recipient_id == row.recipient_id and way.channel != Message.Channel.INBOX
        ]
    )


def _again(row: Message, way: NewMessage) -> NewMessage:
    return replace(
        way,
        dedupe_key=page_key(row.payload[PAGE_PAYLOAD], way.channel, way.address),
        subject=Subject(row.subject_kind, row.subject_key),
        title=row.title,
        body=row.body,
        payload=row.payload,
        priority=row.priority,
        guard=Guard(kind=row.guard_kind, key=row.guard_key, run=row.guard_run or 0),
    )
