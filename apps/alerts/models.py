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
        GRAFANA = "grafana", "Grafana alerting"
        PAGERDUTY = "pagerduty", "PagerDuty Events v2"
        HEARTBEAT = "heartbeat", "Heartbeat"
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
    previous_key_digest = models.CharField(max_length=64, blank=True, default="", editable=False)
    previous_key_until = models.DateTimeField(
        null=True, blank=True, help_text="the key before the present one is taken until then"
    )
    mapping = models.JSONField(
        default=dict, blank=True, help_text="fields of an alert and the JMESPath expressions that find them"
    )
    rate_per_minute = models.PositiveIntegerField(
        null=True, blank=True, help_text="requests taken in a minute; empty: INTAKE_RATE_PER_MINUTE, 0: no limit"
    )
    group_by = models.JSONField(
        default=list, blank=True, help_text="labels and fields whose values make a group; empty: as the pack says"
    )
    group_window_seconds = models.PositiveIntegerField(
        null=True, blank=True, help_text="how long a group takes alerts in; empty: as the pack says"
    )
    group_max_alerts = models.PositiveIntegerField(
        null=True, blank=True, help_text="how many alerts a group takes in; empty: as the pack says"
    )
    interval_seconds = models.PositiveIntegerField(
        null=True, blank=True, help_text="a heartbeat's: how often it beats at the latest"
    )
    grace_seconds = models.PositiveIntegerField(null=True, blank=True, help_text="a heartbeat's: how late it may be")
    created_at = models.DateTimeField(default=now)

    history = TrackedHistory(excluded_fields=["key_digest", "key_encrypted", "previous_key_digest"])

    class Meta:
        ordering: ClassVar = ["name"]
        constraints: ClassVar = [
            models.CheckConstraint(
                condition=~Q(kind="heartbeat") | Q(interval_seconds__gt=0, grace_seconds__isnull=False),
                name="heartbeat_has_interval_and_grace",
            ),
            models.CheckConstraint(
                condition=Q(previous_key_digest="") | Q(previous_key_until__isnull=False),
                name="integration_previous_key_has_an_end",
            ),
        ]

    def __str__(self) -> str:
        return self.name


class Heartbeat(models.Model):
    """What is known of a heartbeat integration's beats. Hot, without history; its settings are the integration's."""

    class State(models.TextChoices):
        WAITING = "waiting", "waits for the first beat"
        BEATING = "beating", "beats"
        MISSING = "missing", "missing"

    integration = models.OneToOneField(
        Integration, on_delete=models.CASCADE, related_name="heartbeat", primary_key=True
    )
    state = models.CharField(max_length=10, choices=State, default=State.WAITING)
    last_beat_at = models.DateTimeField(null=True, blank=True)
    beat_count = models.BigIntegerField(default=0)
    run = models.PositiveIntegerField(default=0, help_text="raised whenever its timers are void")
    timer_seq = models.PositiveIntegerField(default=0, help_text="the number of its newest timer within the run")

    def __str__(self) -> str:
        return f"heartbeat of {self.integration_id}"


class IntakeMinute(models.Model):
    """How many requests of an integration were taken and refused in one minute. Written once a second at most."""

    integration = models.ForeignKey(
        Integration, on_delete=models.CASCADE, related_name="minutes", db_index=False, db_constraint=False
    )
    minute = models.DateTimeField()
    taken_count = models.PositiveIntegerField(default=0)
    refused_count = models.PositiveIntegerField(default=0)
    is_told = models.BooleanField(default=False, help_text="the refusals of this minute were told to the team")

    class Meta:
        ordering: ClassVar = ["-minute"]
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["integration", "minute"], name="intake_minute_is_counted_once"),
        ]
        indexes: ClassVar = [
            models.Index(
                fields=["integration"],
                name="intake_minute_untold",
                condition=Q(refused_count__gt=0, is_told=False),
            ),
            models.Index(fields=["minute"], name="intake_minute_old"),
        ]

    def __str__(self) -> str:
        return f"{self.minute:%Y-%m-%d %H:%M}"


class Receipt(models.Model):
    """What one POST brought, byte for byte, committed before the 202. Hot and append-only."""

    class State(models.TextChoices):
        NEW = "new", "new"
        DONE = "done", "done"
        REJECTED = "rejected", "not understood; waits for a person"

    integration = models.ForeignKey(Integration, on_delete=models.CASCADE, related_name="receipts", db_index=False)
    body = models.BinaryField()
    form = models.CharField(
        max_length=10,
        blank=True,
        default="",
        help_text="empty for what the source sent in its ordinary form; see apps/alerts/readers.py",
    )
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
    changes = models.JSONField(default=list, help_text="the last instants at which it fired or cleared, in seconds")
    flapping_since = models.DateTimeField(null=True, blank=True)
    is_suppressed = models.BooleanField(
        default=False, help_text="it fires because of an outage further up and is attached to that incident"
    )
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
            models.Index(fields=["service"], name="alert_firing_by_service", condition=Q(state="firing")),
        ]

    def __str__(self) -> str:
        return self.title
