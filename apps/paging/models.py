"""Escalation runs, the pages they made, and who acknowledged."""

from __future__ import annotations

from typing import ClassVar

from django.conf import settings
from django.db import models
from django.db.models import Q

from apps.foundation.clock import now


class EscalationRun(models.Model):
    """One track of escalation for one subject. Its `run` number voids everything in flight when raised.

    `page` ends on acknowledgement, `management` on resolution (or the pack's milestone). Locked by every
    operation and by the sweep before they touch its timers; hot table without history.
    """

    class Track(models.TextChoices):
        PAGE = "page", "until acknowledged"
        MANAGEMENT = "management", "until resolved"

    class State(models.TextChoices):
        RUNNING = "running", "running"
        ACKNOWLEDGED = "acknowledged", "acknowledged"
        EXHAUSTED = "exhausted", "no level left"
        STOPPED = "stopped", "stopped"

    subject_kind = models.CharField(max_length=40)
    subject_key = models.CharField(max_length=64)
    track = models.CharField(max_length=12, choices=Track)
    policy_version = models.ForeignKey("policies.PolicyVersion", on_delete=models.PROTECT, related_name="+")
    team = models.ForeignKey("catalog.Team", on_delete=models.PROTECT, null=True, blank=True, related_name="+")
    severity = models.CharField(max_length=20)
    title = models.CharField(max_length=300)
    state = models.CharField(max_length=14, choices=State, default=State.RUNNING)
    run = models.PositiveIntegerField(default=1)
    step = models.PositiveIntegerField(default=0, help_text="how many steps have fired in this run")
    level = models.PositiveSmallIntegerField(default=0, help_text="the last level that reached somebody in this run")
    detected_at = models.DateTimeField(default=now)
    started_at = models.DateTimeField(default=now, help_text="delays of the levels count from here")
    next_due_at = models.DateTimeField(null=True, blank=True)
    ended_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["subject_kind", "subject_key", "track"], name="escalation_track_is_unique_per_subject"
            ),
        ]
        indexes: ClassVar = [
            models.Index(fields=["next_due_at"], name="escalation_running", condition=Q(state="running")),
        ]

    def __str__(self) -> str:
        return f"{self.track} of {self.subject_kind} {self.subject_key}"


class Page(models.Model):
    """One person called for one subject at one level. Append-only but for its acknowledgement."""

    class State(models.TextChoices):
        OPEN = "open", "waiting"
        ACKNOWLEDGED = "acknowledged", "acknowledged"
        CLOSED = "closed", "no longer needed"

    subject_kind = models.CharField(max_length=40)
    subject_key = models.CharField(max_length=64)
    escalation = models.ForeignKey(
        EscalationRun,
        on_delete=models.CASCADE,
        null=True,
        blank=True,
        related_name="pages",
        help_text="empty when a person paged somebody in",
    )
    run = models.PositiveIntegerField(default=0)
    step = models.PositiveIntegerField(default=0)
    level = models.PositiveSmallIntegerField(default=0)
    role = models.CharField(max_length=60, blank=True)
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="pages")
    reason = models.CharField(max_length=300, blank=True)
    state = models.CharField(max_length=14, choices=State, default=State.OPEN)
    due_at = models.DateTimeField(help_text="when the escalation path wanted it")
    created_at = models.DateTimeField(default=now)
    acknowledged_at = models.DateTimeField(null=True, blank=True)
    link_used_at = models.DateTimeField(null=True, blank=True, help_text="the signed link works once")

    class Meta:
        ordering: ClassVar = ["-created_at", "-id"]
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["escalation", "run", "step", "user"], name="person_is_paged_once_per_escalation_step"
            ),
            models.CheckConstraint(
                condition=Q(state="acknowledged", acknowledged_at__isnull=False)
                | (~Q(state="acknowledged") & Q(acknowledged_at__isnull=True)),
                name="page_acknowledged_iff_acknowledged_at",
            ),
        ]
        indexes: ClassVar = [
            models.Index(fields=["subject_kind", "subject_key", "id"], name="page_by_subject"),
            models.Index(fields=["user", "state", "-id"], name="page_by_user"),
        ]

    def __str__(self) -> str:
        return f"page to {self.user} (level {self.level})"


class Acknowledgement(models.Model):
    """Somebody took notice; the `page` run ended here. One for each run that was acknowledged."""

    class Via(models.TextChoices):
        WEB = "web", "web"
        API = "api", "API"
        LINK = "link", "link in the page"

    subject_kind = models.CharField(max_length=40)
    subject_key = models.CharField(max_length=64)
    escalation = models.ForeignKey(EscalationRun, on_delete=models.CASCADE, related_name="acknowledgements")
    run = models.PositiveIntegerField()
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="acknowledgements")
    via = models.CharField(max_length=10, choices=Via)
    at = models.DateTimeField(default=now)

    class Meta:
        ordering: ClassVar = ["-at"]
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["escalation", "run"], name="run_is_acknowledged_once"),
        ]

    def __str__(self) -> str:
        return f"{self.user} at {self.at}"
