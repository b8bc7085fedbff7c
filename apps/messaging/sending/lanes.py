"""Lanes: the messages that wait for one provider, and its sessions. A slow lane never holds back another."""

from __future__ import annotations

import os
import time
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from functools import cache

from apps.messaging.models import Message
from apps.messaging.providers import transport_of
from apps.messaging.providers.base import Session, Transport

MOST_THREADS = 64
FIRST_REST_SECONDS = 1.0
MOST_REST_SECONDS = 60.0
MOST_EMAIL_REST_SECONDS = 10.0
MOST_ASKED_SECONDS = 3600.0


@cache
def threads(process: int) -> ThreadPoolExecutor:
    """The threads in which transports wait for providers; one pool for a process, none of a fork's parent."""
    return ThreadPoolExecutor(max_workers=MOST_THREADS, thread_name_prefix="send")


class Rests:
    """Which lanes to leave alone for a moment, since their provider does not work. Known to this process only."""

    def __init__(self) -> None:
        self._until: dict[str, float] = {}
        self._seconds: dict[str, float] = {}

    def begin(self, lane: str, at_least_seconds: float = 0.0) -> timedelta:
        """The provider failed: rest a second, twice as long each time it fails again, up to a minute (email: 10 s).

        Not shorter than the provider asked for, up to an hour.
        """
        most = MOST_EMAIL_REST_SECONDS if lane == Message.Channel.EMAIL else MOST_REST_SECONDS
        seconds = min(self._seconds.get(lane, FIRST_REST_SECONDS / 2) * 2, most)
        rest = max(seconds, min(at_least_seconds, MOST_ASKED_SECONDS))
        self._seconds[lane], self._until[lane] = seconds, time.monotonic() + rest
        return timedelta(seconds=rest)

    def end(self, lane: str) -> None:
        """The provider works."""
        if self._seconds.pop(lane, None) is not None:
            self._until.pop(lane, None)

    def resting(self) -> set[str]:
        at = time.monotonic()
        return {lane for lane, until in self._until.items() if until > at}


@cache
def rests(process: int) -> Rests:
    return Rests()


class Lane:
    """Waiting messages of one provider and the sessions that take them, one each at a time."""

    def __init__(self, name: str, transport: Transport) -> None:
        self.name = name
        self.waiting: deque[Message] = deque()
        self.proved = False
        self.closed = False
        self._transport = transport
        self._free: list[Session] = []
        self._in_use = 0

    @property
    def room(self) -> int:
        """How many more messages could be sent right now."""
        if self.closed:
            return 0
        most = self._transport.most_sessions if self.proved else self._transport.first_sessions
        return max(most - self._in_use, 0)

    @property
    def full(self) -> bool:
        """Whether claiming more for this lane would only let it wait here."""
        return self.closed or len(self.waiting) >= self.room

    def take_session(self) -> Session:
        self._in_use += 1
        return self._free.pop() if self._free else self._transport.open()

    def give_session(self, session: Session) -> None:
        self._in_use -= 1
        self._free.append(session)

    def lose_session(self, session: Session) -> None:
        """Its state is unknown: never use it again."""
        self._in_use -= 1
        threads(os.getpid()).submit(session.close)

    def hang_up(self) -> None:
        """Close idle sessions, in a thread: saying goodbye may take time too."""
        for session in self._free:
            threads(os.getpid()).submit(session.close)
        self._free.clear()


def lane_for(message: Message) -> Lane | None:
    """A new lane for a message like this one; None when nothing sends its channel."""
    transport = transport_of(message.channel)
    return None if transport is None else Lane(message.lane or message.channel, transport)
