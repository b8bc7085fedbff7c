"""Events reach every subscriber, at least once, and never without their cause."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import pytest
from django.db import transaction

from apps.engine import registry
from apps.engine.events import DomainEvent
from apps.engine.models import Delivery, Event
from apps.engine.operations import MAX_ATTEMPTS, deliver, publish, retry_delivery
from apps.foundation.actor import Actor
from apps.foundation.clock import now
from apps.foundation.subjects import Subject

pytestmark = pytest.mark.django_db


@dataclass(frozen=True)
class Dropped(DomainEvent):
    kind: ClassVar[str] = "test.dropped"
    height: int


class Listener:
    def __init__(self) -> None:
        self.heard: list[int] = []
        self.deaf_to: set[int] = set()

    def hear(self, event: Event) -> None:
        if event.payload["height"] in self.deaf_to:
            raise ValueError("deaf")
        self.heard.append(event.payload["height"])


@pytest.fixture
def listener() -> Iterator[Listener]:
    found = Listener()
    registry.subscribe(["test.dropped"], "test.listener", found.hear)
    yield found
    del registry._subscriptions["test.listener"]


def drop(height: int) -> int:
    with transaction.atomic():
        return publish(Dropped(height=height), subject=Subject("stone", "1"), actor=Actor.system())


def publish_and_fail() -> None:
    with transaction.atomic():
        drop(1 // 0 if drop(1) else 0)


def mine() -> list[Delivery]:
    return list(Delivery.objects.filter(subscriber="test.listener").order_by("id"))


def test_an_event_is_delivered_once(listener: Listener) -> None:
    drop(3)
    deliver()
    deliver()
    assert listener.heard == [3]
    assert mine()[0].state == Delivery.State.DONE


@pytest.mark.django_db(transaction=True)
def test_an_event_without_a_transaction_is_refused() -> None:
    with pytest.raises(RuntimeError, match="in the transaction of its cause"):
        publish(Dropped(height=1), subject=Subject("", ""), actor=Actor.system())


def test_an_event_vanishes_with_the_transaction_that_failed(listener: Listener) -> None:
    with pytest.raises(ZeroDivisionError):
        publish_and_fail()
    assert not Event.objects.filter(kind="test.dropped").exists()


def test_a_failing_delivery_holds_back_no_other(listener: Listener) -> None:
    listener.deaf_to = {2}
    for height in (1, 2, 3):
        drop(height)
    deliver()
    assert [row.state for row in mine()] == ["done", "pending", "done"]
    assert mine()[1].due_at > now()


def test_after_ten_failures_a_delivery_waits_for_a_person_who_can_retry_it(listener: Listener) -> None:
    listener.deaf_to = {2}
    drop(2)
    for _ in range(MAX_ATTEMPTS):
        Delivery.objects.update(due_at=now())
        deliver()
    assert mine()[0].state == Delivery.State.FAILED
    listener.deaf_to = set()
    retry_delivery(mine()[0].pk)
    deliver()
    assert mine()[0].state == Delivery.State.DONE
