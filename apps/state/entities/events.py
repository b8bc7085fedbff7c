"""What happened to entities. The subject of each is their source; documents are never told."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from apps.engine.events import DomainEvent


@dataclass(frozen=True)
class EntitySourceEvent(DomainEvent):
    """What all of them say: which source."""

    source_id: int
    slug: str
    name: str


@dataclass(frozen=True)
class SnapshotTaken(EntitySourceEvent):
    """A snapshot is done and verifies."""

    kind: ClassVar[str] = "state.snapshot_taken"
    snapshot_id: int
    number: int
    entity_count: int
    checksum: str


@dataclass(frozen=True)
class SnapshotFailed(EntitySourceEvent):
    """A snapshot could not be taken; `error` says why."""

    kind: ClassVar[str] = "state.snapshot_failed"
    snapshot_id: int
    number: int
    error: str


@dataclass(frozen=True)
class SnapshotStopped(EntitySourceEvent):
    """Somebody stopped a snapshot that was being taken; nothing of it is kept."""

    kind: ClassVar[str] = "state.snapshot_stopped"
    snapshot_id: int
    number: int
    author: str
    reason: str


@dataclass(frozen=True)
class EntitiesRestored(EntitySourceEvent):
    """A restore came to its end. `snapshot_number` is None where it undid another restore."""

    kind: ClassVar[str] = "state.entities_restored"
    restore_id: int
    snapshot_number: int | None
    restored: int
    refused: int
    author: str
    reason: str
