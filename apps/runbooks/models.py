"""Runbooks and their versions, dry runs, executions step by step, and one-click mitigations."""

from __future__ import annotations

import uuid
from typing import ClassVar

from django.conf import settings
from django.db import models
from django.db.models import Q
from guardian.models import GroupObjectPermissionBase, UserObjectPermissionBase

from apps.foundation.clock import now
from apps.foundation.history import TrackedHistory


class Runbook(models.Model):
    """A prepared way to do something about an incident. What it does stands in its versions."""

    class State(models.TextChoices):
        DRAFT = "draft", "draft"
        ACTIVE = "active", "active"
        RETIRED = "retired", "retired"

    slug = models.SlugField(max_length=60, unique=True)
    name = models.CharField(max_length=120)
    description = models.TextField(blank=True)
    category = models.CharField(max_length=60, blank=True)
    owner = models.ForeignKey("catalog.Team", on_delete=models.PROTECT, related_name="runbooks")
    services = models.ManyToManyField("catalog.Service", blank=True, related_name="runbooks")
    state = models.CharField(max_length=10, choices=State, default=State.DRAFT)
    active_version = models.ForeignKey(
        "runbooks.RunbookVersion", on_delete=models.PROTECT, null=True, blank=True, related_name="+"
    )
    reviewed_at = models.DateTimeField(null=True, blank=True, help_text="when somebody last said that it is right")
    reviewed_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, blank=True, related_name="+"
    )
    version = models.PositiveIntegerField(default=1, help_text="raised by every change; the ETag")

    history = TrackedHistory(excluded_fields=["version"], m2m_fields=[services])

    class Meta:
        ordering: ClassVar = ["name"]
        permissions: ClassVar = [
            ("dry_run_runbook", "Can look at what a runbook would do"),
            ("execute_runbook", "Can ask for an execution, start, cancel and resume it"),
        ]
        constraints: ClassVar = [
            models.CheckConstraint(
                condition=~Q(state="active") | Q(active_version__isnull=False), name="active_runbook_has_a_version"
            ),
        ]

    def __str__(self) -> str:
        return self.name


class RunbookVersion(models.Model):
    """The text of a runbook as it was saved. Never changed; an execution pins the one it runs."""

    runbook = models.ForeignKey(Runbook, on_delete=models.PROTECT, related_name="versions")
    number = models.PositiveIntegerField()
    text = models.TextField(help_text="YAML")
    content = models.JSONField(help_text="the same, read and checked")
    checksum = models.CharField(max_length=64)
    note = models.CharField(max_length=300, blank=True)
    author = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, blank=True, related_name="+"
    )
    author_name = models.CharField(max_length=120)
    created_at = models.DateTimeField(default=now)

    class Meta:
        ordering: ClassVar = ["runbook_id", "-number"]
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["runbook", "number"], name="runbook_version_number_is_unique"),
        ]

    def __str__(self) -> str:
        return f"{self.runbook} v{self.number}"


class Secret(models.Model):
    """A value that steps use by its name, as `{{ secret.NAME }}`. Sealed; shown nowhere again."""

    name = models.SlugField(max_length=60, unique=True)
    note = models.CharField(max_length=200, blank=True)
    value_encrypted = models.TextField()
    changed_at = models.DateTimeField(default=now)

    history = TrackedHistory(excluded_fields=["value_encrypted"])

    class Meta:
        ordering: ClassVar = ["name"]

    def __str__(self) -> str:
        return self.name


class DryRun(models.Model):
    """What an execution would do, looked up without changing anything: this row is all that a dry run writes."""

    runbook = models.ForeignKey(Runbook, on_delete=models.PROTECT, related_name="dry_runs")
    runbook_version = models.ForeignKey(RunbookVersion, on_delete=models.PROTECT, related_name="+")
    incident = models.ForeignKey(
        "incidents.Incident", on_delete=models.PROTECT, null=True, blank=True, related_name="dry_runs"
    )
    parameters = models.JSONField(default=dict)
    incident_names = models.JSONField(default=dict, help_text="the values of the incident that the steps name")
    targets = models.JSONField(default=list, help_text="what would change: kind, key, checksums before and after")
    content_hash = models.CharField(max_length=64, help_text="SHA-256 over version, parameters, incident and targets")
    steps = models.JSONField(default=list, help_text="for each step what it would do: text, request, diff, problems")
    problems = models.JSONField(default=list, help_text="why it can't be executed; empty when the preflight passed")
    estimate_seconds = models.PositiveIntegerField(default=0)
    took_milliseconds = models.PositiveIntegerField(default=0)
    requested_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, blank=True, related_name="+"
    )
    requested_by_name = models.CharField(max_length=120)
    made_at = models.DateTimeField(default=now)

    class Meta:
        ordering: ClassVar = ["-made_at", "-id"]

    def __str__(self) -> str:
        return f"Dry run {self.pk} of {self.runbook_version}"


