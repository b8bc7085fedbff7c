"""Both edges around the core, in this process, with a real commit behind them."""

from __future__ import annotations

import asyncio
import io
import json
import threading
import time
from typing import Any

import pytest
from django.db import connection

from apps.alerts.intake import asgi_intake, edges, wsgi_intake
from apps.alerts.intake.committer import Committer, Ticket, Unavailable
from apps.alerts.intake.core import Known
from apps.alerts.intake.storage import Row
from apps.alerts.models import Integration, Receipt
from apps.foundation.clock import now
from tests.alerts.saying import trigger
from tests.factories import integration

pytestmark = pytest.mark.usefixtures("db", "committer")
Answered = tuple[int, dict[str, str], Any]


def by_asgi(path: str, *chunks: bytes, method: str = "POST", headers: tuple[tuple[bytes, bytes], ...] = ()) -> Answered:
    """What the ASGI callable sends for a request whose body comes in these chunks."""
    sent: list[dict[str, Any]] = []
    waiting = [
        {"type": "http.request", "body": chunk, "more_body": number < len(chunks)}
        for number, chunk in enumerate(chunks, 1)
    ]

    async def receive() -> dict[str, Any]:
        return waiting.pop(0) if waiting else {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        sent.append(message)

    asyncio.run(asgi_intake({"type": "http", "method": method, "path": path, "headers": headers}, receive, send))
    found = {name.decode(): value.decode() for name, value in sent[0]["headers"]}
    return sent[0]["status"], found, json.loads(sent[1]["body"])


def by_wsgi(path: str, *chunks: bytes, method: str = "POST", headers: tuple[tuple[bytes, bytes], ...] = ()) -> Answered:
    """The same through the WSGI callable."""
    started: list[Any] = []
    body = b"".join(chunks)
    environ = {"REQUEST_METHOD": method, "PATH_INFO": path, "wsgi.input": io.BytesIO(body)}
    environ |= {name.decode().upper().replace("-", "_"): value.decode() for name, value in headers}
    content = b"".join(wsgi_intake(environ, lambda status, found: started.append((status, found))))
    return int(started[0][0][:3]), {name.lower(): value for name, value in started[0][1]}, json.loads(content)


@pytest.fixture
def db(committed: None) -> None:
    """Instead of pytest-django's fixture of this name, by which it knows that a test database must be made."""


both = pytest.mark.parametrize("post", [by_asgi, by_wsgi])
BODY = json.dumps(trigger()).encode()


@both
def test_an_accepted_payload_is_committed_before_the_answer(post: Any) -> None:
    source = integration(key="secret")
    status, _, content = post("/in/generic/secret/", BODY)
    kept = Receipt.objects.get()
    assert (status, content) == (202, {"receipts": 1, "alerts": 1, "receipt_id": kept.pk})
    assert (bytes(kept.body), kept.state, kept.integration) == (BODY, "new", source)


@both
def test_changes_are_counted_as_changes(post: Any) -> None:
    integration("change", key="secret")
    assert post("/in/change/secret", b'[{"title": "a"}, {"title": "b"}]')[2]["changes"] == 2


@both
def test_a_bad_payload_leaves_nothing(post: Any) -> None:
    integration(key="secret")
    status, headers, content = post("/in/generic/secret/", b'[{"title": "ok"}, {"title": 1}]')
    assert (status, headers["content-type"], content["path"]) == (400, "application/problem+json", "[1].title")
    assert not Receipt.objects.exists()


@both
def test_keys_are_unknown_of_another_kind_or_revoked(post: Any) -> None:
    integration("change", key="other")
    integration(key="gone", state="revoked")
    statuses = [post(f"/in/generic/{key}/", BODY)[0] for key in ("unknown", "other", "gone")]
    assert statuses == [404, 404, 401]


@both
def test_only_post_is_answered(post: Any) -> None:
    status, headers, _ = post("/in/generic/secret/", method="GET")
    assert (status, headers["allow"]) == (405, "POST")


@both
def test_a_body_over_the_limit_is_refused_by_its_head(post: Any) -> None:
    integration(key="secret")
    assert post("/in/generic/secret/", BODY, headers=((b"content-length", b"2097152"),))[0] == 413


@both
def test_a_body_over_the_limit_is_refused_while_it_comes(post: Any) -> None:
    integration(key="secret")
    assert post("/in/generic/secret/", *[b" " * 65536] * 17)[0] == 413
    assert not Receipt.objects.exists()


@both
def test_a_body_of_exactly_the_limit_is_taken(post: Any) -> None:
    integration(key="secret")
    assert post("/in/generic/secret/", BODY.ljust(1024 * 1024))[0] == 202


def test_a_sender_that_goes_away_half_way_leaves_nothing() -> None:
    integration(key="secret")
    assert by_asgi("/in/generic/secret/", BODY[:5], b"")[0] == 400
    assert by_asgi("/in/generic/secret/")[0] == 400
    assert not Receipt.objects.exists()


def test_a_wsgi_body_that_is_shorter_than_announced_is_refused() -> None:
    integration(key="secret")
    assert by_wsgi("/in/generic/secret/", BODY, headers=((b"content-length", b"500"),))[0] == 400


@both
def test_a_revocation_holds_within_two_seconds(post: Any) -> None:
    integration(key="secret")
    assert post("/in/generic/secret/", BODY)[0] == 202
    Integration.objects.update(state="revoked")
    until = time.monotonic() + 2.5
    while time.monotonic() < until and post("/in/generic/secret/", BODY)[0] == 202:
        time.sleep(0.05)
    assert post("/in/generic/secret/", BODY)[0] == 401


def test_many_at_once_share_commits_and_each_gets_its_own_receipt() -> None:
    integration(key="secret")
    found: list[Answered] = []
    threads = [threading.Thread(target=lambda: found.append(by_wsgi("/in/generic/secret/", BODY))) for _ in range(40)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {answer[0] for answer in found} == {202}
    assert {answer[2]["receipt_id"] for answer in found} == set(Receipt.objects.values_list("pk", flat=True))


@pytest.mark.postgres
def test_a_lost_connection_is_made_again_without_losing_the_payload() -> None:
    integration(key="secret")
    assert by_asgi("/in/generic/secret/", BODY)[0] == 202
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
    assert by_asgi("/in/generic/secret/", BODY)[0] == 202
    assert Receipt.objects.count() == 2


class Stuck:
    """A database that does not answer until it is let go."""

    def __init__(self) -> None:
        self.free = threading.Event()
        self.inserted = 0

    def insert(self, rows: Any) -> list[int]:
        self.free.wait(10)
        self.inserted += len(rows)
        return [0] * len(rows)

    def load_keys(self) -> dict[str, Known]:
        return {}

    def count(self, counts: Any) -> list[tuple[int, int, int]]:
        return []

    def drop(self) -> None: ...


@both
def test_a_database_that_does_not_answer_is_a_503_in_bounded_time(post: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    integration(key="secret")
    assert post("/in/generic/secret/", BODY)[0] == 202
    monkeypatch.setattr(edges, "WAIT_SECONDS", 0.2)
    stuck = Stuck()
    monkeypatch.setattr(edges.committer(), "_storage", stuck)
    status, headers, content = post("/in/generic/secret/", BODY)
    stuck.free.set()
    assert (status, headers["retry-after"], content["code"]) == (503, "1", "service_unavailable")


def test_those_who_gave_up_are_not_committed_later_and_a_full_queue_refuses() -> None:
    stuck = Stuck()
    running = Committer(stuck, lambda: None)
    running.put(Row(1, b"first", now()), None)
    while running._waiting:
        time.sleep(0.01)
    tickets: list[Ticket] = []
    with pytest.raises(Unavailable):
        tickets.extend(running.put(Row(1, b"x" * 33 * 1024 * 1024, now()), None) for _ in range(5))
    for ticket in tickets:
        ticket.given_up = True
    stuck.free.set()
    running.stop()
    assert (len(tickets), stuck.inserted) == (2, 1)
