"""What people are told about their shifts: in their inboxes, by mail or chat, in their own zone. Never a page."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from datetime import datetime
from zoneinfo import ZoneInfo

from django.conf import settings

from apps.foundation.subjects import Subject
from apps.messaging.drafts import NewMessage
from apps.messaging.models import Message
from apps.messaging.operations import enqueue_many, messages_for_person
from apps.people.models import User
from apps.people.zones import zone_of

# Text messages and calls are for pages; a PagerDuty address would open an incident there.
CHANNELS = (Message.Channel.EMAIL, Message.Channel.SLACK, Message.Channel.DISCORD, Message.Channel.PUSH)
PRIORITY = 6
MOST_LINES = 12

Write = Callable[[User, ZoneInfo], tuple[str, str]]


def tell(user_ids: Collection[int], *, key: str, subject: Subject, path: str, write: Write) -> None:
    """Queue one message for each way to reach these people; `write(person, zone)` gives title and text.

    In the caller's transaction; the same `key` for the same person again changes nothing. Closed accounts are left
    out. Three queries for any number of people.
    """
    people = User.objects.filter(pk__in=user_ids, is_active=True, kind=User.Kind.PERSON).in_bulk()
    texts = {pk: write(user, zone_of(user)) for pk, user in people.items()}
    url = f"{settings.PUBLIC_URL}{path}"

    def make(user_id: int, channel: str, address: str) -> NewMessage:
        title, body = texts[user_id]
        return NewMessage(
            dedupe_key=f"{key}:{user_id}:{channel}:{address}"[:200],
            channel=channel,
            recipient_id=user_id,
            endpoint_id=None,
            address=address,
            subject=subject,
            title=title,
            body=f"{body}\n\n{url}\n",
            payload={"url": url, "event_severity": "info"},
            priority=PRIORITY,
        )

    drafts = messages_for_person(list(texts), channels=[channel.value for channel in CHANNELS], make=make)
    enqueue_many(drafts)


def moment(at: datetime, zone: ZoneInfo) -> str:
    """An instant as people write it: Mon 11 May 2026 09:00."""
    return f"{at.astimezone(zone):%a %d %b %Y %H:%M}"


def stretch_text(begins: datetime, ends: datetime, zone: ZoneInfo) -> str:
    """From when until when."""
    return f"{moment(begins, zone)} until {moment(ends, zone)}"


def lines(stretches: Sequence[tuple[datetime, datetime]], zone: ZoneInfo) -> list[str]:
    """One line for each, of the first twelve, and how many more there are."""
    found = [f"- {stretch_text(begins, ends, zone)}" for begins, ends in stretches[:MOST_LINES]]
    more = len(stretches) - MOST_LINES
    return [*found, f"- and {more} more"] if more > 0 else found or ["- none"]
