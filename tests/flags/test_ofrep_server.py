"""Over real sockets: granian as in production, ASGI and WSGI, and the official OpenFeature provider."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from openfeature import api
from openfeature.contrib.provider.ofrep import OFREPProvider
from openfeature.evaluation_context import EvaluationContext
from openfeature.exception import ErrorCode

from apps.flags.models import Flag
from apps.flags.operations import bring_back, kill
from apps.foundation.clock import now
from apps.people.models import ApiToken
from apps.people.operations import revoke_token
from tests.flags.serving import FLAGS, SERVERS, Server, Wire, database_url, serving
from tests.flags.world import SYSTEM, WITHIN_SECONDS, World, db, seconds_until, world

__all__ = ["db", "world"]

pytestmark = pytest.mark.usefixtures("db")


@pytest.fixture(scope="module", params=sorted(SERVERS))
def pair(request: Any, world: World) -> Iterator[list[Server]]:
    """Two web processes."""
    with serving(request.param, 2) as servers:
        yield servers


@pytest.fixture
def server(pair: list[Server]) -> Server:
    return pair[0]


def client_of(server: Server, token: str, **headers: str) -> Any:
    """The official provider, as a program uses it."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    provider = OFREPProvider(server.url, headers_factory=lambda: {"Authorization": f"Bearer {token}", **named})
    api.set_provider(provider, domain="test")
    return api.get_client(domain="test")


# --- the official provider ------------------------------------------------------------------------------------------


def test_the_official_client_gets_every_type_by_rules_and_splits(server: Server, world: World) -> None:
    client, ann = client_of(server, world.token), EvaluationContext("ann", {"plan": "pro"})
    assert client.get_string_details("colour", "none", ann).value == "#f00"
    assert client.get_string_details("colour", "none", EvaluationContext("ben")).value == "#00f"
    assert client.get_integer_details("limit", 1).value == 25
    assert client.get_float_details("ratio", 1.0).value == 0.5
    assert client.get_object_details("theme", {}).value == {"dark": True, "sizes": [1, 2]}
    split = [client.get_boolean_details("split", default, ann) for default in (True, False)]
    assert (split[0].value, split[0].reason) == (split[1].value, "SPLIT")
    nobody = client.get_boolean_details("split", default_value=True)
    assert (nobody.value, nobody.error_code) == (True, ErrorCode.TARGETING_KEY_MISSING)
    assert client.get_boolean_details("colour", default_value=True).error_code == ErrorCode.TYPE_MISMATCH


def test_the_official_client_gets_true_and_false(server: Server, world: World) -> None:
    client = client_of(server, world.token)
    on, killed = (
        client.get_boolean_details("on", default_value=False),
        client.get_boolean_details("killed", default_value=True),
    )
    assert (on.value, on.reason, on.variant, on.error_code) == (True, "STATIC", "on", None)
    assert (killed.value, killed.variant, killed.flag_metadata["state"]) == (False, "off", "killed")


@pytest.mark.parametrize("default", [True, False])
def test_a_disabled_flag_leaves_the_official_client_its_default(server: Server, world: World, default: bool) -> None:
    found = client_of(server, world.token).get_boolean_details("disabled", default)
    assert (found.value, found.reason, found.error_code) == (default, "DISABLED", None)


@pytest.mark.parametrize("default", [True, False])
def test_an_unknown_flag_is_an_error_and_the_default(server: Server, world: World, default: bool) -> None:
    found = client_of(server, world.token).get_boolean_details("nope", default)
    assert (found.value, found.error_code) == (default, ErrorCode.FLAG_NOT_FOUND)


def test_a_wrong_token_is_an_error_and_the_default(server: Server, world: World) -> None:
    unknown, scopeless = "ptk_" + "x" * 40, world.new_token("catalog:read")[1]
    for text, said in ((unknown, "unauthorized"), (scopeless, "forbidden")):
        found = client_of(server, text).get_boolean_details("on", default_value=False)
        assert (found.value, found.error_code, found.error_message) == (False, ErrorCode.GENERAL, said)


