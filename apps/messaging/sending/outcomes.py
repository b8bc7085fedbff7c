"""Writing down what became of attempts, and when the next one is due."""

from __future__ import annotations

import logging
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.conf import settings
from django.db import transaction

from apps.engine.operations import publish_many
from apps.foundation.actor import Actor, acting
from apps.foundation.clock import now
from apps.foundation.rows import write_back
from apps.foundation.subjects import Subject
from apps.messaging.events import MessageFailed, MessageTaken
from apps.messaging.models import Attempt, Connection, Destination, Message
from apps.messaging.providers.base import Blame, Result
from apps.messaging.registry import Undelivered, parts_of, tell_fallbacks
from apps.people.models import ContactPoint
from apps.people.operations import mark_contact_point_broken

logger = logging.getLogger(__name__)

FIRST_DELAY_SECONDS = 2.0
MOST_DELAY_SECONDS = 300.0
MOST_RETRY_AFTER_SECONDS = 3600.0
_CHANGED = [
    "state",
    "attempts",
    "due_at",
    "lease_token",
    "lease_until",
    "maybe_sent_at",
    "provider_id",
    "last_error",
    "sent_at",
    "fallback_at",
]  # fmt: skip
FOLLOWED = frozenset({Message.Channel.SLACK, Message.Channel.DISCORD, Message.Channel.PAGERDUTY})
"""Channels on which what was sent is changed, or closed, once somebody answers."""

_OVER = frozenset({Message.State.FAILED, Message.State.VOID})
_dice = random.SystemRandom()


@dataclass(frozen=True, slots=True)
class Finished:
    """A message with the result of its attempt; `connection_id` is the portal's account that it was sent with."""

    message: Message
    result: Result
    connection_id: int | None = None


def delay(attempts: int, retry_after_seconds: float | None = None) -> timedelta:
    """How long to wait after attempt number `attempts`: 2 s, doubled each time up to 5 min, the last half at random.

    Not sooner than the provider asked for, but never more than an hour.
    """
    backoff = min(FIRST_DELAY_SECONDS * 2 ** min(attempts - 1, 20), MOST_DELAY_SECONDS)
    asked = min(retry_after_seconds or 0.0, MOST_RETRY_AFTER_SECONDS)
    return timedelta(seconds=max(backoff * _dice.uniform(0.5, 1.0), asked))


def record(finished: Sequence[Finished]) -> int:
    """Write attempts and new states in one transaction, with a constant number of queries; returns how many counted.

    The outcome of a message whose lease is no longer ours is not written: somebody else answers for it.
    """
    if not finished:
        return 0
    with transaction.atomic():
        found = {
            pk: (token, undelivered)
            for pk, token, undelivered in Message.objects.select_for_update()
            .filter(pk__in=[item.message.pk for item in finished], state=Message.State.SENDING)
            .order_by("pk")
            .values_list("pk", "lease_token", "undelivered")
        }
        ours = [item for item in finished if found.get(item.message.pk, ("",))[0] == item.message.lease_token]
        for item in ours:
            item.message.undelivered = found[item.message.pk][1]
        if ours:
            Attempt.objects.bulk_create([_attempt(item) for item in ours])
            lost = [item for item in ours if _settle(item)]
            failed = [item.message for item in lost]
            undelivered = call_fallbacks(failed, is_final=True)
            write_back([item.message for item in ours], _CHANGED)
            tell_failed(failed, {item.message.pk: item.result.outcome for item in lost})
            tell_taken([item.message for item in ours])
            tell_fallbacks(undelivered)
            mark_broken([item for item in ours if item.result.blame])
    for item in finished:
        if item not in ours:
            logger.warning("Message %s: an outcome came after its lease had ended.", item.message.pk)
    return len(ours)


def _attempt(item: Finished) -> Attempt:
    message, result = item.message, item.result
    return Attempt(
        message=message,
        number=message.attempts,
        started_at=message.last_look_at or result.finished_at,
        finished_at=result.finished_at,
        outcome=result.outcome,
        detail=result.detail,
    )


