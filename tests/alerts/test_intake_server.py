"""The same over real sockets: a granian server as in production, ASGI and WSGI, and everything senders get wrong."""

from __future__ import annotations

import http.client
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import pytest
from django.conf import settings
from django.db import connection

from apps.alerts.models import Integration, Receipt
from apps.catalog.models import Team
from tests.alerts.bad_input import CASES, GOOD
from tests.factories import integration

pytestmark = pytest.mark.usefixtures("db")
SERVERS = {"asgi": "incidentportal.asgi:application", "wsgi": "incidentportal.wsgi:application"}
Answered = tuple[int, dict[str, str], Any]


def _database_url() -> str:
    found = connection.settings_dict
    if connection.vendor == "sqlite":
        return f"sqlite:///{found['NAME']}"
    return f"postgres://{found['USER']}:{found['PASSWORD']}@{found['HOST']}:{found['PORT']}/{found['NAME']}"


@pytest.fixture
def db(server: Server) -> None:
    """Instead of pytest-django's fixture of this name, by which it knows that a test database must be made."""


class Server:
    """A running server and one request at a time to it."""

    def __init__(self, port: int) -> None:
        self.port = port

    def send(self, path: str, body: Any = b"", method: str = "POST", **headers: str) -> Answered:
        wire = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        with suppress(BrokenPipeError, ConnectionResetError):  # the server may answer before it has read all
            wire.request(method, path, body, named, encode_chunked="Transfer_Encoding" in headers)
        answer = wire.getresponse()
        content = answer.read()
        wire.close()
        found = {name.lower(): value for name, value in answer.getheaders()}
        return answer.status, found, json.loads(content) if content else None

    def raw(self, text: bytes) -> bytes:
        with socket.create_connection(("127.0.0.1", self.port), timeout=20) as wire:
            wire.sendall(text)
            wire.shutdown(socket.SHUT_WR)
            return wire.recv(65536)


@pytest.fixture(scope="module", params=sorted(SERVERS))
def server(request: Any, django_db_setup: None, django_db_blocker: Any) -> Iterator[Server]:
    """A server on the test database, with one integration of each kind that the key "key-<kind>" opens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with django_db_blocker.unblock():
        made = [integration(kind, key=f"key-{kind}") for kind in GOOD]
        environment = os.environ | {"DATABASE_URL": _database_url(), "DATA_DIR": str(settings.DATA_DIR)}
        arguments = ["--interface", request.param, "--port", str(port), "--no-ws", "--log-level", "error"]
        process = subprocess.Popen(
            [sys.executable, "-m", "granian", *arguments, SERVERS[request.param]],
            env=environment,
            cwd=settings.BASE_DIR,
        )
        try:
            yield _ready(Server(port))
        finally:
            process.terminate()
            process.wait(20)
            Receipt.objects.all().delete()
            Integration.objects.filter(pk__in=[row.pk for row in made]).delete()
            Team.objects.filter(pk__in=[row.team_id for row in made]).delete()


def _ready(server: Server) -> Server:
    until = time.monotonic() + 60
    while True:
        try:
            if server.send("/in/", method="GET")[0] == 404:
                return server
        except OSError:
            if time.monotonic() > until:
                raise
        time.sleep(0.1)


def _receipts(blocker: Any) -> int:
    with blocker.unblock():
        return Receipt.objects.count()


def test_everything_wrong_is_a_400_that_says_why_and_leaves_nothing(server: Server, django_db_blocker: Any) -> None:
    before = _receipts(django_db_blocker)
    odd = []
    for kind, name, body, hint in CASES:
        status, headers, content = server.send(f"/in/{kind}/key-{kind}/", body)
        said = f"{content.get('path', '')} {content.get('detail', '')}"
        if (status, headers["content-type"]) != (400, "application/problem+json") or hint not in said:
            odd.append((kind, name, status, content))
    assert odd == []
    assert _receipts(django_db_blocker) == before


@pytest.mark.parametrize("kind", sorted(GOOD))
def test_good_input_is_a_202(server: Server, kind: str, django_db_blocker: Any) -> None:
    before = _receipts(django_db_blocker)
    status, headers, content = server.send(f"/in/{kind}/key-{kind}/", GOOD[kind])
    assert (status, headers["content-type"], content["receipts"]) == (202, "application/json", 1)
    assert _receipts(django_db_blocker) == before + 1


@pytest.mark.parametrize("kind", sorted(GOOD))
def test_two_mebibytes_are_a_413(server: Server, kind: str) -> None:
    assert server.send(f"/in/{kind}/key-{kind}/", b" " * 2 * 1024 * 1024)[0] == 413


@pytest.mark.parametrize("kind", sorted(GOOD))
def test_two_mebibytes_in_chunks_of_unknown_length_are_a_413(server: Server, kind: str) -> None:
    chunks = (b" " * 65536 for _ in range(32))
    assert server.send(f"/in/{kind}/key-{kind}/", chunks, Transfer_Encoding="chunked")[0] == 413


@pytest.mark.parametrize("kind", sorted(GOOD))
@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "PATCH", "DELETE", "OPTIONS"])
def test_other_methods_are_a_405_with_allow(server: Server, kind: str, method: str) -> None:
    status, headers, _ = server.send(f"/in/{kind}/key-{kind}/", method=method)
    assert (status, headers["allow"]) == (405, "POST")


@pytest.mark.parametrize(
    "path", ["/in/generic/wrong/", "/in/generic/key-change/", "/in/x/y/", "/in/generic/%00%ff/", "/in/"]
)
def test_unknown_addresses_are_a_404(server: Server, path: str) -> None:
    assert server.send(path, GOOD["generic"])[0] == 404


def test_a_compressed_body_is_a_415(server: Server) -> None:
    assert server.send("/in/generic/key-generic/", b"\x1f\x8b", Content_Encoding="gzip")[0] == 415


def test_a_body_that_ends_early_leaves_nothing(server: Server, django_db_blocker: Any) -> None:
    before = _receipts(django_db_blocker)
    body = GOOD["generic"]
    head = b"POST /in/generic/key-generic/ HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % (len(body) + 10)
    assert b" 202 " not in server.raw(head + body)
    assert server.send("/in/generic/key-generic/", body)[0] == 202
    assert _receipts(django_db_blocker) == before + 1


def test_malformed_chunks_are_a_400_and_leave_nothing(server: Server, django_db_blocker: Any) -> None:
    before = _receipts(django_db_blocker)
    head = b"POST /in/generic/key-generic/ HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
    for body in (b"not a chunk", b"5\r\nhello\r\nzz\r\n", b"5\r\nhel"):
        assert server.raw(head + body).startswith(b"HTTP/1.1 400 ")
    assert _receipts(django_db_blocker) == before
