"""The world asks for its kill switches by OFREP, and obeys them."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from apps.demo.world.game import World
from apps.demo.world.metrics import render
from apps.demo.world.rules import RULES
from apps.demo.world.switches import SWITCHES, Switches
from tests.demo.test_world_http import call, port

__all__ = ["port"]


class Portal(ThreadingHTTPServer):
    """Answers as the portal's OFREP does; `asked` keeps the headers of each question."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.values: dict[str, Any] = dict.fromkeys(SWITCHES, True)
        self.asked: list[dict[str, str]] = []
        self.status = 200


class _Handler(BaseHTTPRequestHandler):
    server: Portal

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  # the base class names it so
        pass

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.server.asked.append(dict(self.headers))
        flags = [{"key": key} | ({} if on is None else {"value": on}) for key, on in self.server.values.items()]
        tag = f'"{sorted(self.server.values.items())!r}"'
        known = self.headers.get("If-None-Match") == tag
        body = b"" if known else json.dumps({"flags": flags}).encode()
        self.send_response(304 if known else self.server.status)
        self.send_header("ETag", tag)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


@pytest.fixture
def portal(tmp_path: Path) -> Iterator[Portal]:
    server = Portal()
    told = {
        "flags_url": f"http://127.0.0.1:{server.server_port}/ofrep/v1/evaluate/flags",
        "flags_token": "ptk_x",
        "environment": "production",
    }
    (tmp_path / "portal.json").write_text(json.dumps(told), encoding="utf-8")
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path / "world.json")


@pytest.fixture
def switches(world: World, tmp_path: Path) -> Switches:
    return Switches(world, portal_file=tmp_path / "portal.json")


def test_it_asks_as_a_client_and_once_more_only_for_what_changed(portal: Portal, switches: Switches) -> None:
    switches.look()
    switches.look()
    assert portal.asked[0]["Authorization"] == "Bearer ptk_x"
    assert portal.asked[0]["X-Environment"] == "production"
    assert "If-None-Match" in portal.asked[1]
    assert switches.problem == ""


def test_a_killed_checkout_closes_the_shop_until_it_is_brought_back(
    portal: Portal, world: World, switches: Switches
) -> None:
    world.break_it("payment-outage")
    assert world.signals().payment_failure_ratio > 0.8
    portal.values["payments.checkout"] = False
    switches.look()
    assert (world.signals().payments_per_second, world.signals().payment_failure_ratio) == (0.0, 0.0)
    assert not [rule.name for rule in RULES if rule.fires(world.signals())]
    assert 'world_flag_on{flag="payments.checkout"} 0' in render(world)
    portal.values["payments.checkout"] = True
    switches.look()
    assert world.signals().payments_per_second > 0


def test_a_killed_boss_leaves_though_he_was_started(portal: Portal, world: World, switches: Switches) -> None:
    world.break_it("event-overload")
    portal.values["events.world-boss"] = False
    switches.look()
    assert (world.faults(), world.events()["world-boss"]["active"]) == ([], True)


def test_without_fights_there_are_fewer_requests(world: World) -> None:
    before = world.signals()
    world.obey(["combat.attacks"])
    after = world.signals()
    ratio = (after.requests_per_second / after.players_online) / (before.requests_per_second / before.players_online)
    assert ratio == pytest.approx(2 / 3, rel=0.01)


def test_a_disabled_flag_is_the_games_own_default(portal: Portal, world: World, switches: Switches) -> None:
    portal.values["payments.checkout"] = None
    switches.look()
    assert world.killed() == frozenset()


def test_a_portal_that_is_gone_or_refuses_changes_nothing(portal: Portal, world: World, switches: Switches) -> None:
    portal.values["payments.checkout"] = False
    switches.look()
    portal.status, portal.values["diplomacy.treaties"] = 401, False
    switches.look()
    assert "401" in switches.problem
    portal.shutdown()
    portal.server_close()
    switches.look()
    assert "does not answer" in switches.problem
    assert world.killed() == {"payments.checkout"}


def test_the_page_is_told_of_each_switch(port: int, world: World) -> None:
    world.obey(["payments.checkout"])
    shown = call(port, "GET", "/status")[1]
    assert shown["switches"]["flags"]["payments.checkout"]["on"] is False
    assert shown["switches"]["flags"]["combat.attacks"]["on"] is True
    assert shown["signals"]["purchases_per_minute"] == 0
