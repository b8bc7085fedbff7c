"""What happens to accounts. No event carries an address or a secret."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from apps.engine.events import DomainEvent


@dataclass(frozen=True)
class AccountClosed(DomainEvent):
    """A person's account is closed from now on: it answers for nothing."""

    kind: ClassVar[str] = "people.account_closed"

    user_id: int


@dataclass(frozen=True)
class AccountOpened(DomainEvent):
    """A person's account that was closed counts again."""

    kind: ClassVar[str] = "people.account_opened"

    user_id: int


@dataclass(frozen=True)
class ContactPointAdded(DomainEvent):
    """Somebody gave an address that is not verified yet; the code to prove it may be sent there."""

    kind: ClassVar[str] = "people.contact_point_added"

    contact_point_id: int
    user_id: int


@dataclass(frozen=True)
class ContactCodeWanted(DomainEvent):
    """Somebody wants the code of an address once more, to see that it works."""

    kind: ClassVar[str] = "people.contact_code_wanted"

    contact_point_id: int
    user_id: int


@dataclass(frozen=True)
class TokenCreated(DomainEvent):
    """A bearer token came into being."""

    kind: ClassVar[str] = "people.token_created"

    token_id: int
    user_id: int
    name: str


@dataclass(frozen=True)
class TokenRevoked(DomainEvent):
    """A bearer token stopped working."""

    kind: ClassVar[str] = "people.token_revoked"

    token_id: int
    user_id: int
    name: str
