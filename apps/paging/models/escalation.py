"""Escalation runs, the pages they made, who acknowledged, what else calls somebody, and when nobody is called."""

from __future__ import annotations

from datetime import datetime
from typing import ClassVar

from django.conf import settings
from django.db import models
from django.db.models import F, Q

from apps.foundation.clock import now
from apps.foundation.history import TrackedHistory
from apps.paging.conditions import CHOICES


class MaintenanceWindow(models.Model):
    """Planned work, from `starts_at` until before `ends_at`: what opens in it is stored and shown, and pages nobody.

    Of a team, of a service, or, with neither, of everything.
    """

    team = models.ForeignKey(
        "catalog.Team", on_delete=models.CASCADE, null=True, blank=True, related_name="maintenance_windows"
    )
    service = models.ForeignKey(
        "catalog.Service", on_delete=models.CASCADE, null=True, blank=True, related_name="maintenance_windows"
    )
    starts_at = models.DateTimeField()
    ends_at = models.DateTimeField()
    reason = models.CharField(max_length=200)
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, blank=True, related_name="+"
    )
    created_at = models.DateTimeField(default=now)

    history = TrackedHistory()

    class Meta:
        ordering: ClassVar = ["-starts_at", "-id"]
        constraints: ClassVar = [
            models.CheckConstraint(condition=Q(ends_at__gte=F("starts_at")), name="maintenance_ends_after_its_start"),
            models.CheckConstraint(
                condition=Q(team__isnull=True) | Q(service__isnull=True), name="maintenance_is_of_a_team_or_a_service"
            ),
        ]
        indexes: ClassVar = [models.Index(fields=["ends_at"], name="maintenance_by_end")]

    def __str__(self) -> str:
        return f"maintenance of {self.service or self.team or 'everything'}"

    def is_in_force(self, at: datetime) -> bool:
        return self.starts_at <= at < self.ends_at


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
        WAITING = "waiting", "waits for a trigger"
        EXHAUSTED = "exhausted", "no level left"
        SNOOZED = "snoozed", "snoozed"
        HELD = "held", "held by maintenance"
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
    response_at = models.DateTimeField(null=True, blank=True, help_text="when the time to answer has passed")
    target_at = models.DateTimeField(null=True, blank=True, help_text="when the target has passed")
    answered_at = models.DateTimeField(null=True, blank=True, help_text="when somebody acknowledged first")
    taken = models.JSONField(default=dict, help_text="the steps of this run and when each was taken")
    conditions = models.JSONField(default=dict, help_text="the conditions that hold, as its triggers read them")
    service_ids = models.JSONField(default=list)
    owner_team_ids = models.JSONField(default=list, help_text="the teams that own the affected services")
    armed = models.PositiveIntegerField(default=0, help_text="how many timers were set; the number of the next")
    maintenance = models.ForeignKey(
        MaintenanceWindow, on_delete=models.SET_NULL, null=True, blank=True, related_name="held"
    )

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["subject_kind", "subject_key", "track"], name="escalation_track_is_unique_per_subject"
            ),
        ]
        indexes: ClassVar = [
            models.Index(fields=["next_due_at"], name="escalation_running", condition=Q(state="running")),
            models.Index(fields=["next_due_at"], name="escalation_resting", condition=Q(state__in=["snoozed", "held"])),
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
    """Somebody took notice. With the last one that its levels ask for (`completes`) the `page` run ended."""

    class Via(models.TextChoices):
        WEB = "web", "web"
        API = "api", "API"
        LINK = "link", "link in the page"
        SLACK = "slack", "Slack"
        PAGERDUTY = "pagerduty", "PagerDuty"
        SMS = "sms", "text message"

    subject_kind = models.CharField(max_length=40)
    subject_key = models.CharField(max_length=64)
    escalation = models.ForeignKey(EscalationRun, on_delete=models.CASCADE, related_name="acknowledgements")
    run = models.PositiveIntegerField()
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="acknowledgements")
    via = models.CharField(max_length=10, choices=Via)
    at = models.DateTimeField(default=now)
    completes = models.BooleanField(default=True, help_text="whether the run ended with it")

    class Meta:
        ordering: ClassVar = ["-at"]
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["escalation", "run", "user"], name="person_acknowledges_a_run_once"),
            models.UniqueConstraint(
                fields=["escalation", "run"], condition=Q(completes=True), name="run_is_acknowledged_once"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.user} at {self.at}"


class EscalationCondition(models.Model):
    """Something that a pack's triggers listen to (security, data loss, revenue): marked, and taken back."""

    subject_kind = models.CharField(max_length=40)
    subject_key = models.CharField(max_length=64)
    condition = models.CharField(max_length=40, choices=CHOICES)
    amount = models.PositiveBigIntegerField(null=True, blank=True, help_text="in whole units of the pack's currency")
    note = models.CharField(max_length=300, blank=True)
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, blank=True, related_name="+"
    )
    marked_by = models.CharField(max_length=120)
    at = models.DateTimeField(default=now)
    cleared_at = models.DateTimeField(null=True, blank=True)
    cleared_by = models.CharField(max_length=120, blank=True)

    class Meta:
        ordering: ClassVar = ["at", "id"]
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["subject_kind", "subject_key", "condition"],
                condition=Q(cleared_at__isnull=True),
                name="condition_holds_once_per_subject",
            ),
        ]

    def __str__(self) -> str:
        return self.get_condition_display()


class Snooze(models.Model):
    """Somebody put a subject off until an instant. Kept as the record of it; the runs know until when they rest."""

    subject_kind = models.CharField(max_length=40)
    subject_key = models.CharField(max_length=64)
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, blank=True, related_name="+"
    )
    by = models.CharField(max_length=120)
    reason = models.CharField(max_length=300, blank=True)
    at = models.DateTimeField(default=now)
    until = models.DateTimeField()
    ended_at = models.DateTimeField(null=True, blank=True, help_text="when it ended, by time or by hand")

    class Meta:
        ordering: ClassVar = ["at", "id"]
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["subject_kind", "subject_key"],
                condition=Q(ended_at__isnull=True),
                name="subject_is_snoozed_once_at_a_time",
            ),
        ]

    def __str__(self) -> str:
        return f"snoozed until {self.until}"


class Turn(models.Model):
    """Whose turn it was last where the people behind roles are called one at a time."""

    key = models.CharField(max_length=400, unique=True, help_text="the team's id and the roles, as one text")
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+")

    def __str__(self) -> str:
        return f"{self.user} for {self.key}"
