"""Flags that running systems ask for, segments of those who ask, and the number of the newest change."""

from __future__ import annotations

from typing import ClassVar

from django.conf import settings
from django.db import models
from django.db.models import Q
from guardian.models import GroupObjectPermissionBase, UserObjectPermissionBase

from apps.flags.evaluation.definitions import switch_definition
from apps.foundation.clock import now
from apps.foundation.history import TrackedHistory


class Flag(models.Model):
    """One flag in one environment. `on` answers by its definition, `killed` its `off`; `disabled` nothing."""

    class State(models.TextChoices):
        ON = "on", "on"
        KILLED = "killed", "killed"
        DISABLED = "disabled", "disabled: callers use their own default"

    class Kind(models.TextChoices):
        KILL_SWITCH = "kill_switch", "kill switch"
        RELEASE = "release", "release"
        OPS = "ops", "operational setting"
        EXPERIMENT = "experiment", "experiment"

    class Type(models.TextChoices):
        BOOLEAN = "boolean", "boolean"
        STRING = "string", "string"
        INTEGER = "integer", "integer"
        FLOAT = "float", "float"
        OBJECT = "object", "object"

    key = models.CharField(max_length=100, help_text="what programs ask for, for example payments.checkout")
    environment = models.ForeignKey("catalog.Environment", on_delete=models.PROTECT, related_name="flags")
    name = models.CharField(max_length=120)
    description = models.TextField(blank=True)
    owner = models.ForeignKey("catalog.Team", on_delete=models.PROTECT, related_name="flags")
    services = models.ManyToManyField("catalog.Service", blank=True, related_name="flags")
    blast_radius = models.TextField(help_text="who and what loses something when it is killed")
    rollback_expectation = models.TextField(help_text="what happens after a kill, how long it takes, how to undo it")
    kind = models.CharField(max_length=12, choices=Kind, default=Kind.KILL_SWITCH)
    type = models.CharField(max_length=8, choices=Type, default=Type.BOOLEAN, help_text="what programs get")
    definition = models.JSONField(default=switch_definition, help_text="what it may answer, and to whom")
    expires_on = models.DateField(null=True, blank=True, help_text="when it should be gone from the code")
    needs_approval = models.BooleanField(
        default=False, help_text="a second person approves changes of what it answers; a kill is always free"
    )
    state = models.CharField(max_length=10, choices=State, default=State.ON)
    was_disabled = models.BooleanField(
        default=False, help_text="when it was killed: bringing it back then disables it again"
    )
    state_reason = models.CharField(max_length=300, blank=True)
    state_changed_at = models.DateTimeField(default=now)
    state_changed_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, blank=True, related_name="+"
    )
    about_kind = models.CharField(max_length=40, blank=True, help_text="why it was killed: the kind of a subject")
    about_key = models.CharField(max_length=64, blank=True, help_text="and its key, for example an incident's id")
    version = models.PositiveIntegerField(default=1, help_text="raised by every change; the ETag")

    history = TrackedHistory(excluded_fields=["version", "was_disabled"], m2m_fields=[services])

    class Meta:
        ordering: ClassVar = ["environment_id", "key"]
        permissions: ClassVar = [("kill_flag", "Can kill a flag and bring it back")]
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["key", "environment"], name="flag_key_is_unique_in_its_environment"),
            models.CheckConstraint(condition=~Q(key=""), name="flag_has_a_key"),
        ]

    def __str__(self) -> str:
        return f"{self.key} ({self.environment})"

    @property
    def state_brought_back(self) -> Flag.State:
        """The state in force when nobody had killed it: what bringing it back restores."""
        return Flag.State.DISABLED if self.was_disabled else Flag.State.ON


