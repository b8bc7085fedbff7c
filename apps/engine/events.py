"""The base of all events, and the engine's own."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar


@dataclass(frozen=True)
class DomainEvent:
    """Something that happened, named in the past tense; its fields are plain JSON values."""

    kind: ClassVar[str]

    def as_json(self) -> dict[str, Any]:
        """The payload that the event row keeps."""
        return dict(vars(self))


@dataclass(frozen=True)
class PortalFault(DomainEvent):
    """The portal found something wrong with itself; whoever can page people about it subscribes."""

    kind: ClassVar[str] = "engine.portal_fault"
    fault: str
    title: str
    detail: str
