"""The incident, who does what in it, and its one timeline."""

from __future__ import annotations

from typing import ClassVar

from django.conf import settings
from django.db import models
from django.db.models import Q
from guardian.models import GroupObjectPermissionBase, UserObjectPermissionBase

from apps.foundation.clock import now
from apps.foundation.history import TrackedHistory


class Incident(models.Model):
    """Something that is wrong now, or was. Changed only by `incidents.operations`."""

    class Phase(models.TextChoices):
        DETECTED = "detected", "Detected"
        TRIAGE = "triage", "Triage"
        MITIGATING = "mitigating", "Mitigating"
        VALIDATING = "validating", "Validating"
        RESOLVED = "resolved", "Resolved"

    class Visibility(models.TextChoices):
        OPEN = "open", "everybody who may see incidents"
        PRIVATE = "private", "the team and those it names"

    class Kind(models.TextChoices):
        REAL = "real", "real"
        DRILL = "drill", "drill"

    number = models.CharField(max_length=40, unique=True)
    title = models.CharField(max_length=300)
    summary = models.TextField(blank=True)
    kind = models.CharField(max_length=10, choices=Kind, default=Kind.REAL)
    severity = models.CharField(max_length=20)
    severity_rank = models.PositiveSmallIntegerField(default=0, help_text="0 is the worst of its pack")
    phase = models.CharField(max_length=12, choices=Phase, default=Phase.DETECTED)
    visibility = models.CharField(max_length=10, choices=Visibility, default=Visibility.OPEN)
    team = models.ForeignKey("catalog.Team", on_delete=models.PROTECT, null=True, blank=True, related_name="incidents")
    services = models.ManyToManyField("catalog.Service", blank=True, related_name="incidents")
    environment = models.ForeignKey(
        "catalog.Environment", on_delete=models.PROTECT, null=True, blank=True, related_name="incidents"
    )
    policy_version = models.ForeignKey("policies.PolicyVersion", on_delete=models.PROTECT, related_name="+")
    type = models.CharField(max_length=40, blank=True, help_text="one of those that its pack names; empty: not said")
    subtype = models.CharField(max_length=120, blank=True)
    metric = models.CharField(max_length=120, blank=True, help_text="what the alert that opened it measures")
    stop_milestone = models.CharField(
        max_length=40, blank=True, help_text="where the clock of its target stops; empty: as its severity says"
    )
    source = models.CharField(max_length=40, default="person", help_text="person, or the kind of integration")
    declared_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, blank=True, related_name="+"
    )
    detected_at = models.DateTimeField(default=now)
    declared_at = models.DateTimeField(default=now)
    acknowledged_at = models.DateTimeField(null=True, blank=True)
    resolve_proposed_at = models.DateTimeField(null=True, blank=True)
    resolved_at = models.DateTimeField(null=True, blank=True)
    reopened_count = models.PositiveSmallIntegerField(default=0)
    stream_seq = models.PositiveIntegerField(default=0, help_text="the number of the newest timeline entry")
    version = models.PositiveIntegerField(default=1, help_text="raised by every change; the ETag")

    history = TrackedHistory(excluded_fields=["stream_seq", "version"])

    class Meta:
        ordering: ClassVar = ["-declared_at", "-id"]
        permissions: ClassVar = [
            ("declare_incident", "Can declare an incident"),
            ("respond_incident", "Can acknowledge, post, page in and mark milestones"),
            ("command_incident", "Can take command, give roles, change severity, resolve and reopen"),
            ("view_private_incident", "Can see every private incident (auditors)"),
        ]
        constraints: ClassVar = [
            models.CheckConstraint(
                condition=Q(phase="resolved", resolved_at__isnull=False)
                | (~Q(phase="resolved") & Q(resolved_at__isnull=True)),
                name="incident_resolved_iff_resolved_at",
            ),
        ]
        indexes: ClassVar = [
            models.Index(
                fields=["severity_rank", "-declared_at"], name="incident_open", condition=~Q(phase="resolved")
            ),
            models.Index(fields=["team", "-declared_at"], name="incident_by_team"),
        ]

    def __str__(self) -> str:
        return f"{self.number} {self.title}"

    @property
    def is_open(self) -> bool:
        return self.phase != self.Phase.RESOLVED


class RoleAssignment(models.Model):
    """Who holds a role (commander, tech lead …) from when until when."""

    incident = models.ForeignKey(Incident, on_delete=models.CASCADE, related_name="roles")
    role = models.SlugField(max_length=40)
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="incident_roles")
    since = models.DateTimeField(default=now)
    until = models.DateTimeField(null=True, blank=True)

    history = TrackedHistory()

    class Meta:
        ordering: ClassVar = ["incident_id", "since"]
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["incident", "role"], condition=Q(until__isnull=True), name="incident_role_has_one_holder"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.user} as {self.role}"


class TimelineEntry(models.Model):
    """One thing that happened, numbered under the incident's lock. Append-only; an edit is a new revision."""

    incident = models.ForeignKey(Incident, on_delete=models.CASCADE, related_name="timeline")
    seq = models.PositiveIntegerField()
    kind = models.CharField(max_length=40)
    text = models.TextField()
    data = models.JSONField(default=dict)
    author = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, blank=True, related_name="+"
    )
    author_name = models.CharField(max_length=120)
    event_id = models.BigIntegerField(null=True, blank=True, help_text="the engine event it tells of")
    revises = models.ForeignKey("self", on_delete=models.PROTECT, null=True, blank=True, related_name="revisions")
    at = models.DateTimeField(default=now, help_text="when it happened")
    recorded_at = models.DateTimeField(default=now)

    class Meta:
        ordering: ClassVar = ["incident_id", "seq"]
        verbose_name_plural = "timeline entries"
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["incident", "seq"], name="timeline_seq_is_unique_in_its_incident"),
            models.UniqueConstraint(
                fields=["incident", "event_id"],
                condition=Q(event_id__isnull=False),
                name="event_is_told_once_in_a_timeline",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.seq}: {self.text[:60]}"


class Milestone(models.Model):
    """An instant that metrics are computed from: detected, acknowledged, mitigated, resolved …"""

    incident = models.ForeignKey(Incident, on_delete=models.CASCADE, related_name="milestones")
    name = models.SlugField(max_length=40)
    at = models.DateTimeField()
    cycle = models.PositiveSmallIntegerField(default=0, help_text="how often the incident had been reopened before")
    marked_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, blank=True, related_name="+"
    )

    history = TrackedHistory()

    class Meta:
        ordering: ClassVar = ["incident_id", "at", "id"]
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["incident", "name", "cycle"], name="milestone_is_marked_once_per_cycle"),
        ]

    def __str__(self) -> str:
        return f"{self.name} at {self.at}"


class NumberCounter(models.Model):
    """The last number given under one pattern (a pack's format with its day filled in). Locked while it is raised."""

    pattern = models.CharField(max_length=80, unique=True)
    last = models.PositiveIntegerField(default=0)

    def __str__(self) -> str:
        return f"{self.pattern} {self.last}"


class IncidentUserPermission(UserObjectPermissionBase):
    content_object = models.ForeignKey(Incident, on_delete=models.CASCADE)

    class Meta(UserObjectPermissionBase.Meta):
        verbose_name = "incident grant to a person"


class IncidentGroupPermission(GroupObjectPermissionBase):
    content_object = models.ForeignKey(Incident, on_delete=models.CASCADE)

    class Meta(GroupObjectPermissionBase.Meta):
        verbose_name = "incident grant to a group"
