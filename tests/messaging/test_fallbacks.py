"""When a way to a person fails, those who know the person's other ways are told, once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import timedelta

import pytest

from apps.foundation.clock import now
from apps.messaging import registry
from apps.messaging.models import Message
from apps.messaging.operations import Guard, send_due
from apps.messaging.registry import Undelivered, register_fallback
from apps.messaging.sending.late import is_any_late, report_late
from tests.factories import person
from tests.messaging.conftest import Runs, enqueue, webhook
from tests.messaging.servers import Answer, Receiver

pytestmark = pytest.mark.django_db


class Told:
    """A fallback that keeps what it was told."""

    def __init__(self) -> None:
        self.all: list[Undelivered] = []

    def __call__(self, undelivered: Sequence[Undelivered]) -> None:
        self.all += undelivered


@pytest.fixture
def told() -> Iterator[Told]:
    found = Told()
    register_fallback(found)
    register_fallback(found)
    yield found
    registry._fallbacks.remove(found)


def test_a_refusal_for_good_calls_the_fallback_once(receiver: Receiver, told: Told) -> None:
    receiver.answer = lambda request: Answer(status=410)
    user = person()
    message = webhook(receiver.url(), recipient_id=user.pk)
    send_due()
    [one] = told.all
    assert (one.message_id, one.recipient_id, one.channel, one.is_final) == (message.pk, user.pk, "webhook", True)
    message.refresh_from_db()
    assert message.fallback_at is not None


def test_a_message_to_no_person_calls_nobody(receiver: Receiver, told: Told) -> None:
    receiver.answer = lambda request: Answer(status=410)
    webhook(receiver.url())
    send_due()
    assert told.all == []


def test_a_message_that_waits_for_a_broken_provider_is_reported_once(told: Told) -> None:
    message = enqueue(recipient_id=person().pk)
    assert not is_any_late(now())
    Message.objects.filter(pk=message.pk).update(planned_at=now() - timedelta(seconds=61))
    assert is_any_late(now())
    assert (report_late(), report_late()) == (1, 0)
    assert [(one.message_id, one.is_final) for one in told.all] == [(message.pk, False)]


def test_a_message_is_not_sent_before_it_is_due_and_void_if_it_was_answered_by_then(
    receiver: Receiver, runs: Runs
) -> None:
    runs.current = {"7": 1}
    message = webhook(receiver.url(), due_at=now() + timedelta(minutes=5), guard=Guard("test.run", "7", 1))
    assert send_due() == 0
    runs.current = {"7": 2}
    Message.objects.filter(pk=message.pk).update(due_at=now())
    send_due()
    message.refresh_from_db()
    assert (message.state, receiver.requests) == ("void", [])


def test_the_inbox_does_not_wait() -> None:
    message = enqueue(channel="inbox", address="", recipient_id=person().pk, due_at=now() + timedelta(hours=1))
    assert message.state == "sent"
    assert message.due_at <= now()
