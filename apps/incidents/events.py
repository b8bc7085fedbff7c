"""What happens to incidents. The subject of each is `Subject("incident", "<id>")`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from apps.engine.events import DomainEvent


@dataclass(frozen=True)
class Declared(DomainEvent):
    kind: ClassVar[str] = "incidents.declared"
    incident_id: int
    number: str
    title: str
    severity: str
    team_id: int | None
    source: str


@dataclass(frozen=True)
class Acknowledged(DomainEvent):
    """Somebody took notice; told once for each time the incident was opened."""

    kind: ClassVar[str] = "incidents.acknowledged"
    incident_id: int
    user_id: int | None
    via: str


@dataclass(frozen=True)
class RoleTaken(DomainEvent):
    kind: ClassVar[str] = "incidents.role_taken"
    incident_id: int
    role: str
    user_id: int
    previous_user_id: int | None


@dataclass(frozen=True)
class RoleReleased(DomainEvent):
    kind: ClassVar[str] = "incidents.role_released"
    incident_id: int
    role: str
    user_id: int


@dataclass(frozen=True)
class SeverityChanged(DomainEvent):
    kind: ClassVar[str] = "incidents.severity_changed"
    incident_id: int
    before: str
    after: str
    reason: str


@dataclass(frozen=True)
class TypeChanged(DomainEvent):
    """What kind of incident it is, by its pack's slug and sub-type; both empty when that was taken back."""

    kind: ClassVar[str] = "incidents.type_changed"
    incident_id: int
    type: str
    subtype: str


@dataclass(frozen=True)
class ClockStopChosen(DomainEvent):
    """The milestone at which the clock of the target stops from now on."""

    kind: ClassVar[str] = "incidents.clock_stop_chosen"
    incident_id: int
    milestone: str
    reason: str


@dataclass(frozen=True)
class PhaseChanged(DomainEvent):
    kind: ClassVar[str] = "incidents.phase_changed"
    incident_id: int
    before: str
    after: str


@dataclass(frozen=True)
class MilestoneMarked(DomainEvent):
    """`at` is when it happened, as an ISO 8601 instant in UTC; not when it was recorded."""

    kind: ClassVar[str] = "incidents.milestone_marked"
    incident_id: int
    name: str
    at: str
    cycle: int


@dataclass(frozen=True)
class Posted(DomainEvent):
    kind: ClassVar[str] = "incidents.posted"
    incident_id: int
    text: str


@dataclass(frozen=True)
class PagedIn(DomainEvent):
    kind: ClassVar[str] = "incidents.paged_in"
    incident_id: int
    user_ids: list[int]
    reason: str


@dataclass(frozen=True)
class Resolved(DomainEvent):
    kind: ClassVar[str] = "incidents.resolved"
    incident_id: int
    by: str
    cycle: int


@dataclass(frozen=True)
class ResolveProposed(DomainEvent):
    """All alerts cleared while somebody commands: that person decides."""

    kind: ClassVar[str] = "incidents.resolve_proposed"
    incident_id: int


@dataclass(frozen=True)
class ResolveProposalWithdrawn(DomainEvent):
    kind: ClassVar[str] = "incidents.resolve_proposal_withdrawn"
    incident_id: int
    reason: str


@dataclass(frozen=True)
class Reopened(DomainEvent):
    kind: ClassVar[str] = "incidents.reopened"
    incident_id: int
    cycle: int
    reason: str


@dataclass(frozen=True)
class VisibilityChanged(DomainEvent):
    kind: ClassVar[str] = "incidents.visibility_changed"
    incident_id: int
    before: str
    after: str


@dataclass(frozen=True)
class AccessGranted(DomainEvent):
    kind: ClassVar[str] = "incidents.access_granted"
    incident_id: int
    user_id: int


@dataclass(frozen=True)
class AccessRevoked(DomainEvent):
    kind: ClassVar[str] = "incidents.access_revoked"
    incident_id: int
    user_id: int
