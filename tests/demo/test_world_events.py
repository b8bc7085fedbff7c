"""Live events that the portal pauses: players are refused and read why."""

from __future__ import annotations

import json

from tests.demo.test_world_http import call, port, world
from tests.demo.test_world_keys import keyed

__all__ = ["port", "world"]
EVENT = "/events/storm-trails"


def test_a_paused_event_takes_nothing_and_says_why_until_it_is_resumed(port: int) -> None:
    assert call(port, "POST", f"{EVENT}/submissions") == (200, {"queue": 1})
    status, paused = call(port, "POST", f"{EVENT}/pause", {"message": "A moment, please."})
    assert (status, paused["state"], paused["changed"]) == (200, "paused", True)
    assert call(port, "POST", f"{EVENT}/submissions") == (423, {"error": "A moment, please."})
    assert call(port, "GET", "/status")[1]["events"]["storm-trails"]["message"] == "A moment, please."
    assert call(port, "POST", f"{EVENT}/resume", {"message": "Open again."})[1]["state"] == "active"
    assert call(port, "POST", f"{EVENT}/submissions") == (200, {"queue": 2})


def test_pausing_twice_changes_nothing_and_the_same_key_is_answered_the_same(port: int) -> None:
    first = keyed(port, "POST", f"{EVENT}/pause", {"message": "once"}, "k1")
    assert keyed(port, "POST", f"{EVENT}/pause", {"message": "once"}, "k1")[:2] == first[:2]
    _, again, _ = keyed(port, "POST", f"{EVENT}/pause", {"message": "twice"}, "k2")
    assert (again["changed"], again["message"]) == (False, "once")


def test_what_does_not_run_can_not_be_paused_and_what_is_unknown_is_not_found(port: int) -> None:
    assert call(port, "GET", "/events/world-boss")[1]["state"] == "idle"
    assert call(port, "POST", "/events/world-boss/pause", {})[0] == 409
    assert call(port, "GET", "/events/nothing")[0] == 404
    assert call(port, "POST", f"{EVENT}/explode", {})[0] == 404


def test_a_paused_boss_is_no_load_and_healing_lets_events_go_on(port: int) -> None:
    call(port, "POST", "/break/event-overload")
    call(port, "POST", "/events/world-boss/pause", {"message": "The boss sleeps."})
    assert call(port, "GET", "/health")[0] == 200
    call(port, "POST", f"{EVENT}/pause", {})
    call(port, "POST", "/heal")
    assert json.dumps(call(port, "GET", EVENT)[1]).count("active") == 1
