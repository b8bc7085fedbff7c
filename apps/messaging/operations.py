"""The verbs of messages: enqueue, read, replay. Sending is in `sending`; endpoints are in `endpoints`."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Sequence
from dataclasses import replace

from django.db import transaction

from apps.engine.bell import ring
from apps.foundation.actor import Actor
from apps.foundation.clock import now
from apps.foundation.errors import Conflict, Forbidden, Invalid, NotFound
from apps.foundation.operations import operation
from apps.messaging.drafts import Guard, NewMessage, blank_message, row_of
from apps.messaging.models import Message
from apps.messaging.queries import WAITING, inbox, visible_to
from apps.messaging.registry import guard, register_guard
from apps.messaging.sending.rounds import send_due
from apps.people.models import ContactPoint
from apps.people.permissions import require
from apps.people.queries import user_of

__all__ = [
    "Guard",
    "NewMessage",
    "enqueue_many",
    "mark_all_read",
    "mark_read",
    "messages_for_person",
    "register_guard",
    "replay",
    "send_due",
]

SEND_TASK = "messaging.send_due"
SEND_QUEUE = "messages"
MOST_AT_ONCE = 500


def enqueue_many(messages: Sequence[NewMessage]) -> None:
    """Store messages in the caller's transaction, with one query for up to 500; a known `dedupe_key` changes nothing.

    In-app messages are sent by being stored; for the others the sender is rung after the commit.
    RuntimeError outside a transaction, or for a guard that nobody registered.
    """
    if not messages:
        return
    if not transaction.get_connection().in_atomic_block:
        raise RuntimeError("A message is enqueued in the transaction of its cause.")
    unknown = {draft.guard.kind for draft in messages if draft.guard and guard(draft.guard.kind) is None}
    if unknown:
        raise RuntimeError(f"Nobody registered the guards {sorted(unknown)}.")
    rows = [row_of(draft) for draft in messages]
    Message.objects.bulk_create(rows, ignore_conflicts=True, batch_size=500)
    if any(row.state == Message.State.QUEUED for row in rows):
        ring(SEND_TASK, SEND_QUEUE)


def messages_for_person(
    user_ids: Sequence[int],
    *,
    channels: Sequence[str] | None,
    make: Callable[[int, str, str], NewMessage] = blank_message,
) -> list[NewMessage]:
    """A message, blank unless `make` writes it, for each way to reach these people, with one query.

    The in-app inbox (its address is empty) always comes first; then every contact point that is not
    disabled, in the person's own order, of `channels` only where these are given. Nothing is stored.
    """
    points = (
        ContactPoint.objects.filter(user_id__in=user_ids, user__is_active=True)
        .exclude(state=ContactPoint.State.DISABLED)
        .order_by("position", "id")
        .values_list("user_id", "kind", "address", "id")
    )
    ways: dict[int, list[tuple[str, str, int | None]]] = {
        user_id: [(Message.Channel.INBOX.value, "", None)] for user_id in user_ids
    }
    for user_id, kind, address, point_id in points:
        if channels is None or kind in channels:
            ways[user_id].append((kind, address, point_id))
    return [
        replace(make(user_id, channel, address), contact_point_id=point_id)
        for user_id, found in ways.items()
        for channel, address, point_id in found
    ]


@operation
def mark_read(message_ids: Sequence[int], *, actor: Actor) -> int:
    """Mark one's own in-app messages as read; returns how many were unread. A repeat changes nothing.

    NotFound when one of them is not in the actor's inbox; Invalid for more than 500.
    """
    user = user_of(actor)
    if user is None:
        raise Forbidden("Only somebody with an account has an inbox.")
    wanted = set(message_ids)
    if len(wanted) > MOST_AT_ONCE:
        raise Invalid(f"At most {MOST_AT_ONCE} messages at once.", fields={"message_ids": ["Too many."]})
    mine = inbox(user).filter(pk__in=wanted)
    if mine.count() != len(wanted):
        raise NotFound("One of these messages is not in your inbox.")
    return mine.filter(read_at__isnull=True).update(read_at=now())


@operation
def mark_all_read(*, up_to: int | None = None, actor: Actor) -> int:
    """Mark one's in-app messages as read, only those up to the id `up_to` if given; returns how many were unread."""
    user = user_of(actor)
    if user is None:
        raise Forbidden("Only somebody with an account has an inbox.")
    unread = inbox(user).filter(read_at__isnull=True)
    if up_to is not None:
        unread = unread.filter(pk__lte=up_to)
    return unread.update(read_at=now())


@operation
def replay(message_id: int, *, actor: Actor) -> Message:
    """Send a message once more, as a new message with a key of its own; each call makes another one.

    Its guard goes with it: what is void stays void. NotFound for what the actor may not see; Forbidden
    without `messaging.replay_message`, except for the owner of its endpoint; Conflict while it still waits.
    """
    found = _for_replay(message_id, actor)
    if found.endpoint is None or found.endpoint.owner_id != actor.user_id:
        require(actor, "messaging.replay_message")
    if found.channel == Message.Channel.INBOX:
        raise Conflict("An in-app message is there already; there is nothing to send again.", code="nothing_to_send")
    if found.state in WAITING:
        raise Conflict("This message still waits to be sent.", code="still_waiting")
    at = now()
    again = Message.objects.create(
        dedupe_key=f"replay:{found.pk}:{uuid.uuid4().hex}",
        replay_of=found,
        channel=found.channel,
        recipient_id=found.recipient_id,
        endpoint=found.endpoint,
        destination_id=found.destination_id,
        contact_point_id=found.contact_point_id,
        address=found.endpoint.url if found.endpoint else found.address,
        lane=found.lane,
        subject_kind=found.subject_kind,
        subject_key=found.subject_key,
        title=found.title,
        body=found.body,
        payload=found.payload,
        priority=found.priority,
        guard_kind=found.guard_kind,
        guard_key=found.guard_key,
        guard_run=found.guard_run,
        due_at=at,
        planned_at=at,
        created_at=at,
    )
    ring(SEND_TASK, SEND_QUEUE)
    return again


def _for_replay(message_id: int, actor: Actor) -> Message:
    user = user_of(actor)
    rows = Message.objects.all() if actor.is_system else visible_to(user) if user else Message.objects.none()
    found = rows.select_related("endpoint").filter(pk=message_id).first()
    if found is None:
        raise NotFound("There is no such message.")
    return found
