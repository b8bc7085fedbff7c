"""The queue is the database: events, their deliveries, timers, and the pulse of the sweeps."""

from __future__ import annotations

from typing import ClassVar

from django.db import models
from django.db.models import Q

from apps.foundation.clock import now


class Event(models.Model):
    """Something that happened, written in the transaction in which it happened; never changed."""

    kind = models.CharField(max_length=80)
    subject_kind = models.CharField(max_length=40, blank=True)
    subject_key = models.CharField(max_length=64, blank=True)
    payload = models.JSONField(default=dict)
    actor = models.JSONField(default=dict)
    occurred_at = models.DateTimeField(default=now)

    class Meta:
        indexes: ClassVar = [models.Index(fields=["subject_kind", "subject_key", "id"], name="event_by_subject")]

    def __str__(self) -> str:
        return f"{self.kind} #{self.pk}"


class Delivery(models.Model):
    """One event on its way to one subscriber. After ten failures it waits for a person."""

    class State(models.TextChoices):
        PENDING = "pending", "pending"
        DONE = "done", "done"
        FAILED = "failed", "waits for a person"

    event = models.ForeignKey(Event, on_delete=models.CASCADE, related_name="deliveries")
    subscriber = models.CharField(max_length=80)
    state = models.CharField(max_length=10, choices=State, default=State.PENDING)
    attempts = models.PositiveSmallIntegerField(default=0)
    due_at = models.DateTimeField(default=now)
    done_at = models.DateTimeField(null=True, blank=True)
    last_error = models.TextField(blank=True)

    class Meta:
        verbose_name_plural = "deliveries"
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["event", "subscriber"], name="event_is_delivered_once_to_a_subscriber"),
        ]
        indexes: ClassVar = [
            models.Index(fields=["due_at", "id"], name="delivery_due", condition=Q(state="pending")),
        ]

    def __str__(self) -> str:
        return f"{self.event_id} to {self.subscriber}"


class Timer(models.Model):
    """An effect that falls due at an instant. `run` tells a stale timer from a current one."""

    class State(models.TextChoices):
        PENDING = "pending", "pending"
        FIRED = "fired", "fired"
        CANCELLED = "cancelled", "cancelled"
        FAILED = "failed", "waits for a person"

    kind = models.CharField(max_length=60)
    key = models.CharField(max_length=64)
    run = models.PositiveIntegerField()
    seq = models.PositiveIntegerField(default=0)
    due_at = models.DateTimeField()
    state = models.CharField(max_length=10, choices=State, default=State.PENDING)
    payload = models.JSONField(default=dict)
    created_at = models.DateTimeField(default=now)
    fired_at = models.DateTimeField(null=True, blank=True)
    attempts = models.PositiveSmallIntegerField(default=0)
    try_at = models.DateTimeField(help_text="due_at, or later after a failure")
    last_error = models.TextField(blank=True)

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["kind", "key", "run", "seq"], name="timer_is_unique_in_its_run"),
            models.CheckConstraint(
                condition=Q(state="fired", fired_at__isnull=False) | (~Q(state="fired") & Q(fired_at__isnull=True)),
                name="timer_fired_iff_fired_at",
            ),
        ]
        indexes: ClassVar = [
            models.Index(fields=["kind", "try_at"], name="timer_due", condition=Q(state="pending")),
            models.Index(fields=["try_at"], name="timer_next_due", condition=Q(state="pending")),
            models.Index(fields=["kind", "key"], name="timer_pending_by_key", condition=Q(state="pending")),
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.key} run {self.run} seq {self.seq}"


class Pulse(models.Model):
    """When something last ran (a sweep, a ticker, the invariant check), seen by every process."""

    name = models.CharField(max_length=80, primary_key=True)
    at = models.DateTimeField()
    detail = models.JSONField(default=dict)

    def __str__(self) -> str:
        return self.name
