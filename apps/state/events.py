"""What happened to config documents. The subject of each is the document; contents are never told."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from apps.engine.events import DomainEvent


@dataclass(frozen=True)
class ConfigEvent(DomainEvent):
    """What all of them say: which document, which of its versions, and who made it."""

    document_id: int
    version_id: int
    number: int
    slug: str
    name: str
    author: str


@dataclass(frozen=True)
class ConfigCaptured(ConfigEvent):
    """The source showed a state that the portal did not know; `author` is who the source says changed it."""

    kind: ClassVar[str] = "state.captured"
    source_version: str


@dataclass(frozen=True)
class ConfigApplied(ConfigEvent):
    """A state that a person wrote is live."""

    kind: ClassVar[str] = "state.applied"
    note: str


@dataclass(frozen=True)
class ConfigRestored(ConfigEvent):
    """An earlier state is live again, read back and verified. `backup_id` is the version that it replaced.

    `backup_number` and `restores_number` are what people call the two.
    """

    kind: ClassVar[str] = "state.restored"
    backup_id: int
    restores_id: int
    reason: str
    changed: bool
    backup_number: int
    restores_number: int


@dataclass(frozen=True)
class BaselineSet(ConfigEvent):
    """Another version is the one known to be good."""

    kind: ClassVar[str] = "state.baseline_set"
    reason: str
