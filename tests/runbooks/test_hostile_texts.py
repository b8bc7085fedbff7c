"""Whatever stands in a runbook's text, it is read or refused, and never breaks the reader."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from apps.runbooks.documents import problems_of, read_document

TEXT = Path("apps/runbooks/library/economy-rollback.yaml").read_text(encoding="utf-8")
GOOD = yaml.safe_load(TEXT.replace("@WORLD@", "http://127.0.0.1:8900"))
NASTY: list[Any] = [
    None, True, 0, -1, 10**14, 0.5, "", "x" * 3000, [], [1], {}, {"a": 1}, "((((", "[", "{{", "{{ a.b }}",
    "{{ params.world.a.b }}/x", "{{ params.world }}", "{{ steps.restore.version }}", "http://[::1", "http://a:99999/",
    {"properties": [1]}, {"properties": {"world": {"properties": [1]}}}, {"properties": {"world": True}}, {"enum": 3},
    {"type": 3}, {"$ref": "#"}, {"required": "x"}, {"pattern": "["}, {"type": "string", "default": None},
]  # fmt: skip
KEYS = ["$ref", "if", "json", "headers", "labels", "for", "enum", "default", "properties", "items", "compensate"]


def places(value: Any, where: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [where, *(place for key, entry in inner for place in places(entry, (*where, key)))]


PLACES = places(GOOD)[1:]


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(PLACES), st.sampled_from(NASTY), st.sampled_from([None, *KEYS])), max_size=3))
def test_no_mutation_of_a_good_text_breaks_the_reader(mutations: list[tuple[tuple[Any, ...], Any, str | None]]) -> None:
    value = copy.deepcopy(GOOD)
    for place, nasty, key in mutations:
        around = value
        for part in place[:-1]:
            fits = isinstance(around, dict) or (
                isinstance(around, list) and isinstance(part, int) and part < len(around)
            )
            around = around[part] if fits and (isinstance(around, list) or part in around) else None
        if isinstance(around, dict):
            around[place[-1] if key is None else key] = copy.deepcopy(nasty)
    text = json.dumps(value)
    if not problems_of(text):
        assert read_document(text).steps


@settings(max_examples=60, deadline=None)
@given(st.text(max_size=200))
def test_no_text_at_all_breaks_the_reader(text: str) -> None:
    assert problems_of(text)
