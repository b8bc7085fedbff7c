"""Reads: whose messages, which endpoints, what is due."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

from django.db.models import Count, Min, Q, QuerySet

from apps.foundation.clock import now
from apps.foundation.subjects import visible_subjects
from apps.messaging.models import Connection, Destination, Message, WebhookEndpoint
from apps.messaging.registry import guard

WAITING = (Message.State.QUEUED, Message.State.SENDING)


def inbox(user: Any) -> QuerySet[Message]:
    """The in-app messages of `user`, newest first."""
    return Message.objects.filter(recipient_id=user.pk, channel=Message.Channel.INBOX).order_by("-id")


def unread_count(user: Any) -> int:
    """How many in-app messages `user` has not read."""
    return inbox(user).filter(read_at__isnull=True).count()


def visible_to(user: Any) -> QuerySet[Message]:
    """One's own messages, and, with `messaging.view_message`, those about something that `user` may see.

    A message about nothing in particular is its recipient's own business.
    """
    own = Q(recipient_id=user.pk) | Q(endpoint__owner_id=user.pk)
    if user.is_superuser:
        return Message.objects.all()
    if not user.has_perm("messaging.view_message"):
        return Message.objects.filter(own)
    about = visible_subjects(user) & ~Q(subject_kind="")
    if not user.has_perm("messaging.view_webhookendpoint"):
        about &= Q(endpoint__isnull=True)
    return Message.objects.filter(own | about)


def may_read_text(user: Any, message: Message) -> bool:
    """Whether `user` may read the text, the address and the links: links in it may act in the recipient's name."""
    if message.endpoint is not None:
        return bool(message.endpoint.owner_id == user.pk)
    return message.recipient_id is not None and message.recipient_id == user.pk


def still_guarded(messages: Sequence[Message]) -> list[Message]:
    """Those of `messages` whose guard still holds, or that have none: what they ask for is still open."""
    runs: dict[str, dict[str, int]] = {}
    for kind in {message.guard_kind for message in messages if message.guard_kind}:
        current = guard(kind)
        keys = [message.guard_key for message in messages if message.guard_kind == kind]
        runs[kind] = current(keys) if current else {}
    return [
        message
        for message in messages
        if not message.guard_kind or runs[message.guard_kind].get(message.guard_key) == message.guard_run
    ]


def endpoints_visible_to(user: Any) -> QuerySet[WebhookEndpoint]:
    """One's own endpoints, or all with `messaging.view_webhookendpoint`."""
    everything = WebhookEndpoint.objects.select_related("owner")
    if user.has_perm("messaging.view_webhookendpoint"):
        return everything
    return everything.filter(owner_id=user.pk)


def connections_visible_to(user: Any) -> QuerySet[Connection]:
    """All connections with `messaging.view_connection`; the key of web push is the portal's own business."""
    rows = Connection.objects.exclude(kind=Connection.Kind.PUSH)
    return rows if user.has_perm("messaging.view_connection") else rows.none()


def destinations_visible_to(user: Any) -> QuerySet[Destination]:
    """All destinations with `messaging.view_destination`."""
    rows = Destination.objects.select_related("connection")
    return rows if user.has_perm("messaging.view_destination") else rows.none()


def due(at: datetime, *, but: Iterable[str] = ()) -> QuerySet[Message]:
    """What waits to be sent at `at`, or was left behind by a worker that died; not in the lanes `but`."""
    ready = Q(state=Message.State.QUEUED, due_at__lte=at) | Q(state=Message.State.SENDING, lease_until__lte=at)
    return Message.objects.filter(ready).exclude(lane__in=list(but))


def messages_due(at: datetime) -> bool:
    """One cheap query: is there anything to send?"""
    return due(at).exists()


def waiting_by_channel() -> dict[str, float]:
    """How many messages wait, for the metrics."""
    counted = Message.objects.filter(state__in=WAITING).values_list("channel").annotate(Count("pk"))
    names = [channel.value for channel in Message.Channel if channel != Message.Channel.INBOX]
    return dict.fromkeys(names, 0.0) | {str(channel): float(count) for channel, count in counted}


def oldest_waiting_seconds() -> float:
    """How long the oldest message has waited since it fell due, in seconds; 0 when none waits."""
    at = now()
    oldest = Message.objects.filter(state__in=WAITING, due_at__lte=at).aggregate(oldest=Min("due_at"))["oldest"]
    return max((at - oldest).total_seconds(), 0.0) if oldest else 0.0
