"""The event streams, over a real server process on the test's own database."""

from __future__ import annotations

import json
import os
import signal
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from django.conf import settings
from django.db import connection
from django.test import Client

from apps.incidents import operations
from apps.incidents.models import Incident
from apps.people.models import User
from apps.people.operations import revoke_token
from tests.factories import actor, bearer, incident, person, superuser, token

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.timeout(180)]

ROOT = Path(__file__).resolve().parents[2]
TARGET = "tests.incidents.stream_app:application"
# To http only: reading the authorities' certificates for each request would take longer than the request.
NO_TLS = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


class Server:
    """A granian process that serves the streams as they are in production: one ASGI worker."""

    def __init__(self) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self.process = subprocess.Popen(
            [
                *(sys.executable, "-m", "granian", "--interface", "asgi", "--host", "127.0.0.1"),
                *("--port", str(self.port), "--workers-kill-timeout", "20", "--log-level", "warning", TARGET),
            ],
            cwd=ROOT,
            env={**os.environ, **_database_of_the_test(), "DJANGO_SETTINGS_MODULE": "incidentportal.settings"},
        )
        deadline = time.monotonic() + 90
        while not self._answers():
            if time.monotonic() > deadline:
                self.stop()
                pytest.fail("the server did not start")
            time.sleep(0.1)

    def _answers(self) -> bool:
        try:
            return httpx.get(f"{self.url}/events/", timeout=2, verify=NO_TLS).status_code == 404
        except httpx.TransportError:
            return False

    def stop(self) -> float:
        """Stop it as a supervisor does; returns the seconds that this took."""
        started = time.monotonic()
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(30)
        return time.monotonic() - started


def _database_of_the_test() -> dict[str, str]:
    found = connection.settings_dict
    if connection.vendor == "sqlite":
        return {"DATABASE_URL": f"sqlite:///{found['NAME']}"}
    login = f"{found['USER']}:{found['PASSWORD']}@" if found["PASSWORD"] else f"{found['USER']}@"
    return {"DATABASE_URL": f"postgres://{login}{found['HOST']}:{found['PORT']}/{found['NAME']}"}


@pytest.fixture(scope="module")
def running(django_db_setup: None, django_db_blocker: Any) -> Iterator[Server]:
    server = Server()
    yield server
    if server.process.poll() is None:
        server.stop()


class Events:
    """The events of one open stream, as a browser would read them."""

    def __init__(self, response: httpx.Response) -> None:
        self.response = response
        self._lines = response.iter_lines()

    def next(self) -> tuple[str, dict[str, Any], str]:
        """Name, data and id of the next event; comments are passed over."""
        found: dict[str, str] = {}
        for line in self._lines:
            if not line and "event" in found:
                return found["event"], json.loads(found["data"]), found.get("id", "")
            name, _, value = line.partition(": ")
            if name:
                found[name] = value
        raise EOFError

    def response_lines(self) -> Iterator[str]:
        return self._lines

    def until(self, name: str) -> list[tuple[str, dict[str, Any], str]]:
        found = [self.next()]
        while found[-1][0] != name:
            found.append(self.next())
        return found


@contextmanager
def _open(server: Server, path: str, headers: dict[str, str]) -> Iterator[Events]:
    with httpx.stream("GET", f"{server.url}{path}", headers=headers, timeout=30, verify=NO_TLS) as response:
        assert response.status_code == 200, response.read()
        assert response.headers["content-type"].startswith("text/event-stream")
        yield Events(response)


def _status(server: Server, path: str, headers: dict[str, str] | None = None, method: str = "GET") -> int:
    with httpx.stream(method, f"{server.url}{path}", headers=headers, timeout=30, verify=NO_TLS) as response:
        return response.status_code


def _path(made: Incident) -> str:
    return f"/events/incidents/{made.pk}/"


def _cookie(user: User) -> dict[str, str]:
    client = Client()
    client.force_login(user, backend="django.contrib.auth.backends.ModelBackend")
    name = settings.SESSION_COOKIE_NAME
    return {"Cookie": f"{name}={client.cookies[name].value}"}


def test_a_new_line_arrives_at_once_with_its_number(running: Server) -> None:
    made, rea = incident(severity="P4"), person("responder")
    with _open(running, _path(made), bearer(rea)) as events:
        assert events.next() == ("open", {"seq": 1}, "1")
        started = time.monotonic()
        operations.post(made.pk, "hello", actor=actor(rea))
        name, data, number = events.next()
        assert time.monotonic() - started < 3
        assert (name, data["kind"], data["text"], data["author"], number) == ("entry", "post", "hello", rea.name, "2")
        assert events.next() == ("state", {"version": 1, "seq": 2}, "")


def test_a_quiet_stream_shows_that_it_is_alive(running: Server) -> None:
    made = incident(severity="P4")
    with _open(running, _path(made), bearer(person("viewer"))) as events:
        events.next()
        assert next(line for line in events.response_lines() if line) == ": still here"


def test_a_browser_with_its_session_reads_too(running: Server) -> None:
    made = incident(severity="P4")
    with _open(running, _path(made), _cookie(person("viewer"))) as events:
        assert events.next()[0] == "open"


def test_after_a_break_the_missed_lines_come_in_order(running: Server) -> None:
    made, rea = incident(severity="P4"), person("responder")
    for number in range(3):
        operations.post(made.pk, f"note {number}", actor=actor(rea))
    with _open(running, _path(made), {**bearer(rea), "Last-Event-ID": "2"}) as events:
        found = events.until("state")
    assert [(name, number) for name, _, number in found] == [
        ("open", "2"),
        ("entry", "3"),
        ("entry", "4"),
        ("state", ""),
    ]


