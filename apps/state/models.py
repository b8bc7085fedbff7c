"""Configuration documents and every version of them that the portal has seen or made."""

from __future__ import annotations

from typing import ClassVar

from django.conf import settings
from django.db import models
from django.db.models import Q

from apps.foundation.clock import now
from apps.foundation.history import TrackedHistory
from apps.state.entities.models import (
    DiffChunk,
    EntityRestore,
    EntitySource,
    RestoreItem,
    Snapshot,
    SnapshotChunk,
    SnapshotDiff,
)

__all__ = [
    "ConfigDocument",
    "ConfigVersion",
    "DiffChunk",
    "EntityRestore",
    "EntitySource",
    "RestoreItem",
    "Snapshot",
    "SnapshotChunk",
    "SnapshotDiff",
    "SourceState",
]


class SourceState(models.TextChoices):
    """What is known of where a document lives."""

    HELD_HERE = "held_here", "held here"
    READ = "read", "read"
    NOT_READ = "not_read", "not read yet"
    UNREACHABLE = "unreachable", "can't be read"


class ConfigDocument(models.Model):
    """A JSON document that a running system obeys.

    Without `source_url` the portal itself holds it: its head version is what is live. With one, the truth lives there:
    GET answers `{"version": n, "document": {...}}`, PUT takes the same with the version that it replaces, and the
    portal keeps copies.
    """

    slug = models.SlugField(max_length=60, unique=True)
    name = models.CharField(max_length=120)
    description = models.TextField(blank=True)
    service = models.ForeignKey("catalog.Service", on_delete=models.PROTECT, related_name="config_documents")
    environment = models.ForeignKey(
        "catalog.Environment", on_delete=models.PROTECT, null=True, blank=True, related_name="+"
    )
    schema = models.JSONField(
        default=dict, blank=True, help_text="JSON Schema (draft 2020-12) that every version obeys"
    )
    source_url = models.URLField(max_length=500, blank=True, help_text="where the live document is read and written")
    capture_every_seconds = models.PositiveIntegerField(default=0, help_text="0: only when somebody asks")
    next_capture_at = models.DateTimeField(null=True, blank=True)
    last_captured_at = models.DateTimeField(null=True, blank=True)
    capture_error = models.TextField(blank=True, help_text="why the last capture failed; empty when it worked")
    unreachable_since = models.DateTimeField(
        null=True, blank=True, help_text="when captures began to fail; empty while they work"
    )
    head = models.ForeignKey(
        "state.ConfigVersion", on_delete=models.PROTECT, null=True, blank=True, related_name="+",
        help_text="the newest version the portal knows to be live",
    )  # fmt: skip
    baseline = models.ForeignKey(
        "state.ConfigVersion", on_delete=models.PROTECT, null=True, blank=True, related_name="+",
        help_text="the version known to be good, to which a rollback returns",
    )  # fmt: skip
    revision = models.PositiveIntegerField(default=1, help_text="raised by every change; the ETag")

    history = TrackedHistory(
        excluded_fields=["next_capture_at", "last_captured_at", "capture_error", "unreachable_since", "revision"]
    )

    class Meta:
        ordering: ClassVar = ["name"]
        permissions: ClassVar = [
            ("apply_configdocument", "Can change what is live"),
            ("set_baseline_configdocument", "Can say which version is known to be good"),
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def is_held_here(self) -> bool:
        return not self.source_url

    @property
    def source_state(self) -> SourceState:
        """What the last look at the source found."""
        if self.is_held_here:
            return SourceState.HELD_HERE
        if self.capture_error:
            return SourceState.UNREACHABLE
        return SourceState.READ if self.last_captured_at else SourceState.NOT_READ


class ConfigVersion(models.Model):
    """One state of a document, as it was. Append-only: neither operation nor admin changes it."""

    class Origin(models.TextChoices):
        EDITED = "edited", "edited in the portal"
        OBSERVED = "observed", "seen at the source"
        BACKUP = "backup", "backup before a change"
        APPLIED = "applied", "applied by the portal"
        RESTORED = "restored", "restored by the portal"

    document = models.ForeignKey(ConfigDocument, on_delete=models.PROTECT, related_name="versions")
    number = models.PositiveIntegerField(help_text="counts from 1 in its document")
    content = models.JSONField()
    checksum = models.CharField(max_length=64, help_text="SHA-256 of the content in canonical JSON")
    source_version = models.CharField(max_length=80, blank=True, help_text="what the source calls this version")
    source_author = models.CharField(max_length=120, blank=True)
    origin = models.CharField(max_length=10, choices=Origin)
    restores = models.ForeignKey("self", on_delete=models.PROTECT, null=True, blank=True, related_name="+")
    note = models.CharField(max_length=300, blank=True)
    author = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, blank=True, related_name="+"
    )
    author_name = models.CharField(max_length=120)
    effect_key = models.CharField(
        max_length=120, blank=True, help_text="the idempotency key of what made it: a repeat finds this row"
    )
    created_at = models.DateTimeField(default=now)

    class Meta:
        ordering: ClassVar = ["document_id", "-number"]
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["document", "number"], name="config_version_number_is_unique"),
            models.UniqueConstraint(
                fields=["document", "effect_key"],
                condition=~Q(effect_key=""),
                name="config_effect_is_recorded_once",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.document} v{self.number}"
