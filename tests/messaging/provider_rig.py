"""What the tests of channels share: one HTTP server for a module, connections to it, and people with addresses."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qsl

import pytest

from apps.foundation.actor import Actor
from apps.messaging.connections import create_connection
from apps.messaging.models import Connection, Message
from apps.people.models import ContactPoint, User
from apps.people.operations import add_contact_point, prove_contact_point
from tests.factories import person
from tests.messaging.conftest import enqueue
from tests.messaging.servers import Answer, Receiver, Request

SYSTEM = Actor.system("test")


@pytest.fixture(scope="module")
def one_server() -> Iterator[Receiver]:
    server = Receiver()
    yield server
    server.close()


@pytest.fixture
def provider(one_server: Receiver, settings: Any) -> Receiver:
    """The module's server, as new."""
    settings.WEBHOOK_ALLOW_PRIVATE = True
    one_server.requests.clear()
    one_server.answer = lambda request: Answer()
    return one_server


def connect(kind: str, provider: Receiver, **fields: Any) -> Connection:
    """A connection of the portal's to this server."""
    given = {"token": "xoxb-secret", "signing_secret": "shh", "account": "AC123", "sender": "+15005550006"} | fields
    return create_connection(kind, kind, base_url=provider.url(""), actor=SYSTEM, **given)


def reachable(kind: str, address: str, *, user: User | None = None, external_id: str = "") -> ContactPoint:
    """A verified address of somebody."""
    user = user or person()
    point = add_contact_point(user.pk, kind, address, actor=SYSTEM)
    return prove_contact_point(point.pk, external_id=external_id, actor=SYSTEM)


def to(point: ContactPoint, **fields: Any) -> Message:
    """A message to this address of its person, as paging writes it."""
    return enqueue(channel=point.kind, address=point.address, recipient_id=point.user_id, **fields)


def answers(status: int, content: object = None, **headers: str) -> Any:
    """What the server says to everything."""
    body = b"" if content is None else json.dumps(content).encode()
    return lambda request: Answer(status=status, body=body, headers=headers)


def form(request: Request) -> dict[str, str]:
    return dict(parse_qsl(request.body.decode()))


def again(message: Message) -> Message:
    message.refresh_from_db()
    return message