def test_a_page_that_was_rendered_at_a_number_misses_nothing(running: Server) -> None:
    made, rea = incident(severity="P4"), person("responder")
    operations.post(made.pk, "in between", actor=actor(rea))
    with _open(running, f"{_path(made)}?after=1", bearer(rea)) as events:
        assert [data.get("text") for name, data, _ in events.until("state") if name == "entry"] == ["in between"]


def test_too_much_missed_means_fetch_again(running: Server) -> None:
    made, rea = incident(severity="P4"), person("responder")
    lines = [operations.NewEntry(made.pk, "note", f"line {n}", "portal") for n in range(600)]
    from django.db import transaction

    with transaction.atomic():
        operations.append_entries(lines)
    with _open(running, f"{_path(made)}?after=1", bearer(rea)) as events:
        found = events.until("state")
    assert [(name, number) for name, _, number in found] == [("open", "1"), ("refetch", "601"), ("state", "")]


@pytest.mark.parametrize("path", ["/events/home/", "/events/incidents/1/"])
def test_nobody_and_wrong_tokens_are_refused(running: Server, path: str) -> None:
    assert _status(running, path) == 401
    assert _status(running, path, {"Authorization": "Bearer ptk_nonsense"}) == 401
    assert _status(running, path, {"Cookie": "sessionid=nonsense"}) == 401
    assert _status(running, path, bearer(person("viewer"), "alerts:read")) == 403


def test_what_is_private_or_missing_is_not_there(running: Server) -> None:
    made, outsider = incident(severity="P4", visibility="private"), bearer(person("commander"))
    assert _status(running, _path(made), outsider) == 404
    assert _status(running, "/events/incidents/999999/", outsider) == 404
    assert _status(running, "/events/elsewhere/", outsider) == 404
    assert _status(running, _path(made), outsider, method="POST") == 405
    assert _status(running, _path(made), bearer(person("auditor"))) == 200


def test_a_stream_ends_when_its_incident_becomes_private_and_shows_nothing_of_that(running: Server) -> None:
    made, outsider, boss = incident(severity="P4"), person("viewer"), actor(superuser())
    with _open(running, _path(made), bearer(outsider)) as events:
        assert events.next()[0] == "open"
        operations.change_visibility(made.pk, "private", actor=boss)
        operations.post(made.pk, "secret", actor=boss)
        name, data, _ = events.next()
        assert (name, data) == ("end", {"reason": "not_found", "reconnect": False})
        with pytest.raises(EOFError):
            events.next()


def test_a_stream_ends_soon_after_its_token_is_revoked(running: Server) -> None:
    made, rea = incident(severity="P4"), person("responder")
    row, text = token(rea)
    with _open(running, _path(made), {"Authorization": f"Bearer {text}"}) as events:
        assert events.next()[0] == "open"
        revoke_token(row.pk, actor=actor(rea))
        assert events.next()[:2] == ("end", {"reason": "not_authenticated", "reconnect": False})


def test_a_stream_ends_soon_after_its_account_is_closed(running: Server) -> None:
    made, rea = incident(severity="P4"), person("responder")
    with _open(running, _path(made), _cookie(rea)) as events:
        assert events.next()[0] == "open"
        User.objects.filter(pk=rea.pk).update(is_active=False)
        assert events.next()[0] == "end"


def test_home_hears_only_that_something_changed(running: Server) -> None:
    made, rea = incident(severity="P4"), person("responder")
    with _open(running, "/events/home/", bearer(rea)) as events:
        assert events.next()[:2] == ("open", {"seq": None})
        operations.post(made.pk, "hello", actor=actor(rea))
        assert events.next() == ("refetch", {}, "")


def test_home_hears_nothing_of_what_it_may_not_see(running: Server) -> None:
    hidden, boss, outsider = incident(severity="P4", visibility="private"), superuser(), person("viewer")
    with (
        _open(running, "/events/home/", bearer(outsider)) as theirs,
        _open(running, "/events/home/", bearer(boss)) as ours,
    ):
        assert (theirs.next()[0], ours.next()[0]) == ("open", "open")
        operations.post(hidden.pk, "secret", actor=actor(boss))
        assert ours.next()[0] == "refetch"
        quiet = [line for line, _ in zip((x for x in theirs.response_lines() if x), range(3), strict=False)]
        assert quiet == [": still here"] * 3


def test_one_account_holds_only_so_many_streams(running: Server) -> None:
    made, headers = incident(severity="P4"), bearer(person("viewer"))
    with httpx.Client(timeout=30, verify=NO_TLS, limits=httpx.Limits(max_connections=50)) as client:
        held = [
            client.send(client.build_request("GET", running.url + _path(made), headers=headers), stream=True)
            for _ in range(21)
        ]
        assert [answer.status_code for answer in held] == [200] * 20 + [429]
        for answer in held:
            answer.close()
    deadline = time.monotonic() + 20
    while _status(running, _path(made), headers) != 200:
        assert time.monotonic() < deadline, "closed streams were not forgotten"
        time.sleep(0.2)


def test_the_server_stops_soon_though_streams_are_open() -> None:
    server, made = Server(), incident(severity="P4")
    with _open(server, _path(made), bearer(person("viewer"))) as events:
        assert events.next()[0] == "open"
        assert server.stop() < 8
        assert events.next()[:2] == ("end", {"reason": "stopping", "reconnect": True})
