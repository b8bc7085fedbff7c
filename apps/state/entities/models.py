"""Sources of entities, snapshots of them in compressed chunks, diffs between two, and targeted restores."""

from __future__ import annotations

from typing import ClassVar

from django.conf import settings
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models import Q

from apps.foundation.clock import now
from apps.foundation.history import TrackedHistory

LONGEST_ID = 200


class EntitySource(models.Model):
    """A system that holds entities of one kind, and answers under one address for all of them."""

    slug = models.SlugField(max_length=60, unique=True)
    name = models.CharField(max_length=120)
    kind = models.SlugField(max_length=40, help_text="what one of them is: player, account, village")
    description = models.TextField(blank=True)
    service = models.ForeignKey("catalog.Service", on_delete=models.PROTECT, related_name="entity_sources")
    environment = models.ForeignKey(
        "catalog.Environment", on_delete=models.PROTECT, null=True, blank=True, related_name="+"
    )
    base_url = models.URLField(max_length=500, help_text="its pages are at <address>/entities")
    snapshot_every_seconds = models.PositiveIntegerField(default=0, help_text="0: only when somebody asks")
    next_snapshot_at = models.DateTimeField(null=True, blank=True)
    keep_count = models.PositiveIntegerField(
        default=14, validators=[MinValueValidator(1), MaxValueValidator(1000)], help_text="how many snapshots are kept"
    )
    keep_days = models.PositiveIntegerField(
        default=30, validators=[MaxValueValidator(3650)], help_text="older ones go, but for the newest; 0: no limit"
    )
    revision = models.PositiveIntegerField(default=1, help_text="raised by every change; the ETag")

    history = TrackedHistory(excluded_fields=["next_snapshot_at", "revision"])

    class Meta:
        ordering: ClassVar = ["name"]
        permissions: ClassVar = [
            ("snapshot_entitysource", "Can take, pin and compare snapshots of entities"),
            ("restore_entitysource", "Can put entities back from a snapshot"),
        ]

    def __str__(self) -> str:
        return self.name


class Job(models.Model):
    """Work in slices under a lease: whoever holds it raised `fence`, and writes only while it is still that number."""

    class State(models.TextChoices):
        WAITING = "waiting", "waits"
        RUNNING = "running", "runs"
        READY = "ready", "waits for a person"
        DONE = "done", "done"
        FAILED = "failed", "failed"
        STOPPED = "stopped", "stopped"

    OPEN: ClassVar = frozenset({"waiting", "running"})

    state = models.CharField(max_length=8, choices=State, default=State.WAITING)
    due_at = models.DateTimeField(default=now)
    lease_until = models.DateTimeField(null=True, blank=True)
    fence = models.PositiveIntegerField(default=0)
    attempts = models.PositiveSmallIntegerField(default=0, help_text="claims since it last got on")
    done_count = models.PositiveIntegerField(default=0)
    total_count = models.PositiveIntegerField(null=True, blank=True, help_text="empty: nobody knows yet")
    error = models.TextField(blank=True)
    reason = models.CharField(max_length=300, blank=True)
    author = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, blank=True, related_name="+"
    )
    author_name = models.CharField(max_length=120)
    effect_key = models.CharField(max_length=120, blank=True, help_text="a repeat with it finds this row")
    created_at = models.DateTimeField(default=now)
    started_at = models.DateTimeField(null=True, blank=True)
    finished_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        abstract = True

    @property
    def is_open(self) -> bool:
        return self.state in self.OPEN

    @property
    def percent(self) -> int | None:
        """How far it is, 0 to 100; None while nobody knows how much there is."""
        if self.state == self.State.DONE:
            return 100
        if not self.total_count:
            return None
        return min(99, 100 * self.done_count // self.total_count)


class Snapshot(Job):
    """All entities of a source as they were read, in ascending order of their ids; never changed once it is done."""

    class Origin(models.TextChoices):
        ASKED = "asked", "asked for"
        CADENCE = "cadence", "taken by itself"
        RUNBOOK = "runbook", "taken by a runbook"

    source = models.ForeignKey(EntitySource, on_delete=models.PROTECT, related_name="snapshots")
    number = models.PositiveIntegerField(help_text="counts from 1 in its source")
    origin = models.CharField(max_length=8, choices=Origin, default=Origin.ASKED)
    page_size = models.PositiveIntegerField(default=1000, help_text="what the source is asked for at once")
    raw_bytes = models.PositiveBigIntegerField(default=0)
    stored_bytes = models.PositiveBigIntegerField(default=0)
    checksum = models.CharField(max_length=64, blank=True, help_text="SHA-256 over the chunks' checksums, once done")
    pinned = models.BooleanField(default=False, help_text="never deleted by retention")
    pin_reason = models.CharField(max_length=300, blank=True)

    class Meta:
        ordering: ClassVar = ["-id"]
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["source", "number"], name="snapshot_number_is_unique"),
            models.UniqueConstraint(
                fields=["source", "effect_key"], condition=~Q(effect_key=""), name="snapshot_effect_is_taken_once"
            ),
            models.UniqueConstraint(
                fields=["source"],
                condition=Q(state__in=["waiting", "running"]),
                name="snapshot_of_a_source_is_taken_one_at_a_time",
            ),
        ]
        indexes: ClassVar = [
            models.Index(fields=["due_at"], name="snapshot_due", condition=Q(state__in=["waiting", "running"])),
        ]

    def __str__(self) -> str:
        return f"{self.source} #{self.number}"


