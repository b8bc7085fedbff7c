"""What is refused in a definition, and where the mistake is said to be."""

from __future__ import annotations

from typing import Any

import pytest

from apps.flags.evaluation.definitions import (
    BadDefinition,
    place_text,
    read_definition,
    read_segment,
    switch_definition,
)

PRO = {"attribute": "plan", "operator": "equals", "values": ["pro"]}


def mistakes(kind: str = "boolean", **changed: Any) -> list[tuple[str, str]]:
    with pytest.raises(BadDefinition) as caught:
        read_definition(kind, {**switch_definition(), **changed})
    return [(place_text(where), sentence) for where, sentence in caught.value.mistakes]


def rule(**changed: Any) -> dict[str, Any]:
    return {"name": "a rule", "when": [PRO], "serve": "on", **changed}


def test_each_type_takes_its_values_and_no_others() -> None:
    fits: dict[str, Any] = {"boolean": True, "string": "x", "integer": 3, "float": 0.5, "object": {"a": [1]}}
    for kind, value in fits.items():
        assert read_definition(kind, {"variants": {"v": value}, "off": "v", "serve": "v"}).variants == {"v": value}
        for other in fits.keys() - {kind} - ({"float"} if kind == "integer" else set()):
            with pytest.raises(BadDefinition, match=f"type {other} can't answer"):
                read_definition(other, {"variants": {"v": value}, "off": "v", "serve": "v"})


@pytest.mark.parametrize(
    ("changed", "place", "words"),
    [
        ({"serve": "purple"}, "serve", "There is no variant 'purple'; there are on, off."),
        ({"off": "x"}, "off", "There is no variant 'x'"),
        ({"variants": {}}, "variants", "at least 1"),
        ({"variants": {"a b": True}}, "variants.a b.[key]", "pattern"),
        ({"colour": 1}, "colour", "There is no such setting here."),
        ({"serve": {"split": []}}, "serve.split", "at least 1"),
        ({"serve": {"split": [{"variant": "on", "weight": 0}]}}, "serve", "add up to nothing"),
        (
            {"serve": {"split": [{"variant": "on", "weight": -1}]}},
            "serve.split[0].weight",
            "greater than or equal to 0",
        ),
        ({"serve": {"split": [{"variant": "on", "weight": 1}] * 2}}, "serve", "twice"),
        ({"rules": [rule(serve="x")]}, "rules[0].serve", "There is no variant 'x'"),
        ({"rules": [rule(), rule()]}, "rules[1].name", "Another rule is called 'a rule' already."),
        ({"rules": [rule(when=[])]}, "rules[0].when", "at least 1"),
        ({"rules": [rule(when=[{**PRO, "operator": "like"}])]}, "rules[0].when[0].operator", "'equals'"),
        ({"rules": [rule(when=[{**PRO, "operator": "before"}])]}, "rules[0].when[0].values[0]", "an instant such as"),
        ({"rules": [rule(when=[{**PRO, "operator": "at_least"}])]}, "rules[0].when[0].values[0]", "needs a number"),
        ({"rules": [rule(when=[{"not": {**PRO, "values": []}}])]}, "rules[0].when[0].not.values", "at least 1"),
        ({"rules": [rule(when=[{"percentage": 101}])]}, "rules[0].when[0].percentage", "less than or equal to 100"),
        ({"rules": [rule(when=["x"])]}, "rules[0].when[0]", ""),
    ],
)
def test_a_mistake_is_told_at_its_place(changed: dict[str, Any], place: str, words: str) -> None:
    found = mistakes(**changed)
    assert place in [where for where, _ in found]
    assert any(words in sentence for _, sentence in found)


def test_all_mistakes_are_told_at_once() -> None:
    assert len(mistakes(off="x", serve="y", rules=[rule(serve="z")])) == 3


@pytest.mark.parametrize("pattern", [r"(a)\1", "(?=a)", "(", "a" * 100_000])
def test_patterns_that_could_hold_up_an_evaluation_are_refused(pattern: str) -> None:
    bomb = {"attribute": "x", "operator": "matches", "values": [pattern]}
    assert mistakes(rules=[rule(when=[bomb])])


def test_conditions_and_documents_have_a_depth_and_a_size() -> None:
    deep: dict[str, Any] = PRO
    for _ in range(6):
        deep = {"any": [deep]}
    assert any("nested deeper" in sentence for _, sentence in mistakes(rules=[rule(when=[deep])]))
    assert "bytes" in mistakes(variants={"on": True, "off": False, "x": "y" * 70_000})[0][1]
    assert "JSON" in mistakes(variants={"on": float("nan")})[0][1]


def test_a_segment_is_not_made_of_segments() -> None:
    with pytest.raises(BadDefinition, match="can't be made of other segments"):
        read_segment({"when": [{"not": {"segment": "x"}}]})
