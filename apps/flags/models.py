"""Kill switches: boolean flags that running systems ask for, and the number of their newest change."""

from __future__ import annotations

from typing import ClassVar

from django.conf import settings
from django.db import models
from django.db.models import Q
from guardian.models import GroupObjectPermissionBase, UserObjectPermissionBase

from apps.foundation.clock import now
from apps.foundation.history import TrackedHistory


class Flag(models.Model):
    """One switch in one environment. `on` answers true, `killed` answers false; `disabled` leaves it to the caller."""

    class State(models.TextChoices):
        ON = "on", "on"
        KILLED = "killed", "killed"
        DISABLED = "disabled", "disabled: callers use their own default"

    key = models.CharField(max_length=100, help_text="what programs ask for, for example payments.checkout")
    environment = models.ForeignKey("catalog.Environment", on_delete=models.PROTECT, related_name="flags")
    name = models.CharField(max_length=120)
    description = models.TextField(blank=True)
    owner = models.ForeignKey("catalog.Team", on_delete=models.PROTECT, related_name="flags")
    services = models.ManyToManyField("catalog.Service", blank=True, related_name="flags")
    blast_radius = models.TextField(help_text="who and what loses something when it is killed")
    rollback_expectation = models.TextField(help_text="what happens after a kill, how long it takes, how to undo it")
    state = models.CharField(max_length=10, choices=State, default=State.ON)
    state_reason = models.CharField(max_length=300, blank=True)
    state_changed_at = models.DateTimeField(default=now)
    state_changed_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, blank=True, related_name="+"
    )
    about_kind = models.CharField(max_length=40, blank=True, help_text="why it was killed: the kind of a subject")
    about_key = models.CharField(max_length=64, blank=True, help_text="and its key, for example an incident's id")
    version = models.PositiveIntegerField(default=1, help_text="raised by every change; the ETag")

    history = TrackedHistory(excluded_fields=["version"], m2m_fields=[services])

    class Meta:
        ordering: ClassVar = ["environment_id", "key"]
        permissions: ClassVar = [("kill_flag", "Can kill a flag and bring it back")]
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["key", "environment"], name="flag_key_is_unique_in_its_environment"),
            models.CheckConstraint(condition=~Q(key=""), name="flag_has_a_key"),
        ]

    def __str__(self) -> str:
        return f"{self.key} ({self.environment})"


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