class Execution(models.Model):
    """A runbook at work, or asked for. `fence` is the token of the worker that may write now."""

    class State(models.TextChoices):
        AWAITING_APPROVAL = "awaiting_approval", "Waits for approval"
        READY = "ready", "Ready to start"
        RUNNING = "running", "Running"
        WAITING = "waiting", "Waits for a person"
        UNKNOWN = "unknown", "Unknown outcome: a person decides"
        COMPENSATING = "compensating", "Undoing"
        SUCCEEDED = "succeeded", "Succeeded"
        UNDONE = "undone", "Failed and undone"
        FAILED = "failed", "Failed"
        CANCELLED = "cancelled", "Cancelled"

    FINAL: ClassVar = frozenset({"succeeded", "undone", "failed", "cancelled"})
    AT_WORK: ClassVar = frozenset({"running", "waiting", "unknown", "compensating"})

    key = models.UUIDField(default=uuid.uuid4, unique=True, editable=False, help_text="the root of idempotency keys")
    runbook = models.ForeignKey(Runbook, on_delete=models.PROTECT, related_name="executions")
    runbook_version = models.ForeignKey(RunbookVersion, on_delete=models.PROTECT, related_name="+")
    incident = models.ForeignKey(
        "incidents.Incident", on_delete=models.PROTECT, null=True, blank=True, related_name="executions"
    )
    dry_run = models.ForeignKey(DryRun, on_delete=models.PROTECT, related_name="executions")
    approval = models.ForeignKey(
        "approvals.ApprovalRequest", on_delete=models.PROTECT, null=True, blank=True, related_name="+"
    )
    parent_step = models.ForeignKey(
        "runbooks.StepRun",
        on_delete=models.SET_NULL,
        null=True,
        blank=True,
        related_name="children",
        help_text="the step that runs it as a sub-runbook",
    )
    parameters = models.JSONField(default=dict)
    incident_names = models.JSONField(default=dict, help_text="the values of the incident that the steps name")
    targets = models.JSONField(default=list)
    content_hash = models.CharField(max_length=64)
    state = models.CharField(max_length=20, choices=State)
    state_detail = models.TextField(blank=True, help_text="why it stands where it stands, in a sentence")
    reason = models.TextField(blank=True)
    requested_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, blank=True, related_name="+"
    )
    requested_by_name = models.CharField(max_length=120)
    requested_at = models.DateTimeField(default=now)
    started_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, blank=True, related_name="+"
    )
    started_at = models.DateTimeField(null=True, blank=True)
    finished_at = models.DateTimeField(null=True, blank=True)
    cancel_requested_at = models.DateTimeField(null=True, blank=True)
    fence = models.PositiveIntegerField(
        default=0, help_text="raised by every claim; a write with an older one is refused"
    )
    lease_until = models.DateTimeField(null=True, blank=True, help_text="until when the claim of a step holds")
    due_at = models.DateTimeField(
        null=True, blank=True, help_text="when the next step may be claimed; empty: nothing to do"
    )
    worker = models.CharField(max_length=120, blank=True)
    version = models.PositiveIntegerField(default=1, help_text="raised by every change of state; the ETag")

    history = TrackedHistory(excluded_fields=["fence", "lease_until", "due_at", "worker", "version"])

    class Meta:
        ordering: ClassVar = ["-requested_at", "-id"]
        constraints: ClassVar = [
            models.CheckConstraint(
                condition=Q(state__in=["succeeded", "undone", "failed", "cancelled"], finished_at__isnull=False)
                | (~Q(state__in=["succeeded", "undone", "failed", "cancelled"]) & Q(finished_at__isnull=True)),
                name="execution_is_final_iff_finished_at",
            ),
            models.UniqueConstraint(
                fields=["parent_step"], condition=Q(parent_step__isnull=False), name="step_runs_one_sub_runbook"
            ),
        ]
        indexes: ClassVar = [
            models.Index(fields=["due_at", "id"], name="execution_due", condition=Q(due_at__isnull=False)),
            models.Index(fields=["incident", "-requested_at"], name="execution_by_incident"),
        ]

    def __str__(self) -> str:
        return f"{self.runbook} #{self.pk}"


