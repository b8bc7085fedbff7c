"""Pure parts: canonical checksums, diffs, masks, schemas and patterns that mean harm."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest

from apps.foundation.errors import Invalid
from apps.state.contents import check_content, checksum, shown, unmasked
from apps.state.diffs import structural_diff
from apps.state.patterns import pattern_fault
from apps.state.schemas import check_schema, content_problems, require_valid


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"a": 1, "b": 2}, {"b": 2, "a": 1}),
        ({"a": 1.0}, {"a": 1}),
        ({"a": 1e16}, {"a": 10**16}),
        ({"a": 1.2345678901234568e18}, {"a": 1234567890123456800}),
        ({"a": 1e300}, {"a": 10**300}),
        ({"a": -0.0}, {"a": 0}),
    ],
)
def test_what_means_the_same_has_the_same_checksum_and_no_diff(one: Any, other: Any) -> None:
    assert checksum(one) == checksum(other)
    assert structural_diff(one, other) == []


@pytest.mark.parametrize(
    ("one", "other"),
    [({"a": 1}, {"a": True}), ({"a": "1"}, {"a": 1}), ({"a": None}, {}), ({"a": 2**62}, {"a": 2**62 + 1}), ([], {})],
)
def test_what_differs_has_another_checksum_and_a_diff(one: Any, other: Any) -> None:
    assert checksum(one) != checksum(other)
    assert structural_diff(one, other)


def test_a_diff_names_places_and_sorts_them() -> None:
    before = {"b": {"x": 1, "gone": 2}, "list": [{"n": index} for index in range(11)], "odd name": 1}
    after = {
        "b": {"x": 2, "new": [1]},
        "list": [{"n": index + (index in (2, 10))} for index in range(12)],
        "odd name": 2,
    }
    assert structural_diff(before, after) == [
        {"path": "b.gone", "op": "removed", "before": 2, "after": None},
        {"path": "b.new", "op": "added", "before": None, "after": [1]},
        {"path": "b.x", "op": "changed", "before": 1, "after": 2},
        {"path": "list[2].n", "op": "changed", "before": 2, "after": 3},
        {"path": "list[10].n", "op": "changed", "before": 10, "after": 11},
        {"path": "list[11]", "op": "added", "before": None, "after": {"n": 11}},
        {"path": '["odd name"]', "op": "changed", "before": 1, "after": 2},
    ]


def test_a_diff_masks_secrets_but_says_that_they_differ() -> None:
    before = {"db": {"password": "one"}, "tokens": [{"a": "x"}], "url": "https://ana:pw12@example.com/"}
    after = {"db": {"password": "two"}, "tokens": [{"a": "y"}], "url": "https://ana:pw34@example.com/"}
    found = structural_diff(before, after)
    assert [entry["path"] for entry in found] == ["db.password", "tokens[0].a", "url"]
    text = json.dumps(found)
    assert not any(secret in text for secret in ('"one"', '"two"', '"x"', '"y"', "pw12", "pw34"))


def test_an_untouched_mask_means_the_present_value() -> None:
    current = {"db": {"password": "one", "host": "a"}, "keys": [{"api_key": "k"}], "auth": "Bearer abcdefgh12345"}
    edited = json.loads(json.dumps(shown(current)))
    edited["db"]["host"] = "b"
    assert unmasked(edited, current) == {**current, "db": {"password": "one", "host": "b"}}
    for bad in ({"new": "•••"}, {"db": {"host": "•••"}}, {"keys": [{"n": 1}, {"key": "•••"}]}, {"auth": "Basic •••"}):
        with pytest.raises(Invalid):
            unmasked(bad, current)


SERVERS: Any = {"servers": [{"host": name, "password": f"of {name}"} for name in "abc"]}


@pytest.mark.parametrize("order", ["bc", "cab", "a", "abc", "xabc"])
def test_a_masked_secret_stays_with_its_entry_when_a_list_is_changed(order: str) -> None:
    masked = {entry["host"]: entry for entry in shown(SERVERS)["servers"]}
    edited = [masked.get(name, {"host": name, "password": "new"}) for name in order]
    meant = unmasked({"servers": edited}, SERVERS)["servers"]
    assert all(entry["password"] in (f"of {entry['host']}", "new") for entry in meant)


def test_a_masked_secret_is_never_given_to_another_entry() -> None:
    a, b, c = shown(SERVERS)["servers"]
    assert unmasked({"servers": [a, b | {"host": "B"}, c]}, SERVERS)["servers"][1] == {"host": "B", "password": "of b"}
    for edited in ([b | {"host": "B"}, c], [b, a, c | {"host": "C"}], [a, b, c, c | {"host": "d"}]):
        with pytest.raises(Invalid, match="write out"):
            unmasked({"servers": edited}, SERVERS)


DEEP: Any = {"a": 1}
for _ in range(200):
    DEEP = {"a": DEEP}


@pytest.mark.parametrize(
    "content",
    [None, [], "x", DEEP, {"a": float("nan")}, {"a": 2**63}, {"a\x00": 1}, {"a": "\udc00"}, {1: 2}, {"a": {1, 2}}],
    ids=range(10),
)
def test_what_can_not_be_kept_is_refused(content: Any) -> None:
    with pytest.raises(Invalid):
        check_content(content)


def test_a_broken_schema_is_told_place_by_place_without_quoting_secrets() -> None:
    schema = {
        "properties": {
            "economy": {"properties": {"drop_rate": {"type": "number", "maximum": 0.2}}, "required": ["gold"]},
            "password": {"type": "integer"},
        },
        "additionalProperties": False,
    }
    check_schema(schema)
    found = content_problems(schema, {"economy": {"drop_rate": 5}, "password": "hunter2", "more": {"token": "hunter3"}})
    assert [entry["path"] for entry in found] == ["", "economy", "economy.drop_rate", "password"]
    assert "'more' was unexpected" in found[0]["message"]
    assert "'gold' is a required property" in found[1]["message"]
    assert "hunter" not in json.dumps(found)
    with pytest.raises(Invalid) as refused:
        require_valid(schema, {"economy": {"drop_rate": 5, "gold": 1}})
    assert refused.value.fields == {"content.economy.drop_rate": ["5 is greater than the maximum of 0.2"]}


@pytest.mark.parametrize(
    "schema",
    [
        [],
        {"type": "nonsense"},
        {"$ref": "http://127.0.0.1:1/schema.json"},
        {"properties": {"a": {"$ref": "file:///etc/passwd"}}},
        {"$defs": {"a": {"$id": "http://example.com/x", "$ref": "y"}}},
        {"$schema": "http://json-schema.org/draft-04/schema#"},
        {"$ref": "#/$defs/missing"},
        {"$ref": "#"},
        {"pattern": "(a+)+$"},
        {"patternProperties": {"(a|aa)+$": {}}},
        {"pattern": "("},
        {"description": "x" * 70_000},
        {"enum": ["\x00"]},
        {"a": DEEP},
    ],
    ids=range(14),
)
def test_a_schema_that_is_wrong_or_means_harm_is_refused(schema: Any) -> None:
    with pytest.raises(Invalid) as refused:
        check_schema(schema)
    assert refused.value.code == "bad_schema"


def test_a_schema_may_refer_to_its_own_parts() -> None:
    rate = {"type": "number", "minimum": 0, "maximum": 1}
    schema = {"$id": "https://example.com/x", "$defs": {"rate": rate}, "additionalProperties": {"$ref": "#/$defs/rate"}}
    check_schema(schema)
    assert content_problems(schema, {"a": 0.5}) == []
    assert content_problems(schema, {"a": 2})[0]["path"] == "a"


def test_a_schema_that_grows_like_a_bomb_ends_within_a_second_or_so() -> None:
    bomb: dict[str, Any] = {"$defs": {"d0": {"type": "object"}}, "$ref": "#/$defs/d30"}
    for level in range(1, 31):
        bomb["$defs"][f"d{level}"] = {"allOf": [{"$ref": f"#/$defs/d{level - 1}"}] * 3}
    began = time.monotonic()
    assert "too expensive" in content_problems(bomb, {})[0]["message"]
    assert time.monotonic() - began < 5


def test_unique_items_are_told_apart_quickly_also_when_there_are_many() -> None:
    schema = {"properties": {"a": {"uniqueItems": True}}}
    began = time.monotonic()
    assert content_problems(schema, {"a": [{"n": index} for index in range(9_000)]}) == []
    assert content_problems(schema, {"a": [1, 1.0]})
    assert time.monotonic() - began < 3


@pytest.mark.parametrize(
    "pattern", [r"^\d+\.\d+\.\d+$", r"^(eu|us)-[a-z]+-\d$", "[a-z]+", r"^(?:\d{1,3}\.){3}\d{1,3}$"]
)
def test_ordinary_patterns_are_taken(pattern: str) -> None:
    assert pattern_fault(pattern) == ""


@pytest.mark.parametrize("pattern", ["a?" * 40 + "a" * 40, "(x*)*y", "(a|b|ab)*c", "a*a*a*b", r"^(([a-z])+.)+[A-Z]$"])
def test_patterns_that_run_for_ages_are_not(pattern: str) -> None:
    assert "for ages" in pattern_fault(pattern)