def _settle(item: Finished) -> bool:
    """Give the message its new state; whether it failed for good."""
    message, result = item.message, item.result
    message.lease_token, message.lease_until = "", None
    if message.undelivered and result.outcome in {Attempt.Outcome.ACCEPTED, Attempt.Outcome.UNKNOWN}:
        # The provider's report came first: it had taken it, and could not deliver it.
        message.state, message.last_error = Message.State.FAILED, message.undelivered
        message.provider_id = result.provider_id or message.provider_id
        return True
    if result.outcome == Attempt.Outcome.ACCEPTED:
        message.state, message.sent_at, message.last_error = Message.State.SENT, result.finished_at, ""
        message.provider_id = result.provider_id
        return False
    message.last_error = result.detail
    if result.outcome == Attempt.Outcome.VOID:
        message.state = Message.State.VOID
        return False
    if result.outcome == Attempt.Outcome.UNKNOWN:
        message.maybe_sent_at = message.maybe_sent_at or result.finished_at
    if result.outcome == Attempt.Outcome.REFUSED or message.attempts >= settings.MESSAGE_MAX_ATTEMPTS:
        message.state = Message.State.FAILED
        return True
    message.state = Message.State.QUEUED
    message.due_at = result.finished_at + delay(message.attempts, result.retry_after_seconds)
    return False


def call_fallbacks(messages: Sequence[Message], *, is_final: bool) -> list[Undelivered]:
    """Mark the messages to people whose other ways were not called upon yet, and give what to tell of them."""
    wanted = [message for message in messages if message.recipient_id is not None and message.fallback_at is None]
    at = now()
    for message in wanted:
        message.fallback_at = at
    return [
        Undelivered(
            message_id=message.pk,
            recipient_id=message.recipient_id or 0,
            channel=message.channel,
            address=message.address,
            subject=Subject(message.subject_kind, message.subject_key),
            guard_kind=message.guard_kind,
            guard_key=message.guard_key,
            guard_run=message.guard_run,
            is_final=is_final,
            error=message.last_error,
        )
        for message in wanted
    ]


def mark_broken(blamed: Sequence[Finished]) -> None:
    """Mark what a provider refuses for good, so that its person sees it. What is marked already stays as it is."""
    actor, at = Actor.system("messaging"), now()
    for item in blamed:
        message, detail = item.message, item.result.detail
        if item.result.blame == Blame.CONNECTION:
            _mark(Connection, item.connection_id, detail, at, actor)
        elif message.destination_id is not None:
            _mark(Destination, message.destination_id, detail, at, actor)
        elif (point_id := _point_id(message)) is not None:
            mark_contact_point_broken(point_id, detail, actor=actor)


def _mark(model: type[Connection] | type[Destination], pk: int | None, detail: str, at: datetime, actor: Actor) -> None:
    row = model.objects.select_for_update().filter(pk=pk, broken_at__isnull=True).first() if pk else None
    if row is not None:
        row.broken_at, row.broken_detail = at, detail[:300]
        with acting(actor, "refused by the provider"):
            row.save(update_fields=["broken_at", "broken_detail"])


def _point_id(message: Message) -> int | None:
    if message.contact_point_id or message.recipient_id is None:
        return message.contact_point_id
    points = ContactPoint.objects.filter(user_id=message.recipient_id, kind=message.channel, address=message.address)
    return points.values_list("pk", flat=True).first()


def tell_failed(failed: Sequence[Message], outcomes: Mapping[int, str]) -> None:
    """Publish failures of messages to people. Those of endpoints stay silent, or they would feed themselves.

    What told of several things is told for each of them.
    """
    to_people = [message for message in failed if message.endpoint_id is None]
    names = {
        message.pk: message.recipient.name
        for message in Message.objects.filter(pk__in=[item.pk for item in to_people]).select_related("recipient")
        if message.recipient is not None
    } if to_people else {}  # fmt: skip
    about = parts_of([Subject(message.subject_kind, message.subject_key) for message in to_people])
    publish_many(
        [
            (
                MessageFailed(
                    message_id=message.pk,
                    channel=message.channel,
                    recipient_id=message.recipient_id,
                    recipient=names.get(message.pk, ""),
                    address="" if message.recipient_id or not message.subject_kind else message.address,
                    title=message.title,
                    error=message.last_error,
                    attempts=message.attempts,
                    outcome=outcomes.get(message.pk, ""),
                ),
                subject,
                Actor.system("messaging"),
            )
            for message in to_people
            for subject in about[Subject(message.subject_kind, message.subject_key)]
        ]
    )


def tell_taken(messages: Sequence[Message]) -> None:
    """Publish what is at its provider, or may be though it ended otherwise, where something may have to follow it."""
    there = [
        message
        for message in messages
        if message.channel in FOLLOWED
        and message.subject_kind
        and "update_of" not in message.payload
        and (message.state == Message.State.SENT or (message.state in _OVER and message.maybe_sent_at is not None))
    ]
    publish_many(
        [
            (
                MessageTaken(message_id=message.pk),
                Subject(message.subject_kind, message.subject_key),
                Actor.system("messaging"),
            )
            for message in there
        ]
    )
