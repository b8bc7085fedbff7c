"""What real servers answer from: environments, flags of every type, a token; committed, and emptied afterwards."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from django.core.management import call_command

from apps.catalog.models import Environment
from apps.flags.operations import disable, kill
from apps.foundation.actor import Actor
from apps.people.models import ApiToken
from apps.people.operations import create_token, portal_user
from tests.factories import person, team
from tests.flags.conftest import make_flag

SYSTEM = Actor.system()
WITHIN_SECONDS = 2.0

_PRO = {"name": "pro", "when": [{"attribute": "plan", "operator": "equals", "values": ["pro"]}], "serve": "red"}
_HALVES = {"split": [{"variant": "on", "weight": 1}, {"variant": "off", "weight": 1}]}
TYPED: dict[str, tuple[str, dict[str, Any]]] = {
    "colour": (
        "string",
        {"variants": {"red": "#f00", "blue": "#00f"}, "off": "blue", "serve": "blue", "rules": [_PRO]},
    ),
    "limit": ("integer", {"variants": {"few": 25}, "off": "few", "serve": "few"}),
    "ratio": ("float", {"variants": {"half": 0.5}, "off": "half", "serve": "half"}),
    "theme": ("object", {"variants": {"x": {"dark": True, "sizes": [1, 2]}}, "off": "x", "serve": "x"}),
    "split": ("boolean", {"variants": {"on": True, "off": False}, "off": "off", "serve": _HALVES}),
}


@dataclass
class World:
    """What is in the database of the servers."""

    flags: dict[str, int]
    token: str
    user_id: int
    blocker: Any

    def do(self, verb: Callable[..., Any], key: str) -> None:
        with self.blocker.unblock():
            verb(self.flags[key], reason="a test", actor=SYSTEM)

    def new_token(self, *scopes: str, **given: Any) -> tuple[ApiToken, str]:
        with self.blocker.unblock():
            return create_token(self.user_id, "test", scopes, actor=SYSTEM, **given)


@pytest.fixture
def db(world: World) -> None:
    """Instead of pytest-django's fixture of this name, by which it knows that a test database must be made."""


@pytest.fixture(scope="module")
def world(django_db_setup: None, django_db_blocker: Any) -> Iterator[World]:
    """Two environments and some flags, committed; everything is emptied afterwards."""
    with django_db_blocker.unblock():
        portal_user()
        production = Environment.objects.create(slug="production", name="Production", position=1)
        staging = Environment.objects.create(slug="staging", name="Staging", position=2)
        owner, holder = team("Core"), person()
        keys = ("on", "killed", "disabled", "switched", "dotted.key-1_x")
        flags = {key: make_flag(key, production, owner).pk for key in keys}
        for key, (kind, definition) in TYPED.items():
            make_flag(key, production, owner, value_type=kind, definition=definition)
        make_flag("killed", staging, owner)
        kill(flags["killed"], reason="x", actor=SYSTEM)
        disable(flags["disabled"], reason="x", actor=SYSTEM)
        text = create_token(holder.pk, "flags", ("flags:read",), actor=SYSTEM)[1]
    yield World(flags, text, holder.pk, django_db_blocker)
    with django_db_blocker.unblock():
        call_command("flush", verbosity=0, interactive=False)


def seconds_until(condition: Callable[[], bool], within: float = 10.0) -> float:
    """How long it took until `condition` held."""
    start = time.monotonic()
    while not condition():
        assert time.monotonic() - start < within, "it never did"
        time.sleep(0.02)
    return time.monotonic() - start
