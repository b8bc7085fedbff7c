"""What changed about who is on call. The subject of each is the rotation, or the team of a role."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from apps.engine.events import DomainEvent


@dataclass(frozen=True)
class RotationChanged(DomainEvent):
    """A rotation was made, or its layers, members or pauses changed."""

    kind: ClassVar[str] = "oncall.rotation_changed"
    rotation_id: int
    change: str


@dataclass(frozen=True)
class OverrideAdded(DomainEvent):
    """Somebody covers, for one person or (None) for whoever has the duty; instants are ISO 8601 in UTC."""

    kind: ClassVar[str] = "oncall.override_added"
    rotation_id: int
    override_id: int
    user_id: int
    starts_at: str
    ends_at: str
    reason: str
    replaces_id: int | None = None


@dataclass(frozen=True)
class OverrideCancelled(DomainEvent):
    """An override ended before its time, or never began."""

    kind: ClassVar[str] = "oncall.override_cancelled"
    rotation_id: int
    override_id: int
    user_id: int


@dataclass(frozen=True)
class CoverageAdded(DomainEvent):
    """Somebody is on call besides whoever has the duty; instants are ISO 8601 in UTC."""

    kind: ClassVar[str] = "oncall.coverage_added"
    rotation_id: int
    coverage_id: int
    user_id: int
    starts_at: str
    ends_at: str
    reason: str


@dataclass(frozen=True)
class CoverageCancelled(DomainEvent):
    """Extra coverage ended before its time, or never began."""

    kind: ClassVar[str] = "oncall.coverage_cancelled"
    rotation_id: int
    coverage_id: int
    user_id: int


@dataclass(frozen=True)
class SwapRequested(DomainEvent):
    """`user_id` offers time to `asked_id`, or (None) to anybody; instants are ISO 8601 in UTC."""

    kind: ClassVar[str] = "oncall.swap_requested"
    rotation_id: int
    swap_id: int
    user_id: int
    asked_id: int | None
    starts_at: str
    ends_at: str
    reason: str


@dataclass(frozen=True)
class SwapTaken(DomainEvent):
    """`taker_id` takes the time of `user_id`; it holds, unless somebody must approve it first."""

    kind: ClassVar[str] = "oncall.swap_taken"
    rotation_id: int
    swap_id: int
    user_id: int
    taker_id: int
    to_approve: bool


@dataclass(frozen=True)
class SwapApproved(DomainEvent):
    """A swap that waited for approval holds."""

    kind: ClassVar[str] = "oncall.swap_approved"
    rotation_id: int
    swap_id: int
    user_id: int
    taker_id: int


@dataclass(frozen=True)
class SwapGivenBack(DomainEvent):
    """`taker_id` gave back what they had taken, before it began; the offer is open again."""

    kind: ClassVar[str] = "oncall.swap_given_back"
    rotation_id: int
    swap_id: int
    user_id: int
    taker_id: int


@dataclass(frozen=True)
class SwapClosed(DomainEvent):
    """An offer was declined or withdrawn."""

    kind: ClassVar[str] = "oncall.swap_closed"
    rotation_id: int
    swap_id: int
    user_id: int
    state: str


@dataclass(frozen=True)
class RoleBound(DomainEvent):
    """A role of a team (None: of all teams) means a rotation or a person now; neither: it is unbound."""

    kind: ClassVar[str] = "oncall.role_bound"
    role: str
    team_id: int | None
    rotation_id: int | None
    user_id: int | None
