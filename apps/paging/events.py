"""What paging says happened. The subject of each is the thing that people were paged for."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

from apps.engine.events import DomainEvent


@dataclass(frozen=True)
class Paged(DomainEvent):
    """People were called: by a level of a track, or, with an empty track and level 0, by a person."""

    kind: ClassVar[str] = "paging.paged"
    track: str
    level: int
    name: str
    run: int
    step: int
    user_ids: list[int]
    names: list[str]
    roles: list[str] = field(default_factory=list)
    repeat: int = 0
    reason: str = ""


@dataclass(frozen=True)
class NobodyReachable(DomainEvent):
    """A level, a trigger, or a role that a person wanted, had nobody on call; the next level was taken."""

    kind: ClassVar[str] = "paging.nobody_reachable"
    track: str
    level: int
    name: str
    run: int
    step: int
    roles: list[str]
    repeat: int = 0


@dataclass(frozen=True)
class Acknowledged(DomainEvent):
    """Somebody took notice: the page track of this run ended."""

    kind: ClassVar[str] = "paging.acknowledged"
    run: int
    user_id: int
    name: str
    via: str
    at: str


@dataclass(frozen=True)
class PageAnswered(DomainEvent):
    """Somebody answered pages of their own without ending a run: it had ended before, or never was."""

    kind: ClassVar[str] = "paging.page_answered"
    page_ids: list[int]
    user_id: int
    name: str
    via: str


@dataclass(frozen=True)
class EscalationExhausted(DomainEvent):
    """A track has no level left. On the page track that means: everybody was paged and nobody acknowledged."""

    kind: ClassVar[str] = "paging.escalation_exhausted"
    track: str
    run: int
    severity: str


@dataclass(frozen=True)
class EscalationStopped(DomainEvent):
    """Tracks were ended by something else than an acknowledgement."""

    kind: ClassVar[str] = "paging.escalation_stopped"
    tracks: list[str]
    reason: str


@dataclass(frozen=True)
class EscalationRestarted(DomainEvent):
    """Tracks began a new run, from their first level."""

    kind: ClassVar[str] = "paging.escalation_restarted"
    tracks: list[str]
    severity: str


@dataclass(frozen=True)
class PartlyAcknowledged(DomainEvent):
    """Somebody took notice, but a level that was called asks for more people; the page track goes on."""

    kind: ClassVar[str] = "paging.partly_acknowledged"
    run: int
    user_id: int
    name: str
    via: str
    count: int
    needed: int


@dataclass(frozen=True)
class Unacknowledged(DomainEvent):
    """An acknowledged page track began anew: nothing had happened since, or somebody took the answer back."""

    kind: ClassVar[str] = "paging.unacknowledged"
    run: int
    reason: str


@dataclass(frozen=True)
class Snoozed(DomainEvent):
    """Nobody is called until an instant (ISO 8601, UTC)."""

    kind: ClassVar[str] = "paging.snoozed"
    until: str
    by: str
    reason: str


@dataclass(frozen=True)
class Held(DomainEvent):
    """It opened in a maintenance window: nobody is called before its end (ISO 8601, UTC)."""

    kind: ClassVar[str] = "paging.held"
    window_id: int
    of: str
    reason: str
    until: str
    run: int


@dataclass(frozen=True)
class Resumed(DomainEvent):
    """What was snoozed or held (`after`: snooze, maintenance) escalates from its first level."""

    kind: ClassVar[str] = "paging.resumed"
    after: str
    run: int


@dataclass(frozen=True)
class ConditionMarked(DomainEvent):
    """Something that triggers listen to holds now, or its amount changed."""

    kind: ClassVar[str] = "paging.condition_marked"
    condition: str
    name: str
    amount: int | None
    note: str


@dataclass(frozen=True)
class ConditionCleared(DomainEvent):
    """It holds no longer. Who was called because of it stays called."""

    kind: ClassVar[str] = "paging.condition_cleared"
    condition: str
    name: str


@dataclass(frozen=True)
class MaintenancePlanned(DomainEvent):
    """A maintenance window was made or changed. Its subject is the window's team, if it has one."""

    kind: ClassVar[str] = "paging.maintenance_planned"
    window_id: int
    of: str
    starts_at: str
    ends_at: str
    reason: str
