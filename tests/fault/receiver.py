"""A receiver on the loopback interface that writes down every request and can hold its answer back."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

LONGEST_HOLD_SECONDS = 120.0


@dataclass(frozen=True)
class Call:
    """One request as it came in."""

    method: str
    path: str
    key: str
    at: float


class Receiver(ThreadingHTTPServer):
    """Answers at once, except on paths that are held; `/config` is a document with a version, written by PUT."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.calls: list[Call] = []
        self.document: dict[str, Any] = {"version": 1, "document": {"drop_rate": 1}, "author": "the world"}
        self._changed = threading.Condition()
        self._held: set[tuple[str, str]] = set()
        self._written: set[str] = set()
        self._events: dict[str, str] = {}

    @property
    def port(self) -> int:
        return int(self.server_address[1])

    def hold(self, method: str, path: str) -> None:
        """Answer nobody on this path until it is let go."""
        with self._changed:
            self._held.add((method, path))

    def let_go(self, method: str, path: str) -> None:
        with self._changed:
            self._held.discard((method, path))
            self._changed.notify_all()

    def of(self, method: str, path: str) -> list[Call]:
        """The requests on this path so far."""
        with self._changed:
            return [call for call in self.calls if (call.method, call.path) == (method, path)]

    def note(self, call: Call) -> int:
        """Write a request down; which one of its path it is."""
        with self._changed:
            self.calls.append(call)
            return sum((item.method, item.path) == (call.method, call.path) for item in self.calls)

    def wait(self, method: str, path: str) -> None:
        """Until the path is let go."""
        with self._changed:
            self._changed.wait_for(lambda: (method, path) not in self._held, LONGEST_HOLD_SECONDS)

    def begin_again(self) -> None:
        """Events are as they were at first."""
        with self._changed:
            self._events.clear()

    def event(self, path: str) -> dict[str, Any]:
        """A live event: its state changes when the answer to its pause or resume is let go."""
        name, _, verb = path.removeprefix("/events/").partition("/")
        with self._changed:
            wanted = {"pause": "paused", "resume": "active"}.get(verb)
            before = self._events.setdefault(name, "paused" if name == "sleeping" else "active")
            self._events[name] = wanted or before
            return {"id": name, "name": name, "state": self._events[name], "changed": self._events[name] != before}

    def write(self, body: dict[str, Any], key: str) -> int:
        """Compare-and-set of the document, once for each idempotency key; the status to answer."""
        with self._changed:
            if key in self._written:
                return 200
            self._written.add(key)
            if body["version"] != self.document["version"]:
                return 409
            self.document = {**body, "version": self.document["version"] + 1}
            return 200

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Who was killed does not wait for its answer."""


class _Handler(BaseHTTPRequestHandler):
    server: Receiver

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  # the base class names it so
        pass

    def _any(self) -> None:
        raw = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        path = self.path.partition("?")[0]
        call = Call(self.command, path, self.headers.get("Idempotency-Key", ""), time.monotonic())
        serial = self.server.note(call)
        status, content = 200, b""
        if path == "/config" and self.command == "PUT":
            self.server.wait(self.command, path)
            status = self.server.write(json.loads(raw), call.key)
        else:
            self.server.wait(self.command, path)
        if path == "/config":
            content = json.dumps(self.server.document).encode()
        elif path == "/metrics":
            content = b"errors 0\n"
        elif path.startswith("/events/"):
            content = json.dumps(self.server.event(path)).encode()
        else:
            content = json.dumps({"serial": serial}).encode()
        self.send_response(status)
        self.send_header("Content-Type", "text/plain" if path == "/metrics" else "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    do_GET = do_PUT = do_POST = _any  # noqa: N815  # the base class names them so


@contextmanager
def receiving() -> Iterator[Receiver]:
    """A running receiver."""
    server = Receiver()
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()
