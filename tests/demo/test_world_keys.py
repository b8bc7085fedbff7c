"""What a rollback asks of the world, and that a repeated key happens once."""

from __future__ import annotations

import http.client
import json
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from apps.demo.world.game import HEALTHY_CONFIG, World
from apps.demo.world.ledger import KEPT_REQUESTS, Asked, Ledger, Said
from apps.demo.world.schema import CONFIG_SCHEMA
from tests.demo.test_world_http import call, port, world

__all__ = ["port", "world"]


def keyed(port: int, method: str, path: str, body: Any, key: str) -> tuple[int, Any, str | None]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    connection.request(method, path, json.dumps(body), {"Idempotency-Key": key})
    answer = connection.getresponse()
    found = json.loads(answer.read())
    connection.close()
    return answer.status, found, answer.headers["Idempotent-Replayed"]


@pytest.mark.parametrize(
    ("path", "count"), [("/cache/invalidate", "cache_invalidations"), ("/server/reload", "reloads")]
)
def test_a_repeated_key_changes_nothing_and_is_answered_the_same(port: int, path: str, count: str) -> None:
    first = keyed(port, "POST", path, {"reason": "rollback"}, "k1")
    again = keyed(port, "POST", path, {"reason": "rollback"}, "k1")
    assert (first[:2], again[2]) == (again[:2], "true")
    assert call(port, "GET", "/status")[1]["servers"][count] == 1
    assert keyed(port, "POST", path, {}, "k2")[1]["servers"][count] == 2


def test_a_config_is_put_once_for_a_key(port: int) -> None:
    body = {"version": 1, "document": {**HEALTHY_CONFIG, "message_of_the_day": "Hello"}, "author": "portal"}
    first = keyed(port, "PUT", "/config", body, "k1")
    assert (first[0], first[1]["version"]) == (200, 2)
    assert keyed(port, "PUT", "/config", body, "k1")[:2] == first[:2]
    assert call(port, "GET", "/config")[1]["version"] == 2


def test_a_refused_change_may_be_tried_again_under_its_key(port: int) -> None:
    document = {**HEALTHY_CONFIG, "message_of_the_day": "Hello"}
    assert keyed(port, "PUT", "/config", {"version": 9, "document": document}, "k1")[0] == 409
    assert keyed(port, "PUT", "/config", {"version": 1, "document": document}, "k1")[0] == 200


def test_a_key_that_comes_with_another_request_is_refused(port: int) -> None:
    keyed(port, "POST", "/server/reload", {}, "k1")
    assert keyed(port, "POST", "/cache/invalidate", {}, "k1")[0] == 422
    assert call(port, "GET", "/status")[1]["servers"]["cache_invalidations"] == 0
    assert keyed(port, "POST", "/server/reload", {}, "k" * 201)[0] == 400


def test_the_changing_requests_are_listed_with_their_keys_and_reads_are_not(port: int) -> None:
    call(port, "GET", "/config")
    keyed(port, "POST", "/server/reload", {}, "k1")
    keyed(port, "POST", "/server/reload", {}, "k1")
    call(port, "POST", "/break/nonsense")
    found = call(port, "GET", "/requests")[1]["requests"]
    assert [(entry["path"], entry["idempotency_key"], entry["status"], entry["repeated"]) for entry in found] == [
        ("/server/reload", "k1", 200, False),
        ("/server/reload", "k1", 200, True),
        ("/break/nonsense", "", 404, False),
    ]


def test_two_at_once_with_one_key_have_one_effect(port: int) -> None:
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: keyed(port, "POST", "/server/reload", {}, "k1")[:2], range(8)))
    assert all(answer == answers[0] for answer in answers)
    assert call(port, "GET", "/status")[1]["servers"]["reloads"] == 1


def test_the_list_is_bounded() -> None:
    ledger, gate = Ledger(lambda: "now"), threading.Lock()
    for number in range(KEPT_REQUESTS + 50):
        with gate:
            ledger.once(Asked("POST", "/x", f"k{number}", b""), lambda: Said(200, {}))
    assert len(ledger.requests()) == KEPT_REQUESTS


def test_the_schema_describes_the_healthy_config_and_not_the_bad_one(port: int, world: World) -> None:
    schema = call(port, "GET", "/config/schema")[1]
    assert schema == CONFIG_SCHEMA
    validator = Draft202012Validator(schema)
    assert validator.is_valid(world.config()["document"])
    world.break_it("bad-config")
    assert [error.json_path for error in validator.iter_errors(world.config()["document"])] == ["$.economy.drop_rate"]


def test_a_world_that_was_saved_before_knows_its_servers_too(tmp_path: Any) -> None:
    path = tmp_path / "world.json"
    saved = World(path)
    saved.reload()
    state = json.loads(path.read_text())
    assert World(path).servers()["reloads"] == 1
    del state["servers"]
    path.write_text(json.dumps(state))
    assert World(path).servers()["reloads"] == 0
