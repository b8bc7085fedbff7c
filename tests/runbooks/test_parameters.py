"""Parameters are checked by JSON Schema, with their defaults and messages that name the place."""

from __future__ import annotations

import time
from typing import Any

import pytest

from apps.foundation.errors import Invalid
from apps.runbooks.parameters import filled, schema_findings

SCHEMA: dict[str, Any] = {
    "type": "object",
    "required": ["region"],
    "properties": {
        "region": {"type": "string", "minLength": 2},
        "limits": {
            "type": "array",
            "items": {"type": "object", "properties": {"rate": {"type": "number", "minimum": 0}}},
        },
        "watch": {"type": "integer", "default": 5},
        "deep": {"type": "object", "properties": {"a": {"default": 1}}, "default": {}},
    },
}


def refused(given: Any) -> dict[str, list[str]]:
    with pytest.raises(Invalid) as error:
        filled(SCHEMA, given)
    assert error.value.code == "invalid_parameters"
    return error.value.fields


def test_defaults_are_filled_in_and_what_was_given_stays() -> None:
    given = {"region": "eu", "watch": 7}
    assert filled(SCHEMA, given) == {"region": "eu", "watch": 7, "deep": {"a": 1}}
    assert given == {"region": "eu", "watch": 7}


def test_a_runbook_without_parameters_takes_none() -> None:
    assert filled({}, {}) == {}
    with pytest.raises(Invalid):
        filled({}, {"a": 1})


def test_messages_name_the_place() -> None:
    assert list(refused({})) == ["parameters.region"]
    assert list(refused({"region": "eu", "limits": [{"rate": 1}, {"rate": -1}]})) == ["parameters.limits[1].rate"]
    assert list(refused({"region": "eu", "regoin": "x"})) == ["parameters.regoin"]
    assert list(refused({"region": 3, "watch": "x"})) == ["parameters.region", "parameters.watch"]
    assert list(refused({"region": "eu", "watch": True})) == ["parameters.watch"]


def test_what_no_column_can_hold_is_refused() -> None:
    deep: Any = "x"
    for _ in range(50):
        deep = [deep]
    for value in ("a\0b", "\ud800", float("nan"), 2**70, deep, "x" * 70_000):
        assert refused({"region": value})
    for given in (None, [], "text", 3):
        assert refused(given)


@pytest.mark.parametrize("pattern", [r"^(a+b?)+$", r"^(a|aa)+$", r"^(\w+\s?)*$", r"a*a*a*a*$", "("])
def test_a_pattern_that_could_run_for_ages_is_refused_wherever_it_stands(pattern: str) -> None:
    for below in ({"properties": {"x": {"pattern": pattern}}}, {"patternProperties": {pattern: {}}}):
        assert list(schema_findings(below, ())), below


def test_a_pattern_of_an_older_version_is_never_tried_for_ages() -> None:
    began = time.monotonic()
    with pytest.raises(Invalid):
        filled({"properties": {"x": {"pattern": r"^(a|aa)+$"}}}, {"x": "a" * 60 + "!"})
    assert time.monotonic() - began < 1
