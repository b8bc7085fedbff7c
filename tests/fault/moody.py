"""Receiving servers whose mood changes: they take, refuse for now or for good, hang, or die after taking."""

from __future__ import annotations

import asyncio
import random
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from email import message_from_bytes, policy
from enum import StrEnum
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from aiosmtpd.controller import Controller

from benchmarks.rig import free_port

# Longer than a sender waits; what hung is answered then, to nobody.
HANG_SECONDS = 4.0


class Mood(StrEnum):
    """What a server does with what it was sent. Of the first three it has the message, whatever the sender hears."""

    OK = "takes it"
    HANG = "takes it and hangs"
    DIE = "takes it and dies"
    ERROR = "answers 500"
    BUSY = "answers 429"
    REFUSE = "refuses for good"


TAKEN = frozenset({Mood.OK, Mood.HANG, Mood.DIE})
_BAD = (Mood.HANG, Mood.DIE, Mood.ERROR, Mood.BUSY, Mood.REFUSE)
# A provider that refuses everything for good would leave nobody reachable.
_SECONDS = {Mood.OK: (2.0, 6.0), Mood.REFUSE: (0.6, 1.5)}
_OTHER_SECONDS = (1.0, 3.5)


@dataclass(frozen=True, slots=True)
class Came:
    """One message as it came in, at a time of the wall clock; of a mail also what it says."""

    key: str
    mood: Mood
    at: float
    text: str = ""


class Moody:
    """Writes down what came and in which mood it met its server."""

    def __init__(self) -> None:
        self.mood = Mood.OK
        self._came: list[Came] = []
        self._lock = threading.Lock()

    def note(self, key: str, text: str = "") -> Mood:
        mood = self.mood
        with self._lock:
            self._came.append(Came(key, mood, time.time(), text))
        return mood

    def came(self) -> list[Came]:
        with self._lock:
            return list(self._came)

    def moods(self) -> Counter[str]:
        return Counter(str(item.mood) for item in self.came())

    def swing(self, dice: random.Random, until: threading.Event) -> None:
        """Change the mood until told to stop: each bad one in turn, in a new order each time, and well in between."""
        turn: list[Mood] = []
        while not until.is_set():
            if not turn:
                turn = [mood for bad in dice.sample(_BAD, len(_BAD)) for mood in (bad, Mood.OK)]
            self.mood = turn.pop()
            until.wait(dice.uniform(*_SECONDS.get(self.mood, _OTHER_SECONDS)))
        self.mood = Mood.OK


class MoodyMailbox(Moody):
    """An SMTP server."""

    _ANSWERS = {Mood.ERROR: "451 not now", Mood.BUSY: "452 too many", Mood.REFUSE: "554 never"}

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:  # noqa: N802  # aiosmtpd's name
        mail = message_from_bytes(envelope.content, policy=policy.default)
        plain = mail.get_body(("plain",))
        mood = self.note(str(mail["X-Idempotency-Key"]), plain.get_content() if plain is not None else "")
        if mood is Mood.HANG:
            await asyncio.sleep(HANG_SECONDS)
        if mood is Mood.DIE:
            server.transport.abort()
        return self._ANSWERS.get(mood, "250 OK")


class MoodyReceiver(Moody, ThreadingHTTPServer):
    """A receiver of webhooks."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self) -> None:
        Moody.__init__(self)
        ThreadingHTTPServer.__init__(self, ("127.0.0.1", 0), _Handler)

    @property
    def port(self) -> int:
        return int(self.server_address[1])

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Who was killed does not wait for its answer."""


class _Handler(BaseHTTPRequestHandler):
    server: MoodyReceiver
    _STATUS = {Mood.ERROR: 500, Mood.BUSY: 429, Mood.REFUSE: 422}

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  # the base class names it so
        pass

    def do_POST(self) -> None:  # the same
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        mood = self.server.note(self.headers.get("Idempotency-Key", ""))
        if mood is Mood.HANG:
            time.sleep(HANG_SECONDS)
        if mood is Mood.DIE:
            self.close_connection = True
            return
        self.send_response(self._STATUS.get(mood, 200))
        if mood is Mood.BUSY:
            self.send_header("Retry-After", "2")
        self.send_header("Content-Length", "0")
        self.end_headers()


@dataclass(frozen=True, slots=True)
class Servers:
    """What receives: a mail server and two receivers of webhooks."""

    mailbox: MoodyMailbox
    mail_port: int
    hooks: tuple[MoodyReceiver, ...]

    @property
    def all(self) -> list[Moody]:
        return [self.mailbox, *self.hooks]


@contextmanager
def moody_servers() -> Iterator[Servers]:
    """The servers, running."""
    mailbox, mail_port = MoodyMailbox(), free_port()
    controller = Controller(mailbox, hostname="127.0.0.1", port=mail_port)
    hooks = (MoodyReceiver(), MoodyReceiver())
    controller.start()
    for hook in hooks:
        threading.Thread(target=hook.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
    try:
        yield Servers(mailbox, mail_port, hooks)
    finally:
        controller.stop()
        for hook in hooks:
            hook.shutdown()
            hook.server_close()
