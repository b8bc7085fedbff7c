"""Policy packs: named, with immutable numbered versions."""

from __future__ import annotations

from typing import ClassVar

from django.conf import settings
from django.db import models

from apps.foundation.clock import now
from apps.foundation.history import TrackedHistory


class PolicyPack(models.Model):
    """One team's way of handling incidents, for example "NovaCron playbook v2"."""

    slug = models.SlugField(max_length=60, unique=True)
    name = models.CharField(max_length=120)
    description = models.TextField(blank=True)
    active_version = models.ForeignKey(
        "policies.PolicyVersion", on_delete=models.PROTECT, null=True, blank=True, related_name="+"
    )

    history = TrackedHistory()

    class Meta:
        ordering: ClassVar = ["name"]

    def __str__(self) -> str:
        return self.name


class PolicyVersion(models.Model):
    """One immutable text of a pack. Incidents pin the version they were declared under."""

    pack = models.ForeignKey(PolicyPack, on_delete=models.PROTECT, related_name="versions")
    number = models.PositiveIntegerField()
    text = models.TextField(help_text="the YAML as it was written")
    document = models.JSONField(help_text="the same, parsed")
    checksum = models.CharField(max_length=64, help_text="SHA-256 of the text")
    note = models.CharField(max_length=500, blank=True)
    author = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, blank=True, related_name="+"
    )
    created_at = models.DateTimeField(default=now)

    class Meta:
        ordering: ClassVar = ["pack_id", "-number"]
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["pack", "number"], name="policy_version_number_is_unique_in_its_pack"),
            models.UniqueConstraint(fields=["pack", "checksum"], name="policy_text_is_imported_once_per_pack"),
        ]

    def __str__(self) -> str:
        return f"{self.pack} v{self.number}"
