"""A runbook's text is read completely, or refused with the line of every mistake."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from apps.runbooks.documents import InvalidRunbook, problems_of, read_document
from apps.runbooks.steps.shipped import SHIPPED
from tests.runbooks.writing import request, text_of

GOOD = """title: Restart the shop
parameters:
  type: object
  properties:
    shop: {type: string, enum: ["https://shop.example.com"], default: "https://shop.example.com"}
    region: {type: string}
steps:
  - slug: restart
    name: Restart it
    kind: http_request
    with:
      method: PUT
      url: "{{ params.shop }}/regions/{{ params.region }}/restart"
    timeout: 2m
    retries: 3
"""


def lines(text: str) -> list[tuple[int, str]]:
    return [(problem.line, problem.path) for problem in problems_of(text)]


def test_a_good_text_is_read_with_its_defaults() -> None:
    document = read_document(GOOD)
    step = document.steps[0]
    assert (step.timeout, step.retries, step.retry_delay, step.on_failure) == (120, 3, 2, "abort")
    assert (document.approval, step.compensate, step.idempotent) == ("required", "auto", None)


@pytest.mark.parametrize(
    ("old", "new", "line", "path"),
    [
        ("kind: http_request", "kind: teleport", 10, "steps[0].kind"),
        ("retries: 3", "retries: 11", 15, "steps[0].retries"),
        ("timeout: 2m", "timeout: soon", 14, "steps[0].timeout"),
        ("timeout: 2m", "tiemout: 2m", 14, "steps[0].tiemout"),
        ("method: PUT", "method: PURGE", 12, "steps[0].with.method"),
        ("method: PUT", "verb: PUT", 12, "steps[0].with.verb"),
        ("params.region", "params.reigon", 13, "steps[0].with.url"),
        ("params.region", "secrets.region", 13, "steps[0].with.url"),
        ("params.region", "steps.later.status", 13, "steps[0].with.url"),
        ("{{ params.region }}", "{{ params.region | upper }}", 13, "steps[0].with.url"),
        ("region: {type: string}", "region: {type: text}", 6, "parameters.properties.region.type"),
        ("region: {type: string}", 'region: {$ref: "http://x/"}', 6, "parameters.properties.region.$ref"),
        ("region: {type: string}", "region: {type: string, default: 3}", 6, "parameters.properties.region.default"),
        ("region: {type: string}", 'region: {pattern: "(a+)+$"}', 6, "parameters.properties.region.pattern"),
        ("title: Restart the shop\n", "", 1, "title"),
    ],
)
def test_a_mistake_is_told_with_its_line_and_path(old: str, new: str, line: int, path: str) -> None:
    assert old in GOOD
    assert lines(GOOD.replace(old, new)) == [(line, path)]


def test_all_mistakes_are_told_at_once() -> None:
    text = GOOD.replace("params.region", "params.nothing").replace("region: {type: string}", "region: {type: text}")
    assert [line for line, _ in lines(text)] == [6, 13]
    with pytest.raises(InvalidRunbook) as refused:
        read_document(text)
    assert refused.value.code == "invalid_runbook"
    assert len(refused.value.extra["problems"]) == len(refused.value.fields["text"]) == 2


def test_a_wrong_step_hides_no_mistake_of_another_one() -> None:
    wrong = {"slug": "a", "retries": 99, **request("https://a.example/")}
    other = {"slug": "b", "kind": "teleport", "with": {"to": "{{ steps.a.status }}"}}
    paths = [problem.path for problem in problems_of(text_of(wrong, other))]
    assert paths == ["steps[0].retries", "steps[1].kind"]


def test_only_what_the_author_has_bound_may_say_where_a_request_goes() -> None:
    for url in (
        "{{ params.host }}/x",
        "https://{{ params.host }}/x",
        "{{ params.host }}://shop/x",
        "http://a{{ params.host }}",
    ):
        text = text_of(request(url), parameters={"properties": {"host": {"type": "string"}}})
        assert "only a secret may" in problems_of(text)[0].message, url
        bound = text_of(request(url), parameters={"properties": {"host": {"enum": ["a", "b"]}}})
        assert problems_of(bound) == [], url
    assert problems_of(text_of(request("{{ secret.ADDRESS }}/x"))) == []
    assert problems_of(text_of(request("https://a.example/{{ incident.number }}"))) == []
    assert problems_of(text_of(request("https://{{ incident.team }}.example/")))


def test_a_step_may_name_outcomes_of_earlier_steps_only_and_its_undoing_its_own() -> None:
    first = {"slug": "first", **request("https://a.example/")}
    later = {"slug": "later", **request("https://a.example/", json={"id": "{{ steps.first.json.id }}"})}
    assert problems_of(text_of(first, later)) == []
    assert "No step `first` comes before" in problems_of(text_of(later, first))[0].message
    unknown = {"slug": "later", **request("https://a.example/", json={"id": "{{ steps.first.version }}"})}
    assert "has no `version`" in problems_of(text_of(first, unknown))[0].message
    undone = {"slug": "b", **request("https://a.example/")}
    undone["compensate"] = {
        "kind": "http_request",
        "with": {"method": "DELETE", "url": "https://a.example/{{ steps.b.json.id }}"},
    }
    assert problems_of(text_of(first, undone)) == []


def test_two_steps_never_share_a_slug() -> None:
    text = text_of({"slug": "a", **request("https://a.example/")}, {"slug": "a", **request("https://a.example/")})
    assert "Step 1 has the slug `a` already" in problems_of(text)[0].message


BOMB = "a: &a [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{name}: &{name} [{', '.join([f'*{before}'] * 10)}]\n" for before, name in zip("abcdefgh", "bcdefghi", strict=True)
)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "empty"),
        ("- a", "mapping"),
        ("title: [", "not valid YAML"),
        ("title: !!python/object/apply:os.system ['true']", "not allowed"),
        ("title: a\ntitle: b", "given twice"),
        ("title: a\0b", "U+0000"),
        ('title: "a\\0b"', "can't be stored"),
        (BOMB, "more than"),
        ("title: " + "[" * 100 + "]" * 100, "nested"),
        ("x: y\n" * 100_000, "characters"),
        ("title: 99999999999999999999", "not a plain number"),
        ("title: x\nsteps: {a: b}", "must be a list"),
        ("title: x\nsteps: []", "must not be empty"),
        ("title: x\nsteps: [1, null]", "must be a mapping"),
    ],
)
def test_hostile_texts_are_refused_with_a_sentence(text: str, said: str) -> None:
    problems = problems_of(text)
    assert any(said in problem.message for problem in problems), problems


def test_a_runbook_has_at_most_fifty_steps() -> None:
    assert problems_of(text_of(*[request("https://a.example/") for _ in range(51)]))[0].path == "steps"


def test_every_example_of_the_documentation_is_good() -> None:
    blocks = re.findall(r"```yaml\n(.*?)```", Path("docs/runbooks.md").read_text(encoding="utf-8"), re.DOTALL)
    steps = [yaml.safe_load(block) for block in blocks if block.startswith("kind:")]
    assert {step["kind"] for step in steps} == {found.name for found in SHIPPED}
    assert problems_of(blocks[0]) == []
    named = {name: {"type": "string"} for name in ("queue", "player")}
    parameters = {"properties": {"world": {"enum": ["http://127.0.0.1:8900"]}, **named}}
    before = {"slug": "restore", "kind": "config_restore", "with": {"document": "economy"}}
    for step in steps:
        assert problems_of(text_of(dict(before), step, parameters=parameters)) == [], step
