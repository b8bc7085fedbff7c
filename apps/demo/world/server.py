"""The world over HTTP: its page, its JSON API, health and metrics. It listens on the loopback interface only."""

from __future__ import annotations

import http
import json
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from apps.demo.world.folk import Folk
from apps.demo.world.game import FAULTS, World, WorldError
from apps.demo.world.ledger import LONGEST_KEY, Asked, Ledger, Said
from apps.demo.world.metrics import CONTENT_TYPE, render
from apps.demo.world.rules import prometheus_rules
from apps.demo.world.schema import CONFIG_SCHEMA
from apps.demo.world.switches import Switches
from apps.demo.world.watcher import Watcher

LOOPBACK = "127.0.0.1"
_ASSETS = Path(__file__).parent / "assets"
_FILES = {
    "/": ("page.html", "text/html; charset=utf-8"),
    "/style.css": ("style.css", "text/css; charset=utf-8"),
    "/app.js": ("app.js", "text/javascript; charset=utf-8"),
}
_LOCAL_NAMES = {"127.0.0.1", "localhost", "::1"}
_MAX_BODY_BYTES = 64 * 1024
_POLICY = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:"


class WorldServer(ThreadingHTTPServer):
    """Serves one world; `portal_url` is only shown as a link."""

    daemon_threads = True

    def __init__(self, port: int, world: World, *, watcher: Watcher, switches: Switches, portal_url: str) -> None:
        self.world = world
        self.watcher = watcher
        self.switches = switches
        self.portal_url = portal_url
        self.ledger = Ledger(world.clock_text)
        self.folk = Folk(world.folder / "folk.json")
        super().__init__((LOOPBACK, port), WorldHandler)

    def status(self) -> dict[str, Any]:
        """What the page shows, in one piece."""
        now = self.world.signals()
        return {
            "faults": {name: {"text": text, "active": name in self.world.faults()} for name, text in FAULTS.items()},
            "config": self.world.config(),
            "servers": self.world.servers(),
            "events": {slug: self.world.event(slug) for slug in self.world.events()},
            "signals": {
                "players_online": now.players_online,
                "error_percent": round(now.error_ratio * 100, 1),
                "latency_ms": round(now.latency_p95_seconds * 1000),
                "payment_failure_percent": round(now.payment_failure_ratio * 100, 1),
                "purchases_per_minute": round(now.payments_per_second * 60),
            },
            "switches": self.switches.shown(),
            "alerts": self.watcher.alerts() if self.watcher.tells_alerts else {},
            "watcher": {"tells_alerts": self.watcher.tells_alerts, "problem": self.watcher.problem},
            "portal_url": self.portal_url,
        }


