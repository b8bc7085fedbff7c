"""A source of entities on the loopback interface, speaking the protocol of docs/snapshots.md, that can misbehave."""

from __future__ import annotations

import json
import threading
from bisect import bisect_right
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import count
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from apps.foundation.actor import Actor
from apps.state.entities import operations
from apps.state.entities.models import EntityRestore, EntitySource, Snapshot, SnapshotDiff
from tests.factories import service

PORTAL = Actor.system()
_numbers = count(1)


def player(number: int, **fields: Any) -> tuple[str, dict[str, Any]]:
    return f"p{number:06}", {"name": f"Player {number}", "gold": 100 + number, "items": [{"count": 1}], **fields}


class Herd(ThreadingHTTPServer):
    """Holds entities by compare-and-set; `writes` keeps the ids that were PUT, `behave` may take an answer over,
    `refuse` a write."""

    daemon_threads = True

    def __init__(self, size: int = 0) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.rows: dict[str, dict[str, Any]] = {}
        for number in range(size):
            key, document = player(number)
            self.rows[key] = {"id": key, "version": 1, "document": document}
        self.writes: list[tuple[str, str]] = []
        self.reads = 0
        self.page: Callable[[str, int], list[dict[str, Any]]] = self._page
        self.behave: Callable[[_Handler], bool] | None = None
        self.before_put: Callable[[], None] | None = None
        self.refuse: Callable[[str], int | None] | None = None

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Callers that hang up early are what some tests want."""

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def change(self, key: str, **fields: Any) -> None:
        """The game writes."""
        row = self.rows[key]
        self.rows[key] = {**row, "version": row["version"] + 1, "document": {**row["document"], **fields}}

    def _page(self, after: str, limit: int) -> list[dict[str, Any]]:
        keys = sorted(self.rows)
        at = bisect_right(keys, after)
        return [self.rows[key] for key in keys[at : at + limit]]


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Herd

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  # the base class names it so
        pass

    def do_GET(self) -> None:
        herd, parts = self.server, urlsplit(self.path)
        herd.reads += 1
        if herd.behave is not None and herd.behave(self):
            return
        if parts.path != "/entities":
            row = herd.rows.get(unquote(parts.path.removeprefix("/entities/")))
            self.send(200 if row else 404, json.dumps(row or {"error": "nobody"}).encode())
            return
        asked = parse_qs(parts.query, keep_blank_values=True)
        rows = herd.page(asked["after"][0], int(asked["limit"][0]))
        body = b"\n".join(json.dumps(row).encode() for row in rows)
        self.send(200, body, "application/x-ndjson", {"X-Total-Count": str(len(herd.rows))})

    def do_PUT(self) -> None:
        herd, key = self.server, unquote(self.path.removeprefix("/entities/"))
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if herd.before_put is not None:
            herd.before_put()
        herd.writes.append((key, self.headers["Idempotency-Key"]))
        if herd.refuse is not None and (status := herd.refuse(key)):
            self.send(status, b"{}")
            return
        row = herd.rows.get(key)
        if body["version"] != (row["version"] if row else None):
            self.send(409, b'{"error": "somebody was faster"}')
            return
        herd.rows[key] = {"id": key, "version": (row["version"] if row else 0) + 1, "document": body["document"]}
        if herd.behave is None or not herd.behave(self):
            self.send(200, json.dumps(herd.rows[key]).encode())

    def send(
        self, status: int, body: bytes, kind: str = "application/json", more: dict[str, str] | None = None
    ) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        for name, value in (more or {}).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)


@contextmanager
def running(herd: Herd) -> Iterator[Herd]:
    """The source answers inside the block."""
    thread = threading.Thread(target=herd.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield herd
    finally:
        herd.shutdown()
        herd.server_close()
        thread.join()


def source_of(herd: Herd, **fields: Any) -> EntitySource:
    """What the portal knows of it."""
    number = next(_numbers)
    fields.setdefault("service_id", service(f"Herd{number}").pk)
    return operations.create_source(
        slug=f"players-{number}", name="Players", kind="player", base_url=herd.url, actor=PORTAL, **fields
    )


def worked(job: Any) -> Any:
    """The job after its workers came by."""
    for _ in range(50):
        if not operations.advance(type(job), job.pk):
            break
    return type(job).objects.get(pk=job.pk)


def taken(source: EntitySource) -> Snapshot:
    """A snapshot that is done."""
    found: Snapshot = worked(operations.take_snapshot(source.pk, actor=PORTAL))
    assert found.state == "done", found.error
    return found


def compared(before: Snapshot, after: Snapshot) -> SnapshotDiff:
    """A diff that is done."""
    found: SnapshotDiff = worked(operations.compare(before.pk, after.pk, actor=PORTAL))
    assert found.state == "done", found.error
    return found


def planned(snapshot: Snapshot, *ids: str) -> EntityRestore:
    """A dry run that waits to be confirmed."""
    found: EntityRestore = worked(operations.plan_restore(snapshot.pk, ids, actor=PORTAL))
    return found


def confirmed(restore: EntityRestore) -> EntityRestore:
    """A restore that was carried out."""
    operations.confirm_restore(restore.pk, expected_checksum=restore.checksum, reason="dupes", actor=PORTAL)
    found: EntityRestore = worked(restore)
    return found
