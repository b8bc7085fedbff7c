"""What happens to policy packs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from apps.engine.events import DomainEvent


@dataclass(frozen=True)
class VersionImported(DomainEvent):
    """A new immutable version of a pack exists; nothing follows it yet."""

    kind: ClassVar[str] = "policies.version_imported"

    pack: str
    version_id: int
    number: int
    note: str


@dataclass(frozen=True)
class VersionActivated(DomainEvent):
    """New incidents of this pack are declared under this version from now on; open ones keep theirs."""

    kind: ClassVar[str] = "policies.version_activated"

    pack: str
    version_id: int
    number: int
    previous_number: int | None
    reason: str
