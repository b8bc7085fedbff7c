"""What the transports to chat and phones share: sessions without a connection of their own, and short texts."""

from __future__ import annotations

import sys
from collections.abc import Callable
from importlib import import_module

from apps.foundation.egress.deadlines import Deadline
from apps.messaging.models import Attempt
from apps.messaging.providers.base import Outgoing, Result

Send = Callable[[Outgoing, Deadline], Result]


class PlainSession:
    """Each message is a request of its own; the process's client keeps the connections.

    `libraries` are imported before the first message, in the sender's thread: a process that never uses the channel
    does not pay for them, and the seconds that it takes are not the provider's.
    """

    def __init__(self, send: Send, libraries: tuple[str, ...]) -> None:
        self._send = send
        self._libraries = libraries

    def send(self, message: Outgoing, deadline: Deadline) -> Result:
        if any(name not in sys.modules for name in self._libraries):
            left = deadline.remaining()
            for name in self._libraries:
                import_module(name)
            deadline = Deadline(left)
        return self._send(message, deadline)

    def close(self) -> None:
        """Nothing: there is no connection of its own."""


class PlainTransport:
    """One message at a time until the provider has proved to work, then a few side by side."""

    most_sessions = 4
    first_sessions = 1

    def __init__(self, send: Send, *libraries: str) -> None:
        self._send = send
        self._libraries = libraries

    def open(self) -> PlainSession:
        return PlainSession(self._send, self._libraries)


def not_connected(provider: str) -> Result:
    """There is no account of the portal's to send with: no repeat will help until a person makes one."""
    return Result(Attempt.Outcome.REFUSED, f"There is no active connection to {provider}: make one under Connections.")


def link_of(message: Outgoing) -> str:
    """Where the reader goes to see more; may be empty."""
    return str(message.payload.get("url") or message.subject_url)


def ack_link_of(message: Outgoing) -> str:
    """The link that acknowledges without a log-in; empty where there is none."""
    return str(message.payload.get("ack_url") or "")


def cut(text: str, most: int) -> str:
    """At most `most` characters, with a mark where something is missing."""
    return text if len(text) <= most else f"{text[: most - 1]}…"