class SnapshotChunk(models.Model):
    """Up to a thousand entities that follow each other, one JSON line each, compressed. Append-only."""

    snapshot = models.ForeignKey(Snapshot, on_delete=models.CASCADE, related_name="chunks")
    position = models.PositiveIntegerField(help_text="counts from 0")
    first_id = models.CharField(max_length=LONGEST_ID)
    last_id = models.CharField(max_length=LONGEST_ID)
    entity_count = models.PositiveIntegerField()
    checksum = models.CharField(max_length=64, help_text="SHA-256 of the lines before compression")
    data = models.BinaryField()

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["snapshot", "position"], name="snapshot_chunk_has_one_position"),
        ]

    def __str__(self) -> str:
        return f"chunk {self.position} of snapshot {self.snapshot_id}"


class SnapshotDiff(Job):
    """What differs between two snapshots of one source; computed once, filtered as often as somebody looks."""

    before = models.ForeignKey(Snapshot, on_delete=models.CASCADE, related_name="diffs_from")
    after = models.ForeignKey(Snapshot, on_delete=models.CASCADE, related_name="diffs_to")
    added_count = models.PositiveIntegerField(default=0)
    removed_count = models.PositiveIntegerField(default=0)
    changed_count = models.PositiveIntegerField(default=0)
    fields = models.JSONField(default=dict, help_text="how many entities differ at each place; list indexes as [*]")
    resume = models.JSONField(default=dict, help_text="where the next slice goes on")

    class Meta:
        ordering: ClassVar = ["-id"]
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["before", "after"], name="snapshot_diff_is_made_once"),
        ]
        indexes: ClassVar = [
            models.Index(fields=["due_at"], name="snapshot_diff_due", condition=Q(state__in=["waiting", "running"])),
        ]

    def __str__(self) -> str:
        return f"{self.before} → #{self.after.number}"

    @property
    def entity_count(self) -> int:
        return self.added_count + self.removed_count + self.changed_count


class DiffChunk(models.Model):
    """Entities that differ, in the order of their ids, one JSON line each, compressed. Secrets are masked in it."""

    diff = models.ForeignKey(SnapshotDiff, on_delete=models.CASCADE, related_name="chunks")
    position = models.PositiveIntegerField(help_text="counts from 0")
    last_id = models.CharField(max_length=LONGEST_ID)
    entity_count = models.PositiveIntegerField()
    data = models.BinaryField()

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["diff", "position"], name="diff_chunk_has_one_position"),
        ]

    def __str__(self) -> str:
        return f"chunk {self.position} of diff {self.diff_id}"


