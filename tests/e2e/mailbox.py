"""A real SMTP server whose mails the test can wait for."""

from __future__ import annotations

import re
import threading
import time
from dataclasses import dataclass
from email import message_from_bytes, policy
from typing import Any

from aiosmtpd.controller import Controller

PAGE = "/ack/"


@dataclass(frozen=True)
class Mail:
    to: str
    subject: str
    text: str
    html: str
    at: float

    @property
    def acknowledges(self) -> bool:
        """Whether it is a page."""
        return PAGE in self.text

    @property
    def acknowledge_link(self) -> str:
        found = re.search(r"https?://\S+/ack/[^\s/]+/", self.text)
        assert found, f"no link to acknowledge in: {self.text}"
        return found.group()


class Mailbox:
    """Accepts every mail on a port of the loopback interface."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.mails: list[Mail] = []
        self._arrived = threading.Condition()
        self._controller = Controller(self, hostname="127.0.0.1", port=port)
        self._controller.start()

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:  # noqa: N802  # aiosmtpd names it so
        message = message_from_bytes(envelope.content, policy=policy.default)
        html = message.get_body(preferencelist=("html",))  # type: ignore[attr-defined]  # the same
        body = message.get_body(preferencelist=("plain",))  # type: ignore[attr-defined]  # policy.default gives an EmailMessage
        with self._arrived:
            for address in envelope.rcpt_tos:
                text = body.get_content() if body else ""
                shown = html.get_content() if html else ""
                self.mails.append(Mail(address, str(message["Subject"]), text, shown, time.time()))
            self._arrived.notify_all()
        return "250 OK"

    def to(self, *people: str, about: str = "") -> list[Mail]:
        """The mails to one of these people, by the part before the @, that have `about` in their text."""
        return [mail for mail in self.mails if mail.to.split("@")[0] in people and about in mail.text]

    def wait_for(self, *people: str, about: str = "", seconds: float) -> Mail:
        """The first mail to one of them with `about` in its text, waiting for it."""
        with self._arrived:
            arrived = self._arrived.wait_for(lambda: self.to(*people, about=about), timeout=seconds)
            there = [f"{mail.to}: {mail.subject}" for mail in self.mails]
            assert arrived, f"no mail to {people} within {seconds} s; there are: {there}"
        return self.to(*people, about=about)[0]

    def close(self) -> None:
        self._controller.stop()
