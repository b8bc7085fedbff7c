"""Providers on real sockets, a guard of the tests' own, and short ways to enqueue."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import count
from typing import Any

import pytest
from django.db import transaction

from apps.foundation.subjects import Subject
from apps.messaging import registry
from apps.messaging.models import Message
from apps.messaging.operations import NewMessage, enqueue_many, register_guard
from apps.messaging.sending import lanes
from tests.messaging.servers import Post, Receiver

_numbers = count(1)


@pytest.fixture(autouse=True)
def rested() -> None:
    """No lane rests because of an earlier test."""
    lanes.rests.cache_clear()


@pytest.fixture
def post(settings: Any) -> Iterator[Post]:
    server = Post()
    settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", server.port
    yield server
    server.close()


@pytest.fixture
def receiver(settings: Any) -> Iterator[Receiver]:
    settings.WEBHOOK_ALLOW_PRIVATE = True
    server = Receiver()
    yield server
    server.close()


class Runs:
    """A guard whose runs the test sets."""

    def __init__(self) -> None:
        self.current: dict[str, int] = {}

    def __call__(self, keys: Sequence[str]) -> dict[str, int]:
        return {key: self.current[key] for key in keys if key in self.current}


@pytest.fixture
def runs() -> Iterator[Runs]:
    found = Runs()
    register_guard("test.run", found)
    yield found
    del registry._guards["test.run"]


def draft(**fields: Any) -> NewMessage:
    values: dict[str, Any] = {
        "dedupe_key": f"test:{next(_numbers)}",
        "channel": "email",
        "recipient_id": None,
        "endpoint_id": None,
        "address": "ana@example.com",
        "subject": Subject("", ""),
        "title": "[P1] Nobody can log in",
        "body": "Something is wrong.\n\nLook at it.",
    }
    return NewMessage(**(values | fields))


def enqueue(**fields: Any) -> Message:
    """Store one message and return its row."""
    wanted = draft(**fields)
    with transaction.atomic():
        enqueue_many([wanted])
    return Message.objects.get(dedupe_key=wanted.dedupe_key)


def webhook(url: str, **fields: Any) -> Message:
    return enqueue(channel="webhook", address=url, **fields)