class EntityRestore(Job):
    """Chosen entities on their way back to what a snapshot holds, or to what a restore replaced.

    First it is a dry run: each entity is read, nothing is written, and it waits for a person. Confirmed, it writes.
    """

    source = models.ForeignKey(EntitySource, on_delete=models.PROTECT, related_name="restores")
    snapshot = models.ForeignKey(Snapshot, on_delete=models.PROTECT, null=True, blank=True, related_name="restores")
    undoes = models.ForeignKey("self", on_delete=models.PROTECT, null=True, blank=True, related_name="undone_by")
    chosen = models.CharField(max_length=300, blank=True, help_text="how the entities were chosen, in words")
    confirmed_at = models.DateTimeField(null=True, blank=True, help_text="from then on it writes")
    confirmed_by_name = models.CharField(max_length=120, blank=True)
    checksum = models.CharField(max_length=64, blank=True, help_text="SHA-256 over what the dry run saw live")
    restored_count = models.PositiveIntegerField(default=0)
    refused_count = models.PositiveIntegerField(default=0)

    history = TrackedHistory(
        excluded_fields=["due_at", "lease_until", "fence", "attempts", "done_count", "error", "total_count"]
    )

    class Meta:
        ordering: ClassVar = ["-id"]
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["source", "effect_key"], condition=~Q(effect_key=""), name="entity_restore_is_done_once"
            ),
            models.CheckConstraint(
                condition=Q(snapshot__isnull=True, undoes__isnull=False)
                | Q(snapshot__isnull=False, undoes__isnull=True),
                name="entity_restore_has_one_origin",
            ),
        ]
        indexes: ClassVar = [
            models.Index(fields=["due_at"], name="entity_restore_due", condition=Q(state__in=["waiting", "running"])),
        ]

    def __str__(self) -> str:
        return f"restore {self.pk} of {self.source}"

    @property
    def is_of_runbook(self) -> bool:
        """Whether it was approved elsewhere: it writes without a dry run of its own."""
        return self.confirmed_at is not None and not self.checksum


class RestoreItem(models.Model):
    """One entity of a restore: what the dry run saw, the backup of what was live, and what came of it."""

    class State(models.TextChoices):
        WAITING = "waiting", "waits"
        SEEN = "seen", "looked at"
        SENDING = "sending", "is being written"
        RESTORED = "restored", "restored"
        UNCHANGED = "unchanged", "as wanted already"
        REFUSED = "refused", "refused"

    OVER: ClassVar = frozenset({"restored", "unchanged", "refused"})

    restore = models.ForeignKey(EntityRestore, on_delete=models.CASCADE, related_name="items")
    entity_id = models.CharField(max_length=LONGEST_ID)
    state = models.CharField(max_length=10, choices=State, default=State.WAITING)
    expected_version = models.JSONField(null=True, blank=True, help_text="what must be live; of an absent one null")
    is_expected = models.BooleanField(default=False, help_text="whether `expected_version` says anything")
    seen_checksum = models.CharField(max_length=64, blank=True)
    changes = models.JSONField(default=list, blank=True, help_text="the dry run's diff, secrets masked")
    backup = models.JSONField(null=True, blank=True, help_text="the document that was live before; null: none was")
    backup_version = models.JSONField(null=True, blank=True)
    new_version = models.JSONField(null=True, blank=True)
    note = models.CharField(max_length=500, blank=True, help_text="why it was refused")
    finished_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering: ClassVar = ["id"]
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["restore", "entity_id"], name="restore_item_is_unique"),
        ]

    def __str__(self) -> str:
        return f"{self.entity_id} of restore {self.restore_id}"
