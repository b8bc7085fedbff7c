"""The pure core: what is read, what is refused, and that nothing else can happen."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.alerts.documents import BadPayload, parse
from apps.alerts.intake.core import Address, Answer, Known, admit, count, locate, refuse_head
from apps.alerts.payloads import read_alertmanager, read_generic
from tests.alerts.bad_input import CASES, GOOD, IDS
from tests.alerts.saying import alert, prometheus, resolve, trigger

KINDS = sorted(GOOD)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
names = st.sampled_from(
    ["alerts", "status", "labels", "title", "dedup_key", "startsAt", "occurred_at", "link", "severity", "kind"]
)


@pytest.mark.parametrize(("kind", "name", "body", "hint"), CASES, ids=IDS)
def test_bad_input_is_refused_with_the_reason(kind: str, name: str, body: bytes, hint: str) -> None:
    answer = count(kind, body)
    assert isinstance(answer, Answer)
    problem = json.loads(answer.body)
    assert (answer.status, problem["status"]) == (400, 400)
    assert hint in (problem.get("path", ""), *problem.get("fields", ())) or hint in problem["detail"]


@pytest.mark.parametrize("kind", KINDS)
def test_good_input_is_counted(kind: str) -> None:
    assert count(kind, GOOD[kind]) == 1


@given(st.sampled_from(KINDS), st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(kind: str, body: bytes) -> None:
    answer = count(kind, body)
    assert isinstance(answer, int) or answer.status == 400


@given(st.sampled_from(KINDS), st.dictionaries(names, json_values, max_size=6) | json_values)
def test_any_document_is_read_or_refused(kind: str, document: Any) -> None:
    answer = count(kind, json.dumps(document).encode())
    assert isinstance(answer, int) or answer.status == 400


@given(st.text(max_size=30), st.text(max_size=80))
def test_what_is_accepted_is_what_was_said(name: str, value: str) -> None:
    body = json.dumps(prometheus({"status": "firing", "labels": {name: value}})).encode()
    try:
        event = read_alertmanager(parse(body))[0]
    except BadPayload:
        assert not name or "\x00" in name + value
    else:
        assert event.labels == {name: value}


@given(st.text(max_size=40))
def test_a_nul_is_found_wherever_it_is_and_nowhere_else(text: str) -> None:
    body = json.dumps({"x": [text]}).encode()
    if "\x00" in text:
        with pytest.raises(BadPayload, match="NUL"):
            parse(body)
    else:
        assert parse(body) == {"x": [text]}


def test_an_escaped_backslash_before_u0000_is_no_nul() -> None:
    assert parse(rb'{"path": "C:\\u0000"}') == {"path": r"C:\u0000"}


def test_dates_are_read_to_utc_with_nanoseconds_and_offsets() -> None:
    found = read_alertmanager(prometheus(alert(starts="2026-05-01T14:00:00.123456789+02:00")))[0].starts_at
    assert found == datetime(2026, 5, 1, 12, 0, 0, 123456, tzinfo=UTC)


def test_the_year_one_is_no_date() -> None:
    assert read_alertmanager(prometheus(alert(starts="0001-01-01T00:00:00Z")))[0].starts_at is None


def test_the_same_labels_are_the_same_alert_in_any_order() -> None:
    one, other = ({"status": "firing", "labels": labels} for labels in ({"a": "1", "b": "2"}, {"b": "2", "a": "1"}))
    assert len({event.dedup_key for event in read_alertmanager(prometheus(one, other))}) == 1


def test_a_trigger_without_a_key_gets_one_from_what_it_says() -> None:
    first, again = read_generic([{"title": "x"}, {"title": "x"}])
    assert first.dedup_key == again.dedup_key != ""


def test_a_long_title_is_cut_and_a_rules_odd_link_is_dropped() -> None:
    odd = {**alert(), "annotations": {"summary": "x" * 400}, "generatorURL": "javascript:alert(1)"}
    found = read_alertmanager(prometheus(odd))[0]
    assert (len(found.title), found.title[-1], found.link) == (300, "…", "")


@pytest.mark.parametrize(
    ("word", "status"),
    [("trigger", "firing"), ("firing", "firing"), ("resolve", "resolved"), ("resolved", "resolved"), (None, "firing")],
)
def test_the_words_of_a_generic_status(word: str | None, status: str) -> None:
    assert read_generic({**trigger(), "status": word})[0].status == status


def test_a_resolve_needs_only_its_key() -> None:
    assert read_generic(resolve("k"))[0].title == "k"


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/in/generic/key/", 405),
        ("PUT", "/in/generic/key", 405),
        ("POST", "/in/unknown/key/", 404),
        ("POST", "/in/generic//", 404),
        ("POST", "/in/generic/", 404),
        ("POST", "/in/", 404),
        ("POST", "/in/generic/key/more/", 404),
        ("POST", "/in/generic/key//", 404),
        ("GET", "/in/unknown/key/", 404),
    ],
)
def test_wrong_methods_and_addresses(method: str, path: str, status: int) -> None:
    answer = locate(method, path)
    assert isinstance(answer, Answer)
    assert answer.status == status
    assert (("Allow", "POST") in answer.headers) is (status == 405)


@given(st.text(), st.text())
def test_any_address_is_located_or_refused(method: str, path: str) -> None:
    assert isinstance(locate(method, f"/in/{path}"), Answer | Address)


def test_who_is_let_in() -> None:
    address = locate("POST", "/in/generic/key/")
    assert isinstance(address, Address)
    refusals = [admit(address, known) for known in (None, Known(1, "change", "active"), Known(1, "generic", "revoked"))]
    assert [answer.status for answer in refusals if isinstance(answer, Answer)] == [404, 404, 401]
    assert admit(address, Known(1, "generic", "paused")) == Known(1, "generic", "paused")


@pytest.mark.parametrize(
    ("length", "encoding", "status"),
    [("11", None, 413), ("9" * 5000, None, 413), ("-1", None, 400), ("x", None, 400), ("1", "gzip", 415)],
)
def test_heads_that_are_refused(length: str, encoding: str | None, status: int) -> None:
    answer = refuse_head(length, encoding, 10)
    assert answer is not None
    assert answer.status == status


def test_heads_that_are_fine() -> None:
    assert refuse_head("10", "identity", 10) is None
    assert refuse_head(None, None, 10) is None
