"""Integrations, what they sent, and the alerts it amounts to."""

from __future__ import annotations

from typing import ClassVar

from django.db import models
from django.db.models import Q

from apps.foundation.clock import now
from apps.foundation.history import TrackedHistory


class Integration(models.Model):
    """A source of alerts or changes with a key of its own in its address."""

    class Kind(models.TextChoices):
        ALERTMANAGER = "alertmanager", "Prometheus Alertmanager"
        GENERIC = "generic", "Generic JSON"
        CHANGE = "change", "Deployments and changes"

    class State(models.TextChoices):
        ACTIVE = "active", "active"
        PAUSED = "paused", "paused: stores, opens nothing"
        REVOKED = "revoked", "revoked: refuses"

    kind = models.CharField(max_length=20, choices=Kind)
    name = models.CharField(max_length=120)
    key_digest = models.CharField(max_length=64, unique=True, editable=False)
    key_encrypted = models.TextField(editable=False)
    team = models.ForeignKey("catalog.Team", on_delete=models.PROTECT, related_name="integrations")
    service = models.ForeignKey(
        "catalog.Service",
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        related_name="integrations",
        help_text="where no label names one",
    )
    state = models.CharField(max_length=10, choices=State, default=State.ACTIVE)
    created_at = models.DateTimeField(default=now)

    history = TrackedHistory(excluded_fields=["key_digest", "key_encrypted"])

    class Meta:
        ordering: ClassVar = ["name"]

    def __str__(self) -> str:
        return self.name


class Receipt(models.Model):
    """What one POST brought, byte for byte, committed before the 202. Hot and append-only."""

    class State(models.TextChoices):
        NEW = "new", "new"
        DONE = "done", "done"
        REJECTED = "rejected", "not understood; waits for a person"

    integration = models.ForeignKey(Integration, on_delete=models.CASCADE, related_name="receipts", db_index=False)
    body = models.BinaryField()
    state = models.CharField(max_length=10, choices=State, default=State.NEW)
    received_at = models.DateTimeField()
    done_at = models.DateTimeField(null=True, blank=True)
    error = models.TextField(blank=True, default="")

    class Meta:
        ordering: ClassVar = ["-id"]
        permissions: ClassVar = [("retry_receipt", "Can have a receipt that was not understood handled again")]
        indexes: ClassVar = [
            models.Index(fields=["integration", "id"], name="receipt_new", condition=Q(state="new")),
            models.Index(fields=["id"], name="receipt_waiting", condition=Q(state="rejected")),
        ]

    def __str__(self) -> str:
        return f"receipt {self.pk}"


class AlertGroup(models.Model):
    """Alerts that belong together, and the incident they opened."""

    class State(models.TextChoices):
        OPEN = "open", "open"
        CLOSED = "closed", "closed"

    integration = models.ForeignKey(Integration, on_delete=models.CASCADE, related_name="groups")
    group_key = models.CharField(max_length=200)
    state = models.CharField(max_length=10, choices=State, default=State.OPEN)
    incident = models.ForeignKey(
        "incidents.Incident", on_delete=models.SET_NULL, null=True, blank=True, related_name="alert_groups"
    )
    opened_at = models.DateTimeField(default=now)
    closed_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["integration", "group_key"], condition=Q(state="open"), name="alert_group_is_open_once_per_key"
            ),
        ]

    def __str__(self) -> str:
        return self.group_key


class Alert(models.Model):
    """One dedup key of one integration. It remembers the last receipt applied to it, so late ones change nothing."""

    class State(models.TextChoices):
        FIRING = "firing", "firing"
        RESOLVED = "resolved", "resolved"

    integration = models.ForeignKey(Integration, on_delete=models.CASCADE, related_name="alerts")
    dedup_key = models.CharField(max_length=200)
    state = models.CharField(max_length=10, choices=State, default=State.FIRING)
    title = models.CharField(max_length=300)
    severity = models.CharField(max_length=20, blank=True)
    service = models.ForeignKey(
        "catalog.Service", on_delete=models.SET_NULL, null=True, blank=True, related_name="alerts"
    )
    group = models.ForeignKey(AlertGroup, on_delete=models.SET_NULL, null=True, blank=True, related_name="alerts")
    labels = models.JSONField(default=dict)
    annotations = models.JSONField(default=dict)
    link = models.URLField(max_length=1000, blank=True)
    last_receipt_id = models.BigIntegerField(default=0, help_text="the newest receipt that spoke of it")
    # What decides the state, whatever the order of handling: see apps/alerts/episodes.py.
    fire_receipt_id = models.BigIntegerField(default=0, help_text="the newest receipt in which it fires")
    fire_received_at = models.DateTimeField(null=True, blank=True)
    fire_starts_at = models.DateTimeField(null=True, blank=True)
    resolve_receipt_id = models.BigIntegerField(default=0, help_text="the newest receipt in which it is resolved")
    resolve_received_at = models.DateTimeField(null=True, blank=True)
    resolve_starts_at = models.DateTimeField(null=True, blank=True)
    starts_at = models.DateTimeField(null=True, blank=True, help_text="as the source says; the latest it ever named")
    fired_at = models.DateTimeField(null=True, blank=True, help_text="when this episode was first received")
    last_seen_at = models.DateTimeField(default=now)
    resolved_at = models.DateTimeField(null=True, blank=True)
    receipt_count = models.PositiveIntegerField(default=1)
    episode_count = models.PositiveIntegerField(default=1, help_text="how often it fired anew")

    class Meta:
        ordering: ClassVar = ["-last_seen_at", "-id"]
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["integration", "dedup_key"], name="alert_dedup_key_is_unique_per_integration"
            ),
            models.CheckConstraint(
                condition=Q(state="resolved", resolved_at__isnull=False) | Q(state="firing", resolved_at__isnull=True),
                name="alert_resolved_iff_resolved_at",
            ),
        ]
        indexes: ClassVar = [
            models.Index(fields=["-last_seen_at"], name="alert_recent"),
            models.Index(fields=["state", "-last_seen_at"], name="alert_by_state"),
        ]

    def __str__(self) -> str:
        return self.title
