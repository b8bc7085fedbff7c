"""What changed about who is on call. The subject of each is the rotation, or the team of a role."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from apps.engine.events import DomainEvent


@dataclass(frozen=True)
class RotationChanged(DomainEvent):
    """A rotation was made, or its handoff or its members changed."""

    kind: ClassVar[str] = "oncall.rotation_changed"
    rotation_id: int
    change: str


@dataclass(frozen=True)
class OverrideAdded(DomainEvent):
    """Somebody covers; instants are ISO 8601 in UTC."""

    kind: ClassVar[str] = "oncall.override_added"
    rotation_id: int
    override_id: int
    user_id: int
    starts_at: str
    ends_at: str
    reason: str


@dataclass(frozen=True)
class OverrideCancelled(DomainEvent):
    """An override ended before its time, or never began."""

    kind: ClassVar[str] = "oncall.override_cancelled"
    rotation_id: int
    override_id: int
    user_id: int


@dataclass(frozen=True)
class RoleBound(DomainEvent):
    """A role of a team (None: of all teams) means a rotation or a person now; neither: it is unbound."""

    kind: ClassVar[str] = "oncall.role_bound"
    role: str
    team_id: int | None
    rotation_id: int | None
    user_id: int | None