def test_a_context_and_an_environment_go_along(server: Server, world: World) -> None:
    context = EvaluationContext("user-1", {"plan": "pro", "groups": ["a", "b"]})
    assert (
        client_of(server, world.token).get_boolean_value("killed", default_value=True, evaluation_context=context)
        is False
    )
    assert (
        client_of(server, world.token, X_Environment="staging").get_boolean_value(
            "killed", default_value=False, evaluation_context=context
        )
        is True
    )


def test_a_kill_is_seen_by_the_official_client_and_taken_back(server: Server, world: World) -> None:
    client = client_of(server, world.token)
    for verb, value in ((kill, False), (bring_back, True)):
        world.do(verb, "switched")
        assert seconds_until(lambda: client.get_boolean_value("switched", not value) is value) < WITHIN_SECONDS  # noqa: B023  # used at once


# --- by hand --------------------------------------------------------------------------------------------------------


def test_a_kill_is_seen_in_each_process_within_two_seconds(pair: list[Server], world: World) -> None:
    for verb, value in ((kill, False), (bring_back, True)):
        assert [server.value("switched", world.token) for server in pair] == [not value] * 2
        world.do(verb, "switched")
        start = time.monotonic()
        for server in pair:
            seconds_until(lambda: server.value("switched", world.token) is value)  # noqa: B023  # used at once
        assert time.monotonic() - start < WITHIN_SECONDS


def test_all_flags_come_with_a_tag_and_are_a_304_until_one_changes(server: Server, world: World) -> None:
    status, headers, content = server.send(Authorization=f"Bearer {world.token}")
    values = {flag["key"]: flag.get("value", "none") for flag in content["flags"]}
    assert (status, values["on"], values["killed"], values["disabled"]) == (200, True, False, "none")
    again = server.send(Authorization=f"Bearer {world.token}", If_None_Match=headers["etag"])
    assert (again[0], again[1]["etag"], again[2]) == (304, headers["etag"], None)
    world.do(kill, "switched")
    seconds_until(lambda: server.send(X_API_Key=world.token, If_None_Match=headers["etag"])[0] == 200, WITHIN_SECONDS)
    world.do(bring_back, "switched")
    seconds_until(lambda: server.value("switched", world.token) is True, WITHIN_SECONDS)


def test_a_revoked_token_opens_nothing_within_two_seconds(pair: list[Server], world: World) -> None:
    row, text = world.new_token("flags:read")
    assert [server.value("on", text) for server in pair] == [True, True]
    with world.blocker.unblock():
        revoke_token(row.pk, actor=SYSTEM)
    took = [seconds_until(lambda: server.value("on", text) == 401) for server in pair]  # noqa: B023  # used at once
    assert sum(took) < WITHIN_SECONDS


def test_a_token_opens_nothing_before_it_exists_after_it_expires_and_without_its_scope(
    server: Server, world: World
) -> None:
    _, everything = world.new_token("*")
    _, writing = world.new_token("flags:write")
    _, other = world.new_token("catalog:write")
    _, short = world.new_token("flags:read", expires_at=now() + timedelta(seconds=1.5))
    assert [server.value("on", text) for text in (everything, writing, other, short)] == [True, True, 403, True]
    seconds_until(lambda: server.value("on", short) == 401, 3)
    assert server.value("on", "ptk_nobody") == 401


def test_the_use_of_a_token_is_noted(server: Server, world: World) -> None:
    row, text = world.new_token("flags:read")
    assert server.value("on", text) is True
    time.sleep(1.2)
    with world.blocker.unblock():
        assert ApiToken.objects.get(pk=row.pk).last_used_at is not None