class FlagChange(models.Model):
    """What a flag is to answer from an instant on: written once, done by a timer on behalf of who wrote it.

    `change` is one of `{"serve": …}`, `{"definition": …}`, `{"state": "on" | "killed" | "disabled"}`,
    `{"needs_approval": false}`, `{"start": …}` and `{"shares": …}` of an experiment. One that a second person must
    approve is `proposed` until then, and done only to `base_version` of the flag.
    """

    class State(models.TextChoices):
        PROPOSED = "proposed", "waits for an approval"
        WAITING = "waiting", "waiting"
        DONE = "done", "done"
        FAILED = "failed", "could not be done"
        WITHDRAWN = "withdrawn", "withdrawn"

    flag = models.ForeignKey(Flag, on_delete=models.CASCADE, related_name="changes")
    due_at = models.DateTimeField()
    change = models.JSONField()
    reason = models.CharField(max_length=300)
    state = models.CharField(max_length=10, choices=State, default=State.WAITING)
    detail = models.CharField(max_length=300, blank=True, help_text="why it could not be done")
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, related_name="+")
    created_at = models.DateTimeField(default=now)
    finished_at = models.DateTimeField(null=True, blank=True)
    approval = models.ForeignKey(
        "approvals.ApprovalRequest", on_delete=models.PROTECT, null=True, blank=True, related_name="+"
    )
    base_version = models.PositiveIntegerField(null=True, blank=True, help_text="what was approved is for this one")

    class Meta:
        ordering: ClassVar = ["due_at", "id"]
        verbose_name = "scheduled change"
        constraints: ClassVar = [
            models.CheckConstraint(
                condition=Q(state__in=["proposed", "waiting"], finished_at__isnull=True)
                | ~Q(state__in=["proposed", "waiting"]) & Q(finished_at__isnull=False),
                name="flag_change_finished_iff_it_does_not_wait",
            ),
            models.CheckConstraint(
                condition=~Q(state="proposed") | Q(base_version__isnull=False),
                name="flag_change_proposed_for_a_version",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.flag} at {self.due_at:%Y-%m-%d %H:%M} UTC"


class FlagUse(models.Model):
    """When programs last asked for a flag, and since when all of them get one variant; written once a minute."""

    flag = models.OneToOneField(Flag, on_delete=models.CASCADE, related_name="use", primary_key=True)
    asked_at = models.DateTimeField()
    variant = models.CharField(max_length=100, blank=True, help_text="the only one served since then; else empty")
    since = models.DateTimeField(help_text="no other variant was served since")

    def __str__(self) -> str:
        return str(self.flag)


class Segment(models.Model):
    """A named group of those who ask, the same in every environment; rules of flags speak of it by its key."""

    key = models.CharField(max_length=100, unique=True)
    name = models.CharField(max_length=120)
    description = models.TextField(blank=True)
    owner = models.ForeignKey("catalog.Team", on_delete=models.PROTECT, related_name="segments")
    definition = models.JSONField(help_text="who belongs to it: `when` with conditions that all hold")
    version = models.PositiveIntegerField(default=1, help_text="raised by every change; the ETag")

    history = TrackedHistory(excluded_fields=["version"])

    class Meta:
        ordering: ClassVar = ["key"]
        constraints: ClassVar = [models.CheckConstraint(condition=~Q(key=""), name="segment_has_a_key")]

    def __str__(self) -> str:
        return self.key


class FlagRevision(models.Model):
    """One row: raised in the transaction of every change of any flag, so that a process knows by one number."""

    number = models.PositiveBigIntegerField(default=0)
    changed_at = models.DateTimeField(default=now)

    def __str__(self) -> str:
        return str(self.number)


class FlagUserPermission(UserObjectPermissionBase):
    content_object = models.ForeignKey(Flag, on_delete=models.CASCADE)

    class Meta(UserObjectPermissionBase.Meta):
        verbose_name = "flag grant to a person"


class FlagGroupPermission(GroupObjectPermissionBase):
    content_object = models.ForeignKey(Flag, on_delete=models.CASCADE)

    class Meta(GroupObjectPermissionBase.Meta):
        verbose_name = "flag grant to a group"
