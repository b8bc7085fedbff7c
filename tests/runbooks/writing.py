"""Makers of runbooks for the tests of authors, and a receiver on the loopback interface that writes down who asked."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import count
from typing import Any

import pytest

from apps.catalog.models import Team
from apps.foundation.actor import Actor
from apps.runbooks import operations
from apps.runbooks.models import Runbook, RunbookVersion
from apps.runbooks.steps.base import StepContext
from tests.factories import team

_numbers = count(1)
PORTAL = Actor.system()


class Receiver(ThreadingHTTPServer):
    """Answers what `answers` says for a path, else 200 and `{"status": "ok"}`. `asked` keeps method, path, headers."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.asked: list[tuple[str, str, dict[str, str], bytes]] = []
        self.answers: dict[str, tuple[int, bytes]] = {}
        self.slow: dict[str, float] = {}

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    @property
    def methods(self) -> set[str]:
        return {method for method, *_ in self.asked}

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Callers that hang up early are what some tests want."""


class _Handler(BaseHTTPRequestHandler):
    server: Receiver

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  # the base class names it so
        pass

    def _any(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        headers = {name.lower(): value for name, value in self.headers.items()}
        self.server.asked.append((self.command, self.path, headers, body))
        path = self.path.partition("?")[0]
        time.sleep(self.server.slow.get(path, 0))
        status, answer = self.server.answers.get(path, (200, b'{"status": "ok"}'))
        self.send_response(status)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(answer)

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = _any  # noqa: N815  # the base class names them so


@contextmanager
def receiving(settings: Any) -> Iterator[Receiver]:
    """A running receiver that the portal may reach."""
    server = Receiver()
    settings.EGRESS_ALLOW = [f"127.0.0.1:{server.server_address[1]}"]
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


@pytest.fixture
def receiver(settings: Any) -> Iterator[Receiver]:
    with receiving(settings) as found:
        yield found


def text_of(*steps: dict[str, Any], **head: Any) -> str:
    """A runbook with these steps, as JSON, which is YAML too; slugs and names are filled in."""
    for number, step in enumerate(steps, start=1):
        step.setdefault("slug", f"s{number}")
        step.setdefault("name", f"Step {number}")
    return json.dumps({"title": "Test", **head, "steps": list(steps)}, indent=1)


def request(url: str, method: str = "POST", **options: Any) -> dict[str, Any]:
    """A step that sends one request."""
    return {"kind": "http_request", "with": {"method": method, "url": url, **options}}


def runbook(
    text: str, *, owner: Team | None = None, activate: bool = True, slug: str = ""
) -> tuple[Runbook, RunbookVersion]:
    """A runbook with this text, active unless told otherwise. One that is there already stays."""
    number = next(_numbers)
    if (there := Runbook.objects.select_related("active_version").filter(slug=slug or "-").first()) is not None:
        return there, there.active_version  # type: ignore[return-value]  # what is made here is active
    owner, slug = owner or team(f"Writers {number}"), slug or f"runbook-{number}"
    made = operations.create_runbook(slug, f"Runbook {number}", owner_id=owner.pk, actor=PORTAL)
    version = operations.save_version(made.pk, text, note="first", activate=activate, actor=PORTAL)
    return Runbook.objects.select_related("active_version").get(pk=made.pk), version


def context(**given: Any) -> StepContext:
    """What a step knows at work, with a log in `lines` where that is given."""
    lines = given.pop("lines", [])
    known: dict[str, Any] = {
        "parameters": {},
        "incident": {},
        "execution_key": "e-1",
        "idempotency_key": "key-1",
        "outcomes": {},
        "actor": PORTAL,
        "timeout_seconds": 5.0,
        "log": lines.append,
    }
    return StepContext(**{**known, **given})
