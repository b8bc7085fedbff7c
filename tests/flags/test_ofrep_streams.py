"""Event streams and CORS of OFREP, over real sockets: what 0.3.0 says of them, word by word."""

from __future__ import annotations

import http.client
import json
import time
from collections.abc import Iterator
from typing import Any

import pytest

from apps.flags.ofrep.core import Head, Target, knows_newer, locate, respond
from apps.flags.ofrep.cors import allowing, preflight
from apps.flags.ofrep.offers import Ticket, address_of, ticket_of
from apps.flags.operations import bring_back, kill
from apps.people.operations import revoke_token
from tests.flags.serving import FLAGS, Server, serving
from tests.flags.test_ofrep_core import GOOD, SNAPSHOT
from tests.flags.world import SYSTEM, WITHIN_SECONDS, World, db, seconds_until, world

__all__ = ["db", "world"]
SHOP = "https://shop.example.com"


class Stream:
    """One connection as a browser opens it; `next` waits for an event."""

    def __init__(self, server: Server, path: str, **headers: str) -> None:
        self.wire = http.client.HTTPConnection("127.0.0.1", server.port, timeout=5)
        self.wire.request("GET", path, headers={name.replace("_", "-"): value for name, value in headers.items()})
        self.answer = self.wire.getresponse()

    def next(self) -> dict[str, str]:
        found: dict[str, str] = {}
        while line := self.answer.readline().decode():
            name, _, value = line.rstrip("\n").partition(": ")
            if not line.strip() and "data" in found:
                return found
            found[name] = value
        return found

    def close(self) -> None:
        self.answer.close()
        self.wire.close()


@pytest.fixture(scope="module")
def pair(world: World) -> Iterator[list[Server]]:
    """Two processes without Redis."""
    with serving("asgi", 2, FLAG_ORIGINS=SHOP, REDIS_URL="") as servers:
        yield servers


def offered(server: Server, token: str) -> tuple[str, str]:
    _, headers, content = server.send(X_API_Key=token)
    (entry,) = content["eventStreams"]
    assert (entry["type"], entry["inactivityDelaySec"], list(entry["endpoint"])) == ("sse", 120, ["requestUri"])
    return entry["endpoint"]["requestUri"], headers["etag"]


@pytest.mark.usefixtures("db")
def test_a_kill_is_told_and_the_other_process_knows_of_it_when_it_is_asked(pair: list[Server], world: World) -> None:
    path, etag = offered(pair[0], world.token)
    assert offered(pair[1], world.token)[0] == path
    before = Stream(pair[0], path, Last_Event_ID="0-x").next()
    stream = Stream(pair[0], path, Last_Event_ID=before["id"])
    start = time.monotonic()
    world.do(kill, "switched")
    event = stream.next()
    assert time.monotonic() - start < WITHIN_SECONDS
    data = json.loads(event["data"])
    assert (event["event"], data["type"], data["etag"], type(data["lastModified"])) == (
        *("message", "refetchEvaluation", event["id"]),
        int,
    )
    again = pair[1].send(f"{FLAGS}?flagConfigEtag={data['etag']}", X_API_Key=world.token, If_None_Match=etag)
    assert again[0] == 200
    assert {flag["key"]: flag.get("value") for flag in again[2]["flags"]}["switched"] is False
    stream.close()
    world.do(bring_back, "switched")
    seconds_until(lambda: pair[0].value("switched", world.token) is True)


@pytest.mark.usefixtures("db")
def test_a_stream_ends_with_its_token_and_a_false_address_opens_none(pair: list[Server], world: World) -> None:
    row, text = world.new_token("flags:read")
    path, _ = offered(pair[0], text)
    stream = Stream(pair[0], path, Origin=SHOP)
    told = dict(stream.answer.getheaders())
    assert (stream.answer.status, told["access-control-allow-origin"]) == (200, SHOP)
    assert told["content-type"].startswith("text/event-stream")
    with world.blocker.unblock():
        revoke_token(row.pk, actor=SYSTEM)
    start = time.monotonic()
    while stream.answer.readline():
        pass
    assert time.monotonic() - start < WITHIN_SECONDS
    stream.close()
    statuses = [Stream(pair[0], each).answer.status for each in (path, path[:-1] + "x", "/events/flags/production")]
    assert statuses == [401, 404, 404]
    assert pair[0].send(path)[0] == 405


@pytest.mark.usefixtures("db")
def test_a_browser_may_ask_from_an_allowed_origin_only(pair: list[Server], world: World) -> None:
    asked = {"Access_Control_Request_Method": "POST", "Access_Control_Request_Headers": "authorization"}
    status, headers, _ = pair[0].send(method="OPTIONS", body=None, Origin=SHOP, **asked)
    assert (status, headers["access-control-allow-origin"], headers["access-control-allow-methods"]) == (
        204,
        SHOP,
        "POST",
    )
    assert "if-none-match" in headers["access-control-allow-headers"].lower()
    for token, expected in ((world.token, 200), ("ptk_wrong", 401)):
        status, headers, _ = pair[0].send(Origin=SHOP, X_API_Key=token)
        assert (status, headers["access-control-allow-origin"], headers["vary"]) == (expected, SHOP, "Origin")
        assert "access-control-allow-credentials" not in headers
    for method in ("OPTIONS", "POST"):
        found = pair[0].send(method=method, Origin="https://evil.example.com", X_API_Key=world.token)[1]
        assert not any(name.startswith("access-control") for name in found)


@pytest.mark.usefixtures("db")
def test_open_streams_let_a_server_stop(world: World) -> None:
    with serving("asgi", 1) as (server,):
        streams = [Stream(server, offered(server, world.token)[0]) for _ in range(3)]
        start = time.monotonic()
        assert server.stop() == 0
        assert time.monotonic() - start < 5
        for stream in streams:
            stream.close()


def test_an_address_is_for_one_token_and_one_environment() -> None:
    ticket = Ticket(7, "production")
    path = address_of(ticket)
    assert (ticket_of(path), ticket_of(f"{path}/"), address_of(ticket)) == (ticket, ticket, path)
    for false in (path.replace("ofs_7", "ofs_8"), path.replace("production", "staging"), path[:-1]):
        assert ticket_of(false) is None


def test_a_newer_revision_is_known_by_the_tag_of_an_event() -> None:
    queries = ["", "flagConfigEtag=8-abc", "flagConfigEtag=7-abc", "flagConfigEtag=x", "flagConfigEtag=" + "9" * 40]
    assert [knows_newer(Head(query=query), SNAPSHOT) for query in queries] == [False, True, False, False, False]


def test_the_streams_of_all_flags_are_the_tokens_own_and_not_part_of_their_tag() -> None:
    one, other = (respond(Target(None), Head(), GOOD, SNAPSHOT, token_id) for token_id in (1, 2))
    assert (one.body != other.body, dict(one.headers)["ETag"]) == (True, dict(other.headers)["ETag"])
    single: Any = respond(Target("a.on"), Head(), GOOD, SNAPSHOT, 1)
    assert b"eventStreams" not in single.body


def test_any_origin_may_be_allowed_but_never_with_credentials() -> None:
    assert dict(allowing(SHOP, allowed=["*"]))["Access-Control-Allow-Origin"] == "*"
    assert allowing("null", allowed=[SHOP]) == preflight("null", allowed=[]) == (("Vary", "Origin"),)
    assert not [name for name, _ in preflight(SHOP, allowed=["*"]) if "Credentials" in name]
    assert locate("OPTIONS", FLAGS) == locate("OPTIONS", f"{FLAGS}/x")
