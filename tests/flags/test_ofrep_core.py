"""What is answered, without a server and without a database."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from apps.flags.ofrep.core import MAX_BYTES, Answer, Head, Target, admit, credential, locate, refuse_head, respond
from apps.flags.ofrep.storage import Known
from apps.flags.snapshot import Row, Snapshot

SNAPSHOT = Snapshot(
    7,
    ["production", "staging"],
    [
        Row("production", "a.on", "on", 1),
        Row("production", "b.killed", "killed", 4),
        Row("production", "c.disabled", "disabled", 2),
        Row("staging", "b.killed", "on", 1),
    ],
)
GOOD = b'{"context":{"targetingKey":"user-1","plan":"pro"}}'


def asked(key: str | None, body: bytes = GOOD, **head: str) -> tuple[int, Any]:
    answer = respond(Target(key), Head(**head), body, SNAPSHOT)
    return answer.status, orjson.loads(answer.body) if answer.body else None


def test_a_flag_answers_true_until_it_is_killed() -> None:
    metadata = {"environment": "production", "version": 1, "state": "on", "kind": "kill_switch"}
    on = {"key": "a.on", "value": True, "reason": "STATIC", "variant": "on", "metadata": metadata}
    assert asked("a.on") == (200, on)
    status, killed = asked("b.killed")
    assert (status, killed["value"], killed["reason"], killed["variant"]) == (200, False, "STATIC", "off")


def test_a_disabled_flag_has_no_value_so_that_callers_use_their_own() -> None:
    status, found = asked("c.disabled")
    assert (status, found["reason"], found["variant"], "value" in found) == (200, "DISABLED", "disabled", False)


def test_an_unknown_flag_is_a_404_that_names_it() -> None:
    status, found = asked("nope")
    assert (status, found["errorCode"], found["key"]) == (404, "FLAG_NOT_FOUND", "nope")


def test_environments_answer_for_themselves_and_unknown_ones_are_named() -> None:
    assert asked("b.killed", environment="staging")[1]["value"] is True
    status, found = asked("b.killed", environment="nowhere")
    assert (status, found["errorCode"]) == (400, "GENERAL")
    assert "Known: production, staging" in found["errorDetails"]


def test_a_portal_without_environments_knows_no_flag() -> None:
    nothing = Snapshot(0, [], [])
    assert respond(Target("x"), Head(), GOOD, nothing).status == 404
    assert orjson.loads(respond(Target(None), Head(), GOOD, nothing).body)["flags"] == []


def test_all_flags_come_with_a_tag_and_the_same_tag_is_a_304() -> None:
    answer = respond(Target(None), Head(), GOOD, SNAPSHOT)
    flags = orjson.loads(answer.body)["flags"]
    assert [(flag["key"], flag.get("value")) for flag in flags] == [
        ("a.on", True),
        ("b.killed", False),
        ("c.disabled", None),
    ]
    tag = dict(answer.headers)["ETag"]
    for given in (tag, f"W/{tag}", f'"x", {tag}', "*"):
        again = respond(Target(None), Head(if_none_match=given), GOOD, SNAPSHOT)
        assert (again.status, again.body, dict(again.headers)) == (304, b"", {"ETag": tag})
    assert respond(Target(None), Head(if_none_match='"x"'), GOOD, SNAPSHOT).status == 200


def test_the_tag_changes_with_any_flag_and_any_environment() -> None:
    def tag(state: str, slug: str = "production") -> str:
        found = Snapshot(1, [slug], [Row(slug, "a", state, 1)]).environment(slug)
        assert found is not None
        return found.all({}).tag

    assert len({tag("on"), tag("killed"), tag("disabled"), tag("on", "staging")}) == 4


def test_evaluation_looks_at_nothing_but_the_snapshot() -> None:
    found = SNAPSHOT.evaluate("b.killed", "staging", {"targetingKey": "x"})
    assert found is not None
    assert found.value is True
    assert SNAPSHOT.evaluate("a.on", "staging", {}) is None
    assert SNAPSHOT.evaluate("a.on", "nowhere", {}) is None


@pytest.mark.parametrize(
    "body", [b"{}", b'{"context":{}}', b'{"context":{"a":[1,2]},"more":1}', b' {"context" : {} } ']
)
def test_a_context_may_be_empty_or_left_out(body: bytes) -> None:
    assert asked("a.on", body)[0] == 200


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"", "PARSE_ERROR"),
        (b"{", "PARSE_ERROR"),
        (b"[]", "PARSE_ERROR"),
        (b"null", "PARSE_ERROR"),
        (b'"x"', "PARSE_ERROR"),
        (b'{"context":{"a":"\xff"}}', "PARSE_ERROR"),
        (b'{"context":{"a":"\\ud800"}}', "PARSE_ERROR"),
        (b'{"context":{"a":"\\u0000"}}', "PARSE_ERROR"),
        (b'{"context":{"\\u0000":1}}', "PARSE_ERROR"),
        (b'{"context":{"a":"\x00"}}', "PARSE_ERROR"),
        (b'{"context":{"a":NaN}}', "PARSE_ERROR"),
        (b'{"context":' + b"[" * 40 + b"]" * 40 + b"}", "PARSE_ERROR"),
        (b'{"context":' + b'{"a":' * 5000 + b"1" + b"}" * 5000 + b"}", "PARSE_ERROR"),
        (b'{"context":null}', "INVALID_CONTEXT"),
        (b'{"context":[]}', "INVALID_CONTEXT"),
        (b'{"context":{"targetingKey":7}}', "INVALID_CONTEXT"),
    ],
)
def test_bad_bodies_are_a_400_that_says_why(body: bytes, code: str) -> None:
    for key in ("a.on", None):
        status, found = asked(key, body)
        assert (status, found["errorCode"], found.get("key")) == (400, code, key)
        assert found["errorDetails"]


def test_a_wide_context_is_not_a_deep_one() -> None:
    body = orjson.dumps({"context": {str(number): [number, {"escaped": "\\u0000"}] for number in range(200)}})
    assert asked("a.on", body)[0] == 200


@pytest.mark.parametrize(
    "path", ["/ofrep/", "/ofrep/v1/evaluate", "/ofrep/v2/evaluate/flags", "/ofrep/v1/configuration"]
)
def test_other_addresses_are_a_404(path: str) -> None:
    found = locate("POST", path)
    assert isinstance(found, Answer)
    assert found.status == 404


def test_keys_are_taken_as_they_are_whatever_they_hold() -> None:
    base = "/ofrep/v1/evaluate/flags"
    assert locate("POST", base) == Target(None)
    assert [locate("POST", f"{base}/{key}") for key in ("a.b", "a/b", "\udcff", "")] == [
        Target("a.b"),
        Target("a/b"),
        Target("?"),
        Target(""),
    ]
    assert asked("\x00" * 5000)[0] == 404


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "PATCH", "DELETE", "TRACE"])
def test_other_methods_are_a_405_with_allow(method: str) -> None:
    found = locate(method, "/ofrep/v1/evaluate/flags")
    assert isinstance(found, Answer)
    assert (found.status, dict(found.headers)["Allow"]) == (405, "POST, OPTIONS")
    assert bool(found.body) == (method != "HEAD")


def test_options_tell_what_is_allowed() -> None:
    assert locate("OPTIONS", "/ofrep/v1/evaluate/flags/x") == Answer(204, b"", (("Allow", "POST, OPTIONS"),))


@pytest.mark.parametrize(
    "head",
    [
        Head(),
        Head(authorization=""),
        Head(authorization="Basic ptk_x"),
        Head(authorization="Bearer"),
        Head(authorization="Bearer ", api_key="ptk_x"),
        Head(api_key=" "),
        Head(authorization="Bearer " + "x" * 201),
    ],
)
def test_without_a_token_it_is_a_401_that_says_how(head: Head) -> None:
    found = credential(head)
    assert isinstance(found, Answer)
    assert (found.status, "Bearer" in dict(found.headers)["WWW-Authenticate"]) == (401, True)


def test_both_headers_carry_the_same_token() -> None:
    digests = [credential(head) for head in (Head(authorization="bearer  ptk_x "), Head(api_key="ptk_x"))]
    assert digests[0] == digests[1]
    assert isinstance(digests[0], str)


def test_a_token_needs_the_scope() -> None:
    assert admit(Known(1, may_read=True, expires_at=None)) is None
    assert [answer.status for answer in (admit(Known(1, may_read=False, expires_at=None)), admit(None)) if answer] == [
        403,
        401,
    ]


def test_large_and_compressed_bodies_are_not_even_read() -> None:
    heads = [
        Head(content_length=str(MAX_BYTES)),
        Head(content_length=str(MAX_BYTES + 1)),
        Head(content_length="9" * 40),
        Head(content_length="-1"),
        Head(content_encoding="gzip"),
    ]
    assert [found.status if (found := refuse_head(head)) else None for head in heads] == [None, 413, 413, 400, 415]