class WorldHandler(BaseHTTPRequestHandler):
    """One request. Bodies are JSON; errors are JSON with `error`."""

    protocol_version = "HTTP/1.1"
    server: WorldServer

    def do_GET(self) -> None:
        self._answer(self._get)

    def do_PUT(self) -> None:
        self._answer(lambda path: self._change(path, self._put))

    def do_POST(self) -> None:
        self._answer(lambda path: self._change(path, self._post))

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  # the base class names it so
        """Scrapes and polls would drown everything else in the log."""

    # --- routes --------------------------------------------------------------------------------------------------

    def _get(self, path: str) -> None:
        world = self.server.world
        if path in _FILES:
            name, kind = _FILES[path]
            self._send(200, (_ASSETS / name).read_bytes(), kind)
        elif path == "/health":
            faults = world.faults()
            self._json(503 if faults else 200, {"status": "broken" if faults else "ok", "faults": faults})
        elif path == "/metrics":
            self._send(200, render(world).encode(), CONTENT_TYPE)
        elif path == "/config":
            config = world.config()
            self._json(200, config, etag=config["version"])
        elif path == "/config/schema":
            self._json(200, CONFIG_SCHEMA)
        elif path == "/requests":
            self._json(200, {"requests": self.server.ledger.requests()})
        elif path == "/config/history":
            self._json(200, {"versions": world.config_history()})
        elif path == "/events":
            self._json(200, {"events": world.events()})
        elif path.startswith("/events/"):
            self._json(200, world.event(path.removeprefix("/events/")))
        elif path == "/status":
            self._json(200, self.server.status())
        elif path == "/prometheus-rules.yml":
            self._send(200, prometheus_rules().encode(), "text/plain; charset=utf-8")
        else:
            self._entities(path)

    def _entities(self, path: str) -> None:
        """Players and villages as the portal's snapshots ask for them: a page as lines of JSON, or one."""
        kind, found, key = path.removeprefix("/").partition("/entities")
        if not found:
            raise WorldError(404, f"There is nothing at {path}.")
        if key:
            self._json(200, self.server.folk.one(kind, unquote(key.removeprefix("/"))))
            return
        asked = parse_qs(urlsplit(self.path).query)
        try:
            limit = int(asked.get("limit", ["100"])[0])
        except ValueError:
            raise WorldError(400, "`limit` must be a number.") from None
        rows, total = self.server.folk.page(kind, asked.get("after", [""])[0], limit)
        lines = b"".join(json.dumps(row).encode() + b"\n" for row in rows)
        self._send(200, lines, "application/x-ndjson", total=total)

    def _put(self, path: str, body: dict[str, Any]) -> Said:
        if "/entities/" in path:
            kind, _, key = path.removeprefix("/").partition("/entities/")
            folk = self.server.folk
            return Said(200, folk.put(kind, unquote(key), body.get("document"), expected_version=body.get("version")))
        if path == "/config":
            changed = self.server.world.put_config(
                body.get("document"),
                expected_version=self._expected_version(body),
                author=str(body.get("author") or "somebody"),
                note=str(body.get("note") or ""),
                percentage=body.get("percentage"),
            )
            return Said(200, changed, changed["version"])
        if path.startswith("/events/"):
            if not isinstance(body.get("active"), bool):
                raise WorldError(400, "Say whether the event is active: true or false.")
            return Said(200, self.server.world.set_event(path.removeprefix("/events/"), active=body["active"]))
        raise WorldError(404, f"There is nothing to put at {path}.")

    def _post(self, path: str, body: dict[str, Any]) -> Said:
        world = self.server.world
        if path == "/players/dupe":
            return Said(200, {"duped": self.server.folk.dupe()})
        if path == "/cache/invalidate":
            return Said(200, {"servers": world.invalidate_cache()})
        if path == "/server/reload":
            return Said(200, {"servers": world.reload()})
        if path.startswith("/events/"):
            return Said(200, self._post_event(path.removeprefix("/events/"), body))
        if path == "/heal":
            world.heal()
        elif path.startswith("/break/"):
            world.break_it(path.removeprefix("/break/"))
        else:
            raise WorldError(404, f"There is nothing to post to at {path}.")
        return Said(200, {"faults": world.faults()})

    def _post_event(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        slug, _, verb = path.partition("/")
        if verb == "submissions":
            return self.server.world.submit(slug)
        if verb not in {"pause", "resume"}:
            raise WorldError(404, f"There is nothing to post to at /events/{path}.")
        message = str(body.get("message") or "")
        return self.server.world.pause_event(slug, paused=verb == "pause", message=message)

    def _expected_version(self, body: dict[str, Any]) -> int:
        found: Any = body.get("version", (self.headers.get("If-Match") or "").strip('W/"'))
        try:
            return int(found)
        except (TypeError, ValueError):
            raise WorldError(428, "Say which version you change, as `version` or in If-Match.", version=None) from None

    # --- changes: each is written down, and one with an Idempotency-Key happens once -----------------------------

    def _change(self, path: str, handle: Callable[[str, dict[str, Any]], Said]) -> None:
        key = (self.headers.get("Idempotency-Key") or "").strip()
        if len(key) > LONGEST_KEY:
            raise WorldError(400, f"An Idempotency-Key has at most {LONGEST_KEY} characters.")
        raw = self._raw_body()
        said, repeated = self.server.ledger.once(
            Asked(self.command, path, key, raw), lambda: self._outcome(path, raw, handle)
        )
        if said.status >= http.HTTPStatus.BAD_REQUEST:
            self.close_connection = True
        self._json(said.status, said.body, etag=said.etag, repeated=repeated)

    def _outcome(self, path: str, raw: bytes, handle: Callable[[str, dict[str, Any]], Said]) -> Said:
        """What a change led to; a refusal is an answer too."""
        try:
            return handle(path, _parsed(raw))
        except WorldError as error:
            return Said(error.status, error.body)

    # --- plumbing ------------------------------------------------------------------------------------------------

    def _answer(self, handle: Any) -> None:
        try:
            self._refuse_strangers()
            handle(urlsplit(self.path).path)
        except WorldError as error:
            self.close_connection = True
            self._json(error.status, error.body)
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True

    def _refuse_strangers(self) -> None:
        """No page of another site may reach in, neither by a rebound name nor by a form."""
        host = urlsplit(f"//{self.headers.get('Host', '')}").hostname
        if host not in _LOCAL_NAMES:
            raise WorldError(403, "This world answers only to its loopback address.")
        origin = self.headers.get("Origin")
        if origin and urlsplit(origin).netloc != self.headers.get("Host"):
            raise WorldError(403, "Requests from other sites are refused.")

    def _raw_body(self) -> bytes:
        try:
            length = int(self.headers.get("Content-Length") or 0)
        except ValueError:
            raise WorldError(400, "Content-Length must be a number.") from None
        if not 0 <= length <= _MAX_BODY_BYTES:
            raise WorldError(413, "The body is over 64 KiB.")
        return self.rfile.read(length)

    def _json(self, status: int, body: dict[str, Any], *, etag: int | None = None, repeated: bool = False) -> None:
        self._send(status, json.dumps(body).encode(), "application/json", etag=etag, repeated=repeated)

    def _send(
        self,
        status: int,
        body: bytes,
        kind: str,
        *,
        etag: int | None = None,
        repeated: bool = False,
        total: int | None = None,
    ) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Cache-Control", "no-store")
        self.send_header("Content-Security-Policy", _POLICY)
        self.send_header("X-Content-Type-Options", "nosniff")
        if etag is not None:
            self.send_header("ETag", f'"{etag}"')
        if total is not None:
            self.send_header("X-Total-Count", str(total))
        if repeated:
            self.send_header("Idempotent-Replayed", "true")
        self.end_headers()
        self.wfile.write(body)


def _parsed(raw: bytes) -> dict[str, Any]:
    """A body as a JSON object; nothing is an empty one."""
    if not raw:
        return {}
    try:
        found = json.loads(raw)
    except (ValueError, RecursionError):
        raise WorldError(400, "The body is not valid JSON.") from None
    if not isinstance(found, dict):
        raise WorldError(400, "The body must be a JSON object.")
    return found
