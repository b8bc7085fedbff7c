"""What the sender asks of a transport. Transports never touch the database: they run in threads of their own."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, Protocol

from apps.foundation.clock import now
from apps.foundation.egress.deadlines import Deadline
from apps.foundation.subjects import Subject
from apps.messaging.models import Attempt

MAX_DETAIL = 1000


class Blame(StrEnum):
    """Whose fault a refusal is: it is marked, so that a person can mend it."""

    NOBODY = ""
    ADDRESS = "address"
    CONNECTION = "connection"


@dataclass(frozen=True, slots=True)
class Credentials:
    """The portal's account at a provider. An empty `base_url` is the provider's own."""

    connection_id: int
    base_url: str
    account: str
    sender: str
    callback_key: str
    token: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A message as a transport needs it. `secret` signs webhooks; `number` counts the attempts from 1.

    `can_respond`: a button or a reply may acknowledge what it is about. `credentials` are None where the channel
    needs no account of the portal's, or there is none.
    """

    channel: str
    address: str
    title: str
    body: str
    subject: Subject
    subject_url: str
    idempotency_key: str
    number: int
    payload: dict[str, Any] = field(default_factory=dict)
    is_event: bool = False
    secret: str = field(default="", repr=False)
    credentials: Credentials | None = None
    can_respond: bool = False
    message_id: int = 0


@dataclass(frozen=True, slots=True)
class Result:
    """How one attempt ended. `provider_broken`: the next message of the lane would fare no better now.

    With `provider_broken`, `retry_after_seconds` is how long the whole lane rests at least.
    """

    outcome: Attempt.Outcome
    detail: str = ""
    provider_id: str = ""
    retry_after_seconds: float | None = None
    provider_broken: bool = False
    blame: Blame = Blame.NOBODY
    finished_at: datetime = field(default_factory=now)


class Session(Protocol):
    """A connection to the provider, used by one thread at a time for the messages of one batch."""

    def send(self, message: Outgoing, deadline: Deadline) -> Result:
        """Hand one message over before `deadline`; says what became of it, never raises for the provider's faults."""

    def close(self) -> None:
        """Let go of the connection; a second call changes nothing."""


class Transport(Protocol):
    """`most_sessions` may send side by side in one lane; `first_sessions` until the lane has proved to work."""

    most_sessions: int
    first_sessions: int

    def open(self) -> Session:
        """A new session; it connects with its first message."""


def shortened(text: object) -> str:
    """What a provider said, as it can be stored."""
    return str(text).replace("\x00", "")[:MAX_DETAIL]
