"""A message whose sender is killed is sent again, under the same key, and says that it may have been sent before."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from email import message_from_bytes, policy
from typing import Any

import pytest
from aiosmtpd.controller import Controller

from benchmarks.rig import Rig, free_port, wait_until
from tests.fault.conftest import seed

MESSAGES = 200


class SlowMailbox:
    """Takes its time with every mail, so that a kill finds some of them half-way."""

    def __init__(self) -> None:
        self.keys: Counter[str] = Counter()

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:  # noqa: N802  # aiosmtpd's name
        import asyncio

        mail = message_from_bytes(envelope.content, policy=policy.default)
        self.keys[str(mail["X-Idempotency-Key"])] += 1
        await asyncio.sleep(0.05)
        return "250 OK"


@pytest.fixture
def mailbox() -> Iterator[tuple[SlowMailbox, int]]:
    box, port = SlowMailbox(), free_port()
    controller = Controller(box, hostname="127.0.0.1", port=port)
    controller.start()
    yield box, port
    controller.stop()


def test_a_killed_sender_loses_no_mail_and_marks_what_it_may_send_twice(
    mailbox: tuple[SlowMailbox, int], fault_round: int
) -> None:
    box, port = mailbox
    with Rig(
        "sending",
        EMAIL_URL=f"smtp://127.0.0.1:{port}",
        MESSAGE_LEASE_SECONDS="4",
        MESSAGE_TIMEOUT_SECONDS="2",
        PAGE_BUNDLE_SECONDS="0",  # many mails to one person
    ) as rig:
        seed(rig, MESSAGES, 600, "--mail")
        rig.start_worker("messages", "messages")
        rig.start_ticker()
        for _ in range(3):
            taken = len(box.keys)
            wait_until(lambda taken=taken: len(box.keys) > taken + 15, "mails are being sent")  # type: ignore[misc]  # bound now
            rig.kill("messages")
            rig.kill("ticker")
            time.sleep(0.2)
            rig.start_worker("messages", "messages")
            rig.start_ticker()
        pending = "SELECT count(*) FROM messaging_message WHERE channel = 'email' AND state IN ('queued', 'sending')"
        wait_until(lambda: rig.value(pending) == 0, "every mail is sent", 90)
        rows = rig.query(
            "SELECT state, maybe_sent_at IS NOT NULL AS maybe, count(*) AS n "
            "FROM messaging_message WHERE channel = 'email' GROUP BY 1, 2"
        )
    twice = sum(count > 1 for count in box.keys.values())
    marked = sum(row["n"] for row in rows if row["maybe"])
    print(f"{len(box.keys)} mails, {twice} came twice, {marked} were marked as maybe sent before their repeat")
    assert {row["state"] for row in rows} == {"sent"}
    assert sum(row["n"] for row in rows) == len(box.keys) == MESSAGES
    assert twice <= marked
