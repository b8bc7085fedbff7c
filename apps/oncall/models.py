"""Rotations, who takes turns in them, and who covers for whom."""

from __future__ import annotations

from typing import ClassVar

from django.conf import settings
from django.core.validators import MaxValueValidator
from django.db import models
from django.db.models import F, Q

from apps.foundation.clock import now
from apps.foundation.history import TrackedHistory


class Rotation(models.Model):
    """People who take turns, handing over at a wall-clock time of week in an IANA zone."""

    class Cadence(models.TextChoices):
        WEEKLY = "weekly", "weekly"

    team = models.ForeignKey("catalog.Team", on_delete=models.CASCADE, related_name="rotations")
    slug = models.SlugField(max_length=60, unique=True)
    name = models.CharField(max_length=120)
    cadence = models.CharField(max_length=10, choices=Cadence, default=Cadence.WEEKLY)
    time_zone = models.CharField(max_length=64, default="UTC", help_text="IANA name, for example America/Chicago")
    handoff_weekday = models.PositiveSmallIntegerField(
        default=0, validators=[MaxValueValidator(6)], help_text="0 is Monday, 6 is Sunday"
    )
    handoff_time = models.TimeField(default="09:00", help_text="wall-clock time in the rotation's zone")
    starts_on = models.DateField(help_text="the first handoff is on or after this day")

    history = TrackedHistory()

    class Meta:
        ordering: ClassVar = ["team_id", "name"]

    def __str__(self) -> str:
        return self.name


class RotationMember(models.Model):
    """A person's place in the order, from and until an instant (half-open)."""

    rotation = models.ForeignKey(Rotation, on_delete=models.CASCADE, related_name="members")
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="rotation_memberships")
    position = models.PositiveSmallIntegerField(default=0)
    effective_from = models.DateTimeField(default=now)
    effective_until = models.DateTimeField(null=True, blank=True)

    history = TrackedHistory()

    class Meta:
        ordering: ClassVar = ["rotation_id", "position", "id"]
        constraints: ClassVar = [
            models.CheckConstraint(
                condition=Q(effective_until__isnull=True) | Q(effective_until__gt=F("effective_from")),
                name="rotation_member_ends_after_the_start",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.user} in {self.rotation}"


class Override(models.Model):
    """`user` is on call instead of whoever the rotation says, from `starts_at` until before `ends_at`."""

    rotation = models.ForeignKey(Rotation, on_delete=models.CASCADE, related_name="overrides")
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="overrides")
    starts_at = models.DateTimeField()
    ends_at = models.DateTimeField()
    reason = models.CharField(max_length=200, blank=True)
    created_at = models.DateTimeField(default=now)
    cancelled_at = models.DateTimeField(null=True, blank=True)

    history = TrackedHistory()

    class Meta:
        ordering: ClassVar = ["-starts_at"]
        constraints: ClassVar = [
            models.CheckConstraint(condition=Q(ends_at__gt=F("starts_at")), name="override_ends_after_its_start"),
        ]

    def __str__(self) -> str:
        return f"{self.user} covers {self.rotation}"


class RoleBinding(models.Model):
    """What a role of a pack (primary, secondary, manager …) means: a rotation or a person.

    A binding without a team holds for every team that has none of its own.
    """

    role = models.SlugField(max_length=60)
    team = models.ForeignKey(
        "catalog.Team", on_delete=models.CASCADE, null=True, blank=True, related_name="role_bindings"
    )
    rotation = models.ForeignKey(Rotation, on_delete=models.CASCADE, null=True, blank=True, related_name="bindings")
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, null=True, blank=True, related_name="role_bindings"
    )

    history = TrackedHistory()

    class Meta:
        ordering: ClassVar = ["team_id", "role"]
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["role", "team"], name="role_is_bound_once_per_team"),
            models.UniqueConstraint(fields=["role"], condition=Q(team__isnull=True), name="role_is_bound_once_for_all"),
            models.CheckConstraint(
                condition=Q(rotation__isnull=False, user__isnull=True) | Q(rotation__isnull=True, user__isnull=False),
                name="role_means_a_rotation_or_a_person",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.role} of {self.team or 'every team'}"
