"""A source of config documents on the loopback interface, speaking the demo world's protocol, that can misbehave."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

HEALTHY: dict[str, Any] = {"economy": {"drop_rate": 0.05, "gold_per_kill": 12}, "api_key": "k-123456"}
BROKEN: dict[str, Any] = {"economy": {"drop_rate": 5.0, "gold_per_kill": 12}, "api_key": "k-123456"}


class Source(ThreadingHTTPServer):
    """Holds one document by compare-and-set. `puts` keeps what was asked of it; `behave` may take an answer over."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.version = 1
        self.document: Any = json.loads(json.dumps(HEALTHY))
        self.author = "game master"
        self.knows_canaries = False
        self.canary: dict[str, Any] | None = None
        self.gets = 0
        self.puts: list[dict[str, Any]] = []
        self.keys: list[str] = []
        self.behave: Callable[[_Handler], bool] | None = None
        self.before_put: Callable[[], None] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/config"

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Callers that hang up early are what some tests want."""

    def change(self, document: Any, author: str = "loot designer") -> None:
        """Somebody else writes."""
        self.document, self.author = json.loads(json.dumps(document)), author
        self.version, self.canary = self.version + 1, None


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Source

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  # the base class names it so
        pass

    def do_GET(self) -> None:
        self.server.gets += 1
        if self.server.behave is None or not self.server.behave(self):
            self.show()

    def do_PUT(self) -> None:
        source = self.server
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        source.puts.append(body)
        source.keys.append(self.headers.get("Idempotency-Key", ""))
        if source.before_put is not None:
            source.before_put()
        if body["version"] != source.version:
            self.send(409, json.dumps({"error": "Somebody changed the config before you."}).encode())
            return
        if source.knows_canaries and "percentage" in body:
            share = {"percentage": body["percentage"], "document": body["document"]}
            source.canary = share if body["percentage"] else None
        else:
            source.change(body["document"], body["author"])
        if source.behave is None or not source.behave(self):
            self.show()

    def show(self) -> None:
        source = self.server
        shown = {"version": source.version, "document": source.document, "author": source.author}
        shown |= {"canary": source.canary} if source.canary else {}
        self.send(200, json.dumps(shown).encode())

    def send(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


@pytest.fixture
def source(settings: Any) -> Iterator[Source]:
    """A running source that the portal may reach."""
    server = Source()
    settings.EGRESS_ALLOW = [f"127.0.0.1:{server.server_address[1]}"]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


def slowly(handler: Any) -> bool:
    """Answer later than anybody waits in a test."""
    time.sleep(1.5)
    return False
