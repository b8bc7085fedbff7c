"""What differs between versions."""

from __future__ import annotations

from apps.policies.diffs import lines, structural, unified
from apps.policies.operations import checked_document
from tests.factories import novacron_text


def changes(*replaced: tuple[str, str]) -> list[tuple[str, str, str, str]]:
    found = structural(checked_document(novacron_text()), checked_document(novacron_text(*replaced)))
    return [(each.change, each.path, each.before, each.after) for each in found]


def test_equal_documents_differ_nowhere() -> None:
    assert changes() == []
    assert unified(novacron_text(), novacron_text()) == []


def test_entries_of_lists_are_recognised_by_their_names() -> None:
    assert changes(("target: 5m", "target: 4m")) == [
        ("changed", "severities[P0].clocks.target", '"5m"', '"4m"'),
    ]
    assert changes(("VP Engineering, after: 15m", "VP Engineering, after: 20m")) == [
        ("changed", "escalation.path[4].after", '"15m"', '"20m"')
    ]


def test_what_comes_and_goes_is_told() -> None:
    assert changes(
        ("    - {slug: validated, label: Recovery validated}\n", "    - {slug: healed, label: Healed}\n")
    ) == [
        ("added", "lifecycle.milestones[healed]", "", '{"slug": "healed", "label": "Healed"}'),
        ("removed", "lifecycle.milestones[validated]", '{"slug": "validated", "label": "Recovery validated"}', ""),
    ]


def test_a_number_and_a_truth_value_are_different_things() -> None:
    assert structural({"a": 1}, {"a": True})[0].change == "changed"


def test_lines_know_what_they_are() -> None:
    kinds = [line.kind for line in lines("a\nb\n", "a\nc\n")]
    assert kinds == ["head", "head", "head", "same", "removed", "added"]