class StepRun(models.Model):
    """One step of an execution, or the undoing of one. Intent is written before the effect, outcome after it."""

    class Direction(models.TextChoices):
        FORWARD = "forward", "forward"
        COMPENSATE = "compensate", "undo"

    class State(models.TextChoices):
        PENDING = "pending", "to do"
        RUNNING = "running", "running"
        WAITING = "waiting", "waits"
        SUCCEEDED = "succeeded", "done"
        FAILED = "failed", "failed"
        UNKNOWN = "unknown", "unknown"
        SKIPPED = "skipped", "skipped"

    class Pace(models.TextChoices):
        UNMEASURED = "", "no target"
        MET = "met", "met"
        MISSED = "missed", "missed"

    execution = models.ForeignKey(Execution, on_delete=models.CASCADE, related_name="steps")
    position = models.PositiveSmallIntegerField(help_text="the step's place in the runbook, from 1")
    direction = models.CharField(max_length=10, choices=Direction, default=Direction.FORWARD)
    order = models.PositiveSmallIntegerField(help_text="the place in this execution: forward first, then undoing")
    slug = models.SlugField(max_length=60)
    name = models.CharField(max_length=200)
    kind = models.CharField(max_length=40)
    state = models.CharField(max_length=10, choices=State, default=State.PENDING)
    idempotency_key = models.CharField(max_length=120, unique=True, help_text="the same for every attempt")
    attempts = models.PositiveSmallIntegerField(default=0)
    failures = models.PositiveSmallIntegerField(
        default=0, help_text="attempts that ended in failure; retries count them"
    )
    fence = models.PositiveIntegerField(default=0, help_text="the claim under which its last attempt ran")
    intent = models.JSONField(null=True, blank=True, help_text="what was about to be done; without secrets")
    intent_at = models.DateTimeField(null=True, blank=True)
    outcome = models.JSONField(null=True, blank=True, help_text="what came of it; without secrets")
    outcome_at = models.DateTimeField(null=True, blank=True)
    due_at = models.DateTimeField(null=True, blank=True, help_text="when a wait ends, or the next attempt may begin")
    progress = models.PositiveSmallIntegerField(default=0, help_text="per cent")
    error = models.TextField(blank=True)
    target_seconds = models.PositiveIntegerField(
        null=True, blank=True, help_text="how long it may take, as its text said when it began; empty: no target"
    )
    started_at = models.DateTimeField(null=True, blank=True)
    finished_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering: ClassVar = ["execution_id", "order"]
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["execution", "position", "direction"], name="step_runs_once_in_each_direction"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.position}. {self.name}"

    @property
    def took_seconds(self) -> float | None:
        """From its first attempt to its end, waits and repeats counted; None for one that has not begun or ended."""
        if self.started_at is None or self.finished_at is None:
            return None
        return (self.finished_at - self.started_at).total_seconds()

    @property
    def pace(self) -> Pace:
        """Against its target, once it is over. A step that failed has missed it, however soon it did."""
        if self.target_seconds is None or self.took_seconds is None or self.state == self.State.SKIPPED:
            return self.Pace.UNMEASURED
        kept = self.state == self.State.SUCCEEDED and self.took_seconds <= self.target_seconds
        return self.Pace.MET if kept else self.Pace.MISSED


class LogLine(models.Model):
    """One line of an execution's log, for the live page. Append-only, without secrets."""

    execution = models.ForeignKey(Execution, on_delete=models.CASCADE, related_name="log")
    step = models.ForeignKey(StepRun, on_delete=models.CASCADE, null=True, blank=True, related_name="+")
    at = models.DateTimeField(default=now)
    level = models.CharField(max_length=10, default="info")
    text = models.TextField()

    class Meta:
        ordering: ClassVar = ["execution_id", "id"]

    def __str__(self) -> str:
        return self.text[:80]


class TargetLock(models.Model):
    """While an execution is at work on a target, no other is: one row for each target, gone when it is final."""

    target = models.CharField(max_length=200, unique=True, help_text="kind and key, for example config:economy")
    execution = models.ForeignKey(Execution, on_delete=models.CASCADE, related_name="locks")
    taken_at = models.DateTimeField(default=now)

    def __str__(self) -> str:
        return self.target


class Mitigation(models.Model):
    """A runbook with its parameters filled in, as one button on the incident page."""

    slug = models.SlugField(max_length=60, unique=True)
    name = models.CharField(max_length=120, help_text="what the button says")
    description = models.TextField(blank=True)
    runbook = models.ForeignKey(Runbook, on_delete=models.PROTECT, related_name="mitigations")
    parameters = models.JSONField(default=dict, blank=True)
    position = models.PositiveSmallIntegerField(default=0)

    history = TrackedHistory()

    class Meta:
        ordering: ClassVar = ["position", "name"]
        permissions: ClassVar = [("use_mitigation", "Can press the button of a mitigation")]

    def __str__(self) -> str:
        return self.name


class RunbookUserPermission(UserObjectPermissionBase):
    content_object = models.ForeignKey(Runbook, on_delete=models.CASCADE)

    class Meta(UserObjectPermissionBase.Meta):
        verbose_name = "runbook grant to a person"


class RunbookGroupPermission(GroupObjectPermissionBase):
    content_object = models.ForeignKey(Runbook, on_delete=models.CASCADE)

    class Meta(GroupObjectPermissionBase.Meta):
        verbose_name = "runbook grant to a group"


class MitigationUserPermission(UserObjectPermissionBase):
    content_object = models.ForeignKey(Mitigation, on_delete=models.CASCADE)

    class Meta(UserObjectPermissionBase.Meta):
        verbose_name = "mitigation grant to a person"


class MitigationGroupPermission(GroupObjectPermissionBase):
    content_object = models.ForeignKey(Mitigation, on_delete=models.CASCADE)

    class Meta(GroupObjectPermissionBase.Meta):
        verbose_name = "mitigation grant to a group"
