"""What messaging tells the floors above."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from apps.engine.events import DomainEvent


@dataclass(frozen=True)
class MessageFailed(DomainEvent):
    """A message to a person will not arrive: it was refused for good, or every attempt failed.

    `recipient` is a name; `address` is told only where there is none, and the message is about something
    that not everybody may see. `outcome` is that of the last attempt; "accepted" or none where the provider took it and
    could not hand it on. `error` is the provider's own word: it may name an address or hold a secret.
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
    outcome: str = ""


@dataclass(frozen=True)
class MessageTaken(DomainEvent):
    """A message that may have to be changed, or closed again, is at its provider, or may be. Told to the portal only.

    What happened to its subject while it was on its way has found nothing there to follow up.
    """

    kind: ClassVar[str] = "messaging.message_taken"
    message_id: int
