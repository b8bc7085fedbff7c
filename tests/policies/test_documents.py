"""Reading YAML with places, and refusing what could hurt."""

from __future__ import annotations

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from apps.policies.documents import MOST_CHARACTERS, Mark, read
from apps.policies.loading import load


def only_problem(text: str) -> tuple[int, int, str]:
    problems = read(text).problems
    assert len(problems) == 1
    return problems[0].line, problems[0].column, problems[0].message


def test_every_value_and_key_knows_its_line_and_column() -> None:
    document = read("a:\n  - b: 5m\n    c: [1, 2.5, true, null]\n")
    assert document.value == {"a": [{"b": "5m", "c": [1, 2.5, True, None]}]}
    assert document.values["a", 0, "c", 1] == Mark(3, 12)
    assert document.keys["a", 0, "c"] == Mark(3, 5)


def test_a_key_may_be_a_word_that_yaml_takes_for_a_truth_value() -> None:
    assert read("on: 1\nno: 2\n").value == {"on": 1, "no": 2}
    assert only_problem("true: 1")[2] == "A key must be text; put quotes around it."


@pytest.mark.parametrize(
    ("text", "line", "column", "said"),
    [
        ("a: 1\nb: 2\na: 3\n", 3, 1, "given twice; the first is in line 1"),
        ("a: {b: 1, b: 2}", 1, 11, "given twice"),
        ("a: no", 1, 4, "Write true or false"),
        ("a: 1:30", 1, 4, "not a plain number"),
        ("a: 0x1F", 1, 4, "not a plain number"),
        ("a: 010", 1, 4, "not a plain number"),
        ("a: .inf", 1, 4, "not a plain number"),
        ("1: a", 1, 1, "A key must be text"),
        ("? [a]\n: b", 1, 3, "A key must be text"),
        ("<<: {a: 1}", 1, 1, "A key must be text"),
        ("a: !!python/object/apply:os.system [ls]", 1, 4, "not allowed"),
        ("a: !!binary aGk=", 1, 4, "not allowed"),
        ('a: "\\0"', 1, 4, "can't be stored"),
        ('a: "\\ud800"', 1, 4, "can't be stored"),
        ('a: "\\UFFFFFFFF"', 1, 1, "does not exist"),
        ("a: b\nc: \x07", 2, 4, "U+0007"),
        ("a: b: c", 1, 5, "not valid YAML"),
        ("a: 1\n--- \nb: 2", 2, 1, "single document"),
        ("a: *nowhere", 1, 4, "not valid YAML"),
        ("a: &x [*x]", 1, 7, "nested more than"),
        ("a: " + "[" * 5000, 1, 23, "nested more than"),
    ],
)
def test_a_text_that_could_be_misread_is_refused_with_its_place(text: str, line: int, column: int, said: str) -> None:
    found = only_problem(text)
    assert found[:2] == (line, column) or said == "nested more than"
    assert said in found[2]


def test_an_alias_bomb_is_refused_at_once() -> None:
    lines = ["a: &a [1,1,1,1,1,1,1,1,1,1]"]
    lines += [f"{b}: &{b} [{','.join([f'*{a}'] * 10)}]" for a, b in ("ab", "bc", "cd", "de", "ef", "fg", "gh")]
    started = time.monotonic()
    assert "aliases counted each time" in only_problem("\n".join(lines))[2]
    assert time.monotonic() - started < 2


def test_a_text_over_the_limit_is_refused_unread() -> None:
    assert "characters" in only_problem("a" * (MOST_CHARACTERS + 1))[2]


@pytest.mark.parametrize("text", ["", "\n# nothing\n", "- a", "a", "null"])
def test_what_is_no_mapping_is_no_pack(text: str) -> None:
    assert load(text).problems


@settings(max_examples=150, deadline=None)
@given(st.text(alphabet=st.characters(), max_size=120))
def test_no_text_at_all_makes_the_reader_fail(text: str) -> None:
    assert load(text).problems
    assert load(f"pack: {text}").problems
