"""Teams, the services they own, what these depend on, and what was changed when."""

from __future__ import annotations

from typing import ClassVar

from django.conf import settings
from django.db import models
from django.db.models import F, Q
from guardian.models import GroupObjectPermissionBase, UserObjectPermissionBase

from apps.foundation.clock import now
from apps.foundation.history import TrackedHistory


class Team(models.Model):
    """Who owns services, rotations and incidents. Its pack says how it responds."""

    slug = models.SlugField(max_length=60, unique=True)
    name = models.CharField(max_length=120)
    description = models.TextField(blank=True)
    time_zone = models.CharField(max_length=64, default="UTC")
    policy_pack = models.ForeignKey(
        "policies.PolicyPack", on_delete=models.PROTECT, null=True, blank=True, related_name="teams"
    )
    email = models.EmailField(blank=True, help_text="a list that reaches the whole team")

    history = TrackedHistory()

    class Meta:
        ordering: ClassVar = ["name"]
        permissions: ClassVar = [
            ("respond_for_team", "Can respond to this team's incidents, the private ones included"),
        ]

    def __str__(self) -> str:
        return self.name


class Membership(models.Model):
    """A person in a team. Members see and handle the team's private incidents."""

    class Role(models.TextChoices):
        MEMBER = "member", "member"
        LEAD = "lead", "team lead"

    team = models.ForeignKey(Team, on_delete=models.CASCADE, related_name="memberships")
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="memberships")
    role = models.CharField(max_length=10, choices=Role, default=Role.MEMBER)

    history = TrackedHistory()

    class Meta:
        ordering: ClassVar = ["team_id", "user_id"]
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["team", "user"], name="person_is_in_a_team_once"),
        ]

    def __str__(self) -> str:
        return f"{self.user} in {self.team}"


class Environment(models.Model):
    """Where a service runs: production, staging."""

    slug = models.SlugField(max_length=40, unique=True)
    name = models.CharField(max_length=80)
    position = models.PositiveSmallIntegerField(default=0)

    history = TrackedHistory()

    class Meta:
        ordering: ClassVar = ["position", "name"]

    def __str__(self) -> str:
        return self.name


class Service(models.Model):
    """Something that can break and that a team owns."""

    class Criticality(models.TextChoices):
        CRITICAL = "critical", "critical"
        HIGH = "high", "high"
        MEDIUM = "medium", "medium"
        LOW = "low", "low"

    slug = models.SlugField(max_length=60, unique=True)
    name = models.CharField(max_length=120)
    description = models.TextField(blank=True)
    owner = models.ForeignKey(Team, on_delete=models.PROTECT, related_name="services")
    criticality = models.CharField(max_length=10, choices=Criticality, default=Criticality.MEDIUM)
    environments = models.ManyToManyField(Environment, blank=True, related_name="services")
    policy_pack = models.ForeignKey(
        "policies.PolicyPack",
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        related_name="services",
        help_text="only where it differs from the owning team's",
    )
    runbook_url = models.URLField(max_length=500, blank=True)
    dashboard_url = models.URLField(max_length=500, blank=True)

    history = TrackedHistory(m2m_fields=[environments])

    class Meta:
        ordering: ClassVar = ["name"]

    def __str__(self) -> str:
        return self.name


class Dependency(models.Model):
    """`service` needs `depends_on` to work."""

    class Kind(models.TextChoices):
        HARD = "hard", "fails without it"
        SOFT = "soft", "degrades without it"

    service = models.ForeignKey(Service, on_delete=models.CASCADE, related_name="dependencies")
    depends_on = models.ForeignKey(Service, on_delete=models.CASCADE, related_name="dependants")
    kind = models.CharField(max_length=10, choices=Kind, default=Kind.HARD)

    history = TrackedHistory()

    class Meta:
        verbose_name_plural = "dependencies"
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["service", "depends_on"], name="dependency_is_stated_once"),
            models.CheckConstraint(condition=~Q(service=F("depends_on")), name="service_does_not_depend_on_itself"),
        ]

    def __str__(self) -> str:
        return f"{self.service} needs {self.depends_on}"


class Change(models.Model):
    """A deployment or another change, so that "what changed?" has an answer. Append-only."""

    class Kind(models.TextChoices):
        DEPLOY = "deploy", "deployment"
        CONFIG = "config", "configuration"
        FLAG = "flag", "feature flag"
        OTHER = "other", "other"

    kind = models.CharField(max_length=10, choices=Kind, default=Kind.DEPLOY)
    service = models.ForeignKey(Service, on_delete=models.SET_NULL, null=True, blank=True, related_name="changes")
    environment = models.ForeignKey(Environment, on_delete=models.SET_NULL, null=True, blank=True, related_name="+")
    title = models.CharField(max_length=300)
    version = models.CharField(max_length=120, blank=True)
    author = models.CharField(max_length=120, blank=True)
    link = models.URLField(max_length=500, blank=True)
    dedup_key = models.CharField(max_length=200, blank=True)
    source = models.CharField(max_length=120, blank=True)
    labels = models.JSONField(default=dict)
    occurred_at = models.DateTimeField(default=now)
    received_at = models.DateTimeField(default=now)

    class Meta:
        ordering: ClassVar = ["-occurred_at", "-id"]
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["source", "dedup_key"], condition=~Q(dedup_key=""), name="change_is_recorded_once_per_source"
            ),
        ]
        indexes: ClassVar = [models.Index(fields=["service", "-occurred_at"], name="change_by_service")]

    def __str__(self) -> str:
        return self.title


class TeamUserPermission(UserObjectPermissionBase):
    content_object = models.ForeignKey(Team, on_delete=models.CASCADE)

    class Meta(UserObjectPermissionBase.Meta):
        verbose_name = "team grant to a person"


class TeamGroupPermission(GroupObjectPermissionBase):
    content_object = models.ForeignKey(Team, on_delete=models.CASCADE)

    class Meta(GroupObjectPermissionBase.Meta):
        verbose_name = "team grant to a group"


class ServiceUserPermission(UserObjectPermissionBase):
    content_object = models.ForeignKey(Service, on_delete=models.CASCADE)

    class Meta(UserObjectPermissionBase.Meta):
        verbose_name = "service grant to a person"


class ServiceGroupPermission(GroupObjectPermissionBase):
    content_object = models.ForeignKey(Service, on_delete=models.CASCADE)

    class Meta(GroupObjectPermissionBase.Meta):
        verbose_name = "service grant to a group"
