"""The world over real HTTP, and its watcher against a real socket."""

from __future__ import annotations

import http.client
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from apps.demo.world.game import World
from apps.demo.world.server import WorldServer
from apps.demo.world.switches import Switches
from apps.demo.world.watcher import Watcher


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path / "world.json")


@pytest.fixture
def port(world: World, tmp_path: Path) -> Iterator[int]:
    watcher = make_watcher(world, tmp_path, Ticking())
    switches = Switches(world, portal_file=tmp_path / "portal.json")
    server = WorldServer(0, world, watcher=watcher, switches=switches, portal_url="http://127.0.0.1:8000")
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
    yield server.server_port
    server.shutdown()
    server.server_close()


def call(port: int, method: str, path: str, body: Any = None, **headers: str) -> tuple[int, Any]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    raw = body if isinstance(body, bytes) else json.dumps(body).encode() if body is not None else None
    connection.request(method, path, raw, headers)
    answer = connection.getresponse()
    text = answer.read().decode()
    connection.close()
    return answer.status, json.loads(text) if "json" in answer.headers["Content-Type"] else text


def test_health_says_what_is_broken(port: int) -> None:
    assert call(port, "GET", "/health") == (200, {"status": "ok", "faults": []})
    call(port, "POST", "/break/payment-outage")
    assert call(port, "GET", "/health") == (503, {"status": "broken", "faults": ["payment-outage"]})
    call(port, "POST", "/heal")
    assert call(port, "GET", "/health")[0] == 200


def test_the_page_its_files_and_the_rules_are_served(port: int) -> None:
    for path in ("/", "/style.css", "/app.js", "/prometheus-rules.yml", "/metrics"):
        status, text = call(port, "GET", path)
        assert status == 200
        assert text


def test_a_config_put_needs_the_current_version(port: int) -> None:
    document = call(port, "GET", "/config")[1]["document"]
    assert call(port, "PUT", "/config", {"document": document})[0] == 428
    assert call(port, "PUT", "/config", {"document": document, "version": 7})[0] == 409
    document["economy"]["drop_rate"] = 0.06
    status, changed = call(port, "PUT", "/config", {"document": document}, **{"If-Match": '"1"'})
    assert (status, changed["version"]) == (200, 2)


@pytest.mark.parametrize("body", [b"{", b"[]", b"[" * 40_000, b'{"version": 1, "document": {"economy": 3}}', b"\x00"])
def test_bad_config_bodies_are_refused_with_a_reason(port: int, body: bytes) -> None:
    status, answer = call(port, "PUT", "/config", body)
    assert status == 400
    assert answer["error"]


def test_other_sites_and_rebound_names_are_refused(port: int) -> None:
    assert call(port, "POST", "/break/bad-config", Origin="https://evil.example")[0] == 403
    assert call(port, "GET", "/status", Host="evil.example")[0] == 403
    assert (
        call(port, "POST", "/break/bad-config", Origin=f"http://127.0.0.1:{port}", Host=f"127.0.0.1:{port}")[0] == 200
    )


class Inbox:
    """A portal's intake on a real socket, which can be told to fail."""

    def __init__(self) -> None:
        self.bodies: list[tuple[str, dict[str, Any]]] = []
        self.status = 202
        inbox = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                if inbox.status == 202:
                    inbox.bodies.append((self.path, body))
                self.send_response(inbox.status)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *args: Any) -> None:
                """Quiet."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()


@pytest.fixture
def inbox() -> Iterator[Inbox]:
    made = Inbox()
    yield made
    made.server.shutdown()
    made.server.server_close()


class Ticking:
    def __init__(self) -> None:
        self.at = 1_800_000_000.0

    def __call__(self) -> float:
        return self.at


@pytest.fixture
def clock() -> Ticking:
    return Ticking()


@pytest.fixture
def watcher(world: World, inbox: Inbox, tmp_path: Path, clock: Ticking) -> Watcher:
    url = f"http://127.0.0.1:{inbox.server.server_port}/in"
    targets = {"alertmanager_url": f"{url}/alertmanager/k/", "change_url": f"{url}/change/k/"}
    (tmp_path / "portal.json").write_text(json.dumps(targets), encoding="utf-8")
    return make_watcher(world, tmp_path, clock)


def make_watcher(world: World, folder: Path, clock: Ticking, *, tells_alerts: bool = True) -> Watcher:
    return Watcher(
        world,
        portal_file=folder / "portal.json",
        state_file=folder / "watcher.json",
        instance="127.0.0.1:8900",
        clock=clock,
        tells_alerts=tells_alerts,
    )


def test_the_watcher_fires_repeats_and_resolves_as_alertmanager_does(
    watcher: Watcher, world: World, inbox: Inbox, clock: Ticking
) -> None:
    watcher.look()
    world.break_it("payment-outage")
    for _ in range(45):
        watcher.look()
        clock.at += 1
    world.heal()
    watcher.look()
    watcher.look()
    sent = [body for path, body in inbox.bodies if "alertmanager" in path]
    assert [body["status"] for body in sent] == ["firing", "firing", "resolved"]
    assert len({body["alerts"][0]["fingerprint"] for body in sent}) == 1
    assert len({body["alerts"][0]["startsAt"] for body in sent}) == 1
    assert sent[-1]["alerts"][0]["endsAt"] > sent[-1]["alerts"][0]["startsAt"]


def test_config_changes_are_told_once_each_and_in_order(watcher: Watcher, world: World, inbox: Inbox) -> None:
    world.break_it("bad-config")
    world.heal()
    watcher.look()
    watcher.look()
    assert [body["version"] for path, body in inbox.bodies if "change" in path] == ["2", "3"]


def test_beside_an_alertmanager_it_tells_of_changes_only(
    watcher: Watcher, world: World, inbox: Inbox, tmp_path: Path, clock: Ticking
) -> None:
    world.break_it("bad-config")
    make_watcher(world, tmp_path, clock, tells_alerts=False).look()
    assert [path.split("/")[2] for path, _ in inbox.bodies] == ["change"]


def test_what_a_dead_portal_missed_is_delivered_after_a_restart(
    watcher: Watcher, world: World, inbox: Inbox, clock: Ticking, tmp_path: Path
) -> None:
    inbox.status = 503
    world.break_it("bad-config")
    watcher.look()
    world.heal()
    clock.at += 60
    watcher.look()
    assert "503" in watcher.problem
    inbox.status = 202
    make_watcher(world, tmp_path, clock).look()
    assert [body["status"] for path, body in inbox.bodies if "alertmanager" in path] == ["resolved"]
    assert len([path for path, _ in inbox.bodies if "change" in path]) == 2
