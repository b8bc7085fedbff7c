"""What became of requests for approval. The subject of each is what was asked about."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from apps.engine.events import DomainEvent


@dataclass(frozen=True)
class ApprovalEvent(DomainEvent):
    """`name` is who did it; `reason` is what they said."""

    request_id: int
    subject_kind: str
    subject_key: str
    title: str
    name: str
    reason: str


@dataclass(frozen=True)
class Requested(ApprovalEvent):
    """Somebody asks for a second person's yes."""

    kind: ClassVar[str] = "approvals.requested"


@dataclass(frozen=True)
class Approved(ApprovalEvent):
    """A second person said yes."""

    kind: ClassVar[str] = "approvals.approved"


@dataclass(frozen=True)
class Refused(ApprovalEvent):
    """A second person said no."""

    kind: ClassVar[str] = "approvals.refused"


@dataclass(frozen=True)
class Expired(ApprovalEvent):
    """Nobody decided in time."""

    kind: ClassVar[str] = "approvals.expired"


@dataclass(frozen=True)
class Voided(ApprovalEvent):
    """What was asked for has changed, so that neither the question nor its answer holds any more."""

    kind: ClassVar[str] = "approvals.voided"


@dataclass(frozen=True)
class Withdrawn(ApprovalEvent):
    """Whoever asked does not want it any more."""

    kind: ClassVar[str] = "approvals.withdrawn"


@dataclass(frozen=True)
class Bypassed(ApprovalEvent):
    """Somebody went on without an approval, in an emergency."""

    kind: ClassVar[str] = "approvals.bypassed"


KINDS = tuple(event.kind for event in (Requested, Approved, Refused, Expired, Voided, Withdrawn, Bypassed))
