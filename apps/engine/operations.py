"""Publishing events and delivering them."""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime, timedelta

from django.db import Error as DatabaseError
from django.db import transaction
from django.db.models import F

from apps.engine import registry
from apps.engine.bell import ring
from apps.engine.events import DomainEvent, PortalFault
from apps.engine.models import Delivery, Event
from apps.foundation.actor import Actor, acting
from apps.foundation.clock import now
from apps.foundation.subjects import Subject

logger = logging.getLogger(__name__)

DELIVER_TASK = "engine.deliver"
MAX_ATTEMPTS = 10
BATCH = 100


def publish(event: DomainEvent, *, subject: Subject, actor: Actor) -> int:
    """Write one event and a delivery for each subscriber; returns the event's id. See `publish_many`."""
    return publish_many([(event, subject, actor)])[0]


def publish_many(items: Sequence[tuple[DomainEvent, Subject, Actor]]) -> list[int]:
    """Write events and their deliveries in the caller's transaction, with two queries for any number.

    RuntimeError outside a transaction: an event without its cause must not exist.
    """
    if not items:
        return []
    if not transaction.get_connection().in_atomic_block:
        raise RuntimeError("An event is published in the transaction of its cause.")
    at = now()
    rows = Event.objects.bulk_create(
        [
            Event(
                kind=event.kind,
                subject_kind=subject.kind,
                subject_key=subject.key,
                payload=event.as_json(),
                actor=actor.as_json(),
                occurred_at=at,
            )
            for event, subject, actor in items
        ],
        batch_size=500,
    )
    listeners = registry.subscriptions()
    deliveries = [
        Delivery(event=row, subscriber=listener.name, due_at=at)
        for row in rows
        for listener in listeners
        if listener.wants(row.kind)
    ]
    if deliveries:
        Delivery.objects.bulk_create(deliveries, batch_size=500)
        ring(DELIVER_TASK, "bulk")
    return [row.pk for row in rows]


def deliveries_due(at: datetime) -> bool:
    return Delivery.objects.filter(state=Delivery.State.PENDING, due_at__lte=at).exists()


def deliver() -> int:
    """Hand up to `BATCH` due deliveries to their subscribers; returns how many were handled.

    All of one subscriber go in one transaction; when that fails they are repeated one by one, and only
    the failing ones wait. Workers side by side skip each other's rows.
    """
    due = list(
        Delivery.objects.filter(state=Delivery.State.PENDING, due_at__lte=now())
        .order_by("due_at", "id")
        .values_list("pk", "subscriber")[:BATCH]
    )
    by_subscriber: dict[str, list[int]] = defaultdict(list)
    for pk, name in due:
        by_subscriber[name].append(pk)
    return sum(_deliver_to(name, ids) for name, ids in by_subscriber.items())


def _deliver_to(name: str, ids: list[int]) -> int:
    listener = registry.subscription(name)
    if listener is None:
        return _park(ids, f"No subscriber is named {name!r} any more.")
    try:
        return _deliver_batch(listener, ids)
    except DatabaseError:
        if len(ids) == 1:
            raise
    except Exception:  # a subscriber may fail in any way; its events are retried one by one below
        logger.info("A batch for %s failed; repeating it one by one.", name, exc_info=True)
    return sum(_deliver_one(listener, pk) for pk in ids)


def _deliver_batch(listener: registry.Subscription, ids: list[int]) -> int:
    with transaction.atomic(), acting(Actor.system(listener.name), "event delivered"):
        rows = list(
            Delivery.objects.select_for_update(skip_locked=True, of=("self",))
            .filter(pk__in=ids, state=Delivery.State.PENDING)
            .select_related("event")
            # By subject, so that workers side by side lock subjects in one order.
            .order_by("event__subject_kind", "event__subject_key", "event_id")
        )
        if not rows:
            return 0
        events = [row.event for row in rows]
        if listener.handle_batch is not None:
            listener.handle_batch(events)
        elif listener.handle is not None:
            for event in events:
                listener.handle(event)
        Delivery.objects.filter(pk__in=[row.pk for row in rows]).update(
            state=Delivery.State.DONE, done_at=now(), attempts=F("attempts") + 1
        )
        return len(rows)


def _deliver_one(listener: registry.Subscription, pk: int) -> int:
    try:
        return _deliver_batch(listener, [pk])
    except Exception as error:
        logger.exception("%s failed on delivery %s.", listener.name, pk)
        _record_failure(pk, listener.name, error)
        return 0


def _record_failure(pk: int, name: str, error: Exception) -> None:
    with transaction.atomic():
        row = Delivery.objects.select_for_update(of=("self",)).select_related("event").get(pk=pk)
        row.attempts += 1
        row.last_error = f"{type(error).__name__}: {error}"[:2000]
        row.due_at = now() + timedelta(seconds=min(2**row.attempts, 300))
        if row.attempts >= MAX_ATTEMPTS:
            row.state = Delivery.State.FAILED
        if row.attempts >= MAX_ATTEMPTS and row.event.kind != PortalFault.kind:  # a fault about a fault would go round
            report_fault(f"delivery:{name}", f"{name} can't handle an event", row.last_error)
        row.save(update_fields=["attempts", "last_error", "due_at", "state"])


def _park(ids: list[int], why: str) -> int:
    return Delivery.objects.filter(pk__in=ids, state=Delivery.State.PENDING).update(
        state=Delivery.State.FAILED, last_error=why
    )


def retry_delivery(delivery_id: int) -> None:
    """Give a delivery that waits for a person ten more attempts, from now. Repeats change nothing."""
    with transaction.atomic():
        Delivery.objects.filter(pk=delivery_id, state=Delivery.State.FAILED).update(
            state=Delivery.State.PENDING, attempts=0, due_at=now()
        )
        ring(DELIVER_TASK, "bulk")


def report_fault(fault: str, title: str, detail: str) -> None:
    """Publish that the portal found something wrong with itself; `fault` groups repeats."""
    with transaction.atomic():
        publish(
            PortalFault(fault=fault, title=title, detail=detail), subject=Subject("", ""), actor=Actor.system("engine")
        )
