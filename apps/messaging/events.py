"""What messaging tells the floors above."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from apps.engine.events import DomainEvent


@dataclass(frozen=True)
class MessageFailed(DomainEvent):
    """A message to a person will not arrive: it was refused for good, or every attempt failed.

    `recipient` is a name; `address` is told only where there is none, and the message is about something
    that not everybody may see.
    """

    kind: ClassVar[str] = "messaging.message_failed"
    message_id: int
    channel: str
    recipient_id: int | None
    recipient: str
    address: str
    title: str
    error: str
    attempts: int