@pytest.mark.parametrize(
    ("path", "status"),
    [
        (f"{FLAGS}/dotted.key-1_x", 200),
        (f"{FLAGS}/dotted%2Ekey%2D1_x", 200),
        (f"{FLAGS}/a%2Fb", 404),
        (f"{FLAGS}/%00", 404),
        (f"{FLAGS}/%C3%A4", 404),
        (f"{FLAGS}/" + "x" * 3000, 404),
        (f"{FLAGS}/", 404),
        ("/ofrep/v1/evaluate/flag", 404),
        ("/ofrep/", 404),
    ],
)
def test_keys_are_percent_decoded(server: Server, world: World, path: str, status: int) -> None:
    found = server.send(path, X_API_Key=world.token)
    assert (found[0], found[1]["content-type"]) == (status, "application/json")


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"\xff", b'{"context":{"a":"\\u0000"}}', b"[" * 60_000])
def test_bad_bodies_are_a_400_that_says_why(server: Server, world: World, body: bytes) -> None:
    for path in (FLAGS, f"{FLAGS}/on"):
        status, headers, content = server.send(path, body, X_API_Key=world.token)
        assert (status, headers["content-type"], content["errorCode"]) == (400, "application/json", "PARSE_ERROR")


def test_the_token_comes_before_the_body_and_its_size(server: Server, world: World) -> None:
    assert server.send(f"{FLAGS}/on", b"{")[0] == 401
    assert server.send(f"{FLAGS}/on", b" " * 100_000, X_API_Key=world.token)[0] == 413
    chunks = (b" " * 8192 for _ in range(16))
    assert server.send(FLAGS, chunks, X_API_Key=world.token, Transfer_Encoding="chunked")[0] == 413
    status, headers, _ = server.send(FLAGS)
    assert (status, headers["www-authenticate"]) == (401, 'Bearer realm="incident portal"')


def test_an_unknown_environment_is_a_400_that_names_the_known_ones(server: Server, world: World) -> None:
    status, _, content = server.send(X_API_Key=world.token, X_Environment="mars")
    assert (status, "production, staging" in content["errorDetails"]) == (400, True)


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "PATCH", "DELETE"])
def test_other_methods_are_a_405_with_allow(server: Server, method: str) -> None:
    for path in (FLAGS, f"{FLAGS}/on"):
        status, headers, _ = server.send(path, method=method)
        assert (status, headers["allow"]) == (405, "POST, OPTIONS")


def test_options_tell_what_is_allowed(server: Server) -> None:
    status, headers, content = server.send(method="OPTIONS")
    assert (status, headers["allow"], content) == (204, "POST, OPTIONS", None)


# --- without a database ---------------------------------------------------------------------------------------------


@pytest.fixture
def wire() -> Iterator[Wire]:
    made = Wire()
    yield made
    made.cut()


@pytest.mark.postgres
@pytest.mark.parametrize("interface", sorted(SERVERS))
def test_a_killed_database_keeps_answers_coming(world: World, wire: Wire, interface: str) -> None:
    with serving(interface, url=database_url(wire.port)) as (server,):
        assert server.value("on", world.token) is True
        wire.cut()
        until, slowest = time.monotonic() + 4, 0.0
        while (start := time.monotonic()) < until:
            assert (server.value("on", world.token), server.value("killed", world.token)) == (True, False)
            slowest = max(slowest, time.monotonic() - start)
        assert slowest < 2
        assert server.value("on", "ptk_" + "y" * 40) == 503
        wire.mend()
        world.do(kill, "switched")
        seconds_until(lambda: server.value("switched", world.token) is False, 15)
        world.do(bring_back, "switched")
        assert server.stop() == 0


@pytest.mark.postgres
def test_a_silent_database_keeps_answers_coming(world: World, wire: Wire) -> None:
    with serving("asgi", url=database_url(wire.port)) as (server,):
        assert server.value("on", world.token) is True
        wire.fall_silent()
        for _ in range(20):
            start = time.monotonic()
            assert server.value("on", world.token) is True
            assert time.monotonic() - start < 2
            time.sleep(0.1)
        wire.mend()


def test_nothing_is_left_behind(world: World) -> None:
    with world.blocker.unblock():
        assert dict(Flag.objects.filter(key="switched").values_list("key", "state")) == {"switched": "on"}
