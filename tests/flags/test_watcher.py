"""The thread that keeps flags and tokens fresh, in this process."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator

import pytest
from django.db import connection, connections

from apps.catalog.models import Environment, Team
from apps.flags.models import Flag
from apps.flags.ofrep import edges, watcher
from apps.flags.ofrep.watcher import Watcher
from apps.flags.operations import kill
from apps.foundation.actor import Actor
from apps.people.crypto import digest
from tests.factories import person, token
from tests.flags.conftest import make_flag

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def running(flag: Flag) -> Iterator[Watcher]:
    """A watcher that has looked once."""
    found = Watcher()
    look(found)
    yield found
    found.stop()


def look(found: Watcher, text: str | None = None) -> None:
    """Wait for the next look."""
    looked = threading.Event()
    assert found.ask(digest(text) if text else None, looked.set)
    assert looked.wait(10)


def wait_for_value(found: Watcher, key: str, *, value: bool) -> None:
    for _ in range(100):
        assert found.snapshot is not None
        evaluation = found.snapshot.evaluate(key, None, {})
        if evaluation is not None and evaluation.value is value:
            return
        threading.Event().wait(0.05)
    pytest.fail("the change was not seen")


def test_a_change_is_seen_without_asking(running: Watcher, flag: Flag) -> None:
    wait_for_value(running, flag.key, value=True)
    kill(flag.pk, reason="x", actor=Actor.system())
    wait_for_value(running, flag.key, value=False)


def test_a_renamed_environment_and_a_new_first_one_are_seen(running: Watcher, flag: Flag, core: Team) -> None:
    Environment.objects.filter(pk=flag.environment_id).update(slug="prod")
    other = Environment.objects.create(slug="aaa", name="First", position=0)
    make_flag("elsewhere", other, core)
    wait_for_value(running, "elsewhere", value=True)
    assert running.snapshot is not None
    assert running.snapshot.environments == ("aaa", "prod")


def test_a_token_is_known_after_one_look_and_an_unknown_one_is_certain_to_be(running: Watcher) -> None:
    _, text = token(person(), "flags:read")
    assert running.find(digest(text)) == (None, False)
    look(running, text)
    look(running, "ptk_nobody")
    known, is_certain = running.find(digest(text))
    assert (known is not None and known.may_read, is_certain) == (True, True)
    assert running.find(digest("ptk_nobody")) == (None, True)


def test_unknown_tokens_are_forgotten_and_known_ones_kept_within_bounds(
    running: Watcher, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watcher, "MAX_TOKENS", 3)
    for number in range(20):
        look(running, f"ptk_{number}")
    for _ in range(5):
        look(running, token(person(), "flags:read")[1])
    threading.Event().wait(1.2)
    look(running)
    assert len(running._tokens) <= 3
    assert all(entry.known is not None for entry in running._tokens.values())


def test_who_waits_beyond_the_bound_is_told_at_once(running: Watcher, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watcher, "MAX_WANTED", 0)
    assert running.ask("x", lambda: None) is False


def test_stopping_ends_the_thread_and_gives_its_connection_back(running: Watcher) -> None:
    running.stop()
    running.stop()
    assert not running._thread.is_alive()
    if connection.vendor == "postgresql":
        for _ in range(100):
            if clients() == 1:
                return
            threading.Event().wait(0.05)
        pytest.fail("the connection is still there")


def clients() -> int:
    """How many connections the database has, the test's own included."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*) FROM pg_stat_activity "
            "WHERE datname = current_database() AND backend_type = 'client backend'"
        )
        return int(cursor.fetchone()[0])


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
def test_a_forked_child_starts_a_thread_of_its_own(flag: Flag) -> None:
    before = edges.watcher()
    look(before)
    child = os.fork()
    if child == 0:
        os._exit(0 if edges._watcher is None else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert edges.watcher() is before
    edges.stop_watcher()
    assert edges.watcher() is not before
    edges.stop_watcher()
    connections.close_all()
