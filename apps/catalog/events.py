"""What happens to teams and services, and what was changed in them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from apps.engine.events import DomainEvent


@dataclass(frozen=True)
class ChangeRecorded(DomainEvent):
    """A deployment or another change is known. Its subject is the service, where it names one."""

    kind: ClassVar[str] = "catalog.change_recorded"

    change_id: int
    change_kind: str
    title: str
    service_id: int | None
    environment_id: int | None
    version: str
    occurred_at: str


@dataclass(frozen=True)
class MemberAdded(DomainEvent):
    """A person joined a team, or got another role in it; from now on they see its private incidents."""

    kind: ClassVar[str] = "catalog.member_added"

    team_id: int
    user_id: int
    role: str


@dataclass(frozen=True)
class MemberRemoved(DomainEvent):
    """A person left a team."""

    kind: ClassVar[str] = "catalog.member_removed"

    team_id: int
    user_id: int


@dataclass(frozen=True)
class GrantGiven(DomainEvent):
    """A person or a group got a permission for one team or service."""

    kind: ClassVar[str] = "catalog.grant_given"

    permission: str
    user_id: int | None
    group: str | None
    reason: str


@dataclass(frozen=True)
class GrantTaken(DomainEvent):
    """A person or a group lost a permission for one team or service."""

    kind: ClassVar[str] = "catalog.grant_taken"

    permission: str
    user_id: int | None
    group: str | None
    reason: str
