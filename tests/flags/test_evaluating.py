"""What a definition answers to whom, without a database."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.flags.evaluation.buckets import SLOTS, Share, bounds, slot_of
from apps.flags.evaluation.compiling import Outcome, compile_flag, compile_segments
from apps.flags.evaluation.definitions import read_definition, read_segment, switch_definition
from apps.flags.evaluation.versions import version_of


def answer(definition: dict[str, Any], segments: dict[str, Any] | None = None, /, **context: Any) -> Outcome:
    known = compile_segments({key: read_segment(each) for key, each in (segments or {}).items()})
    found = read_definition("boolean", {**switch_definition(), "serve": "off", **definition})
    return compile_flag("shop.new", found, known).answer(context)


def when(*conditions: dict[str, Any], serve: Any = "on") -> dict[str, Any]:
    return {"rules": [{"name": "these", "when": list(conditions), "serve": serve}]}


def meets(operator: str, values: list[Any], value: Any) -> bool:
    condition = {"attribute": "x", "operator": operator, "values": values}
    return answer(when(condition), x=value).variant == "on"


@pytest.mark.parametrize(
    ("operator", "values", "yes", "no"),
    [
        ("equals", ["de"], ["de", ["fr", "de"]], ["DE", None, 1, ["fr"], {}]),
        ("equals", [1], [1, 1.0], [True, "1", 2]),
        ("equals", [True], [True], [1, "true"]),
        ("in", ["de", "at"], ["at"], ["ch", ""]),
        ("not_in", ["de"], ["ch", None, 1, []], ["de", ["de", "ch"]]),
        ("not_equals", ["de"], ["ch"], ["de"]),
        ("contains", ["beta"], ["a beta tester", ["beta"]], ["bet", ["a beta"], 7]),
        ("not_contains", ["beta"], ["alpha", []], ["beta"]),
        ("starts_with", ["usr-"], ["usr-1"], ["a usr-1", 1]),
        ("ends_with", ["@example.com"], ["a@example.com"], ["a@example.com.evil"]),
        ("matches", ["[a-z]+[0-9]{2}"], ["abc12"], ["abc123", "ABC12", 12]),
        ("not_matches", ["[a-z]+"], ["ABC"], ["abc"]),
        ("greater_than", [10], [11, "10.5"], [10, "ten", True, None, float("inf")]),
        ("at_least", [10], [10], [9.9]),
        ("less_than", [10], [9, "-1"], [10]),
        ("at_most", [10], [10], [10.1]),
        ("before", ["2026-11-21T12:00:00Z"], ["2026-11-21T12:59:59+01:00", 0], ["2026-11-21T12:00:00Z", "soon"]),
        ("after", ["2026-11-21"], ["2026-11-21T00:00:01Z"], ["2026-11-21", "2026-11-20"]),
        ("version_equals", ["1.2"], ["1.2.0", "v1.2.0+build"], ["1.2.1", "1.2.0-rc.1"]),
        ("version_at_least", ["2.0.0"], ["2.0.0", "10.0"], ["2.0.0-rc.1", "1.99.9", "two", 2]),
        ("version_below", ["2.0.0"], ["2.0.0-rc.1", "1.0"], ["2.0.0"]),
    ],
)
def test_an_operator_holds_for_what_it_should_and_for_nothing_else(
    operator: str, values: list[Any], yes: list[Any], no: list[Any]
) -> None:
    assert [value for value in yes if not meets(operator, values, value)] == []
    assert [value for value in no if meets(operator, values, value)] == []


def test_a_missing_attribute_meets_only_what_is_negated() -> None:
    assert answer(when({"attribute": "x", "operator": "equals", "values": ["a"]})).variant == "off"
    assert answer(when({"attribute": "x", "operator": "not_equals", "values": ["a"]})).variant == "on"
    assert answer(when({"attribute": "x", "exists": False})).variant == "on"
    assert answer(when({"attribute": "x", "exists": True}), x=None).variant == "off"


def test_an_attribute_is_found_by_its_name_or_part_by_part() -> None:
    condition = {"attribute": "user.plan", "operator": "equals", "values": ["pro"]}
    assert answer(when(condition), user={"plan": "pro"}).variant == "on"
    assert answer(when(condition), **{"user.plan": "pro"}).variant == "on"
    assert answer(when(condition), user="pro").variant == "off"


def test_the_first_rule_that_holds_decides_and_is_named() -> None:
    rules = [
        {"name": "blocked", "when": [{"attribute": "country", "operator": "in", "values": ["XX"]}], "serve": "off"},
        {"name": "pro", "when": [{"attribute": "plan", "operator": "equals", "values": ["pro"]}], "serve": "on"},
    ]
    assert answer({"rules": rules}, country="XX", plan="pro") == Outcome("off", "TARGETING_MATCH", rule="blocked")
    assert answer({"rules": rules}, country="DE", plan="pro") == Outcome("on", "TARGETING_MATCH", rule="pro")
    assert answer({"rules": rules}, country="DE") == Outcome("off", "DEFAULT")


def test_conditions_are_joined_by_all_any_and_not() -> None:
    pro = {"attribute": "plan", "operator": "equals", "values": ["pro"]}
    old = {"attribute": "age", "operator": "at_least", "values": [18]}
    assert answer(when(pro, old), plan="pro", age=17).variant == "off"
    assert answer(when({"any": [pro, old]}), plan="free", age=18).variant == "on"
    assert answer(when({"not": {"all": [pro, old]}}), plan="pro", age=18).variant == "off"


def test_a_segment_stands_for_its_conditions_and_an_unknown_one_is_nobodys() -> None:
    testers = {"testers": {"when": [{"attribute": "targetingKey", "operator": "in", "values": ["ann"]}]}}
    assert answer(when({"segment": "testers"}), testers, targetingKey="ann").variant == "on"
    assert answer(when({"segment": "testers"}), testers, targetingKey="ben").variant == "off"
    assert answer(when({"segment": "gone"}), testers, targetingKey="ann").variant == "off"


def test_a_split_gives_everybody_the_same_again_and_all_their_share() -> None:
    split = {"split": [{"variant": "on", "weight": 1}, {"variant": "off", "weight": 3}]}
    found = Counter(answer({"serve": split}, targetingKey=f"user-{n}").variant for n in range(4000))
    assert abs(found["on"] - 1000) < 4 * (4000 * 0.25 * 0.75) ** 0.5
    assert answer({"serve": split}, targetingKey="user-7") == answer({"serve": split}, targetingKey="user-7")


def test_a_split_says_which_attribute_it_lacks() -> None:
    split = {"split": [{"variant": "on", "weight": 1}], "by": "account"}
    assert answer({"serve": split}, targetingKey="x") == Outcome(None, "SPLIT", "account")


@given(st.text(min_size=1, max_size=30), st.integers(0, 100), st.integers(0, 100))
def test_whoever_is_in_a_percentage_stays_in_while_it_grows(key: str, one: int, two: int) -> None:
    less, more = sorted([one, two])
    inside = [answer(when({"percentage": part}), targetingKey=key).variant for part in (less, more)]
    assert inside != ["on", "off"]


@given(st.lists(st.integers(0, 1000), min_size=1, max_size=8).filter(any))
def test_the_shares_of_a_split_fill_all_slots(weights: list[int]) -> None:
    ends = [end for end, _ in bounds([Share(str(n), weight) for n, weight in enumerate(weights)])]
    assert ends == sorted(ends)
    assert ends[-1] == SLOTS


def test_slots_are_those_that_the_documentation_promises() -> None:
    assert [slot_of("shop.new", key) for key in ("user-1", "user-2", "ä")] == [98151, 56347, 72806]


def test_versions_are_in_the_order_of_semantic_versioning() -> None:
    words = ["1.0.0-alpha", "1.0.0-alpha.1", "1.0.0-alpha.beta", "1.0.0-beta.2", "1.0.0-beta.11", "1.0.0-rc.1", "1.0.0"]
    found = [version_of(word) for word in words]
    assert all(one is not None and two is not None and one < two for one, two in pairwise(found))
    assert [version_of(word) for word in ("", "1.", "01.2.3", "1.2.3.4", "x" * 300)] == [None] * 5
