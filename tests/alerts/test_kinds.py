"""The readers of Grafana, PagerDuty's events and mappings: pure functions of a document."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.alerts.documents import BadPayload
from apps.alerts.grafana import read_grafana
from apps.alerts.intake.core import Address, Answer, as_pagerduty, check_event, open_envelope, over_limit
from apps.alerts.mapping import DATADOG_PAYLOAD, PRESETS, compiled_mapping, read_mapped
from apps.alerts.pagerduty import read_change_event, read_event
from tests.alerts.saying import alert

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=4,
)


def event(action: str = "trigger", **more: Any) -> dict[str, Any]:
    payload = {"summary": "Disk is full", "source": "db-1", "severity": "critical"}
    return {"routing_key": "k", "event_action": action, "dedup_key": "d", "payload": payload, **more}


# --- Grafana ------------------------------------------------------------------------------------------------------


def test_grafanas_own_fields_are_kept_and_the_panel_is_the_link() -> None:
    own = {"values": {"B": 44.2, "C": None}, "panelURL": "http://g/p", "silenceURL": "http://g/s", "dashboardURL": ""}
    found = read_grafana({"alerts": [{**alert(), **own}]})[0]
    assert (found.link, found.annotations["values"]) == ("http://g/p", "B = 44.2, C = no value")
    assert (found.annotations["silence"], "dashboard" in found.annotations) == ("http://g/s", False)


def test_a_grafana_rule_without_data_is_called_by_its_own_name() -> None:
    labels = {"alertname": "DatasourceNoData", "rulename": "Logins per minute"}
    assert read_grafana({"alerts": [{"status": "firing", "labels": labels}]})[0].title == "Logins per minute"


# --- PagerDuty ----------------------------------------------------------------------------------------------------


def test_a_trigger_says_everything_that_its_fields_say() -> None:
    payload = {
        **event()["payload"],
        "component": "postgres",
        "timestamp": "2026-05-01T12:00:00",
        "custom_details": {"service": "Login", "free": 3, "deep": {"left": "out"}},
    }
    found = read_event(event(payload=payload, links=[{"href": "http://runbook", "text": "x"}], client="Nagios"))[0]
    assert (found.dedup_key, found.status, found.severity, found.service) == ("d", "firing", "critical", "Login")
    assert found.labels == {"service": "Login", "free": "3", "source": "db-1", "component": "postgres"}
    assert (found.link, found.annotations["client"]) == ("http://runbook", "Nagios")
    assert found.starts_at == datetime(2026, 5, 1, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("document", "path"),
    [
        ({**event(), "event_action": "page"}, "event_action"),
        ({**event(), "payload": None}, "payload"),
        ({**event(), "payload": []}, "payload"),
        (event(payload={"source": "x", "severity": "info"}), "payload.summary"),
        (event(payload={"summary": "x", "severity": "info"}), "payload.source"),
        (event(payload={"summary": "x", "source": "y", "severity": "bad"}), "payload.severity"),
        (event(payload={**event()["payload"], "timestamp": "soon"}), "payload.timestamp"),
        (event("resolve", dedup_key=None), "dedup_key"),
        (event(dedup_key="x" * 256), "dedup_key"),
        (event(links={"href": "x"}), "links"),
        (event(images=["x"]), "images[0]"),
    ],
)
def test_a_wrong_event_is_refused_with_its_field_in_pagerdutys_words(document: dict[str, Any], path: str) -> None:
    wrong = check_event(Address("pagerduty", ""), document)
    assert wrong is not None
    answer = as_pagerduty(wrong)
    said = json.loads(answer.body)
    assert (answer.status, said["status"], said["message"]) == (400, "invalid event", "Event object is invalid")
    assert said["errors"][0].startswith(f"{path}: ")


def test_an_event_without_a_key_is_refused_and_a_throttled_one_told_when_to_come_back() -> None:
    refused = open_envelope(b"{}", "")
    assert isinstance(refused, Answer)
    assert json.loads(as_pagerduty(refused).body)["errors"] == [
        "routing_key: Required: it is the key of the integration."
    ]
    limited = as_pagerduty(over_limit(17))
    assert (limited.status, dict(limited.headers)["Retry-After"]) == (429, "17")
    assert json.loads(limited.body)["status"] == "throttle exceeded"


def test_a_change_event_becomes_a_change() -> None:
    details = {"service": "api", "version": 7}
    found = read_change_event({"payload": {"summary": "Deployed", "custom_details": details, "source": "ci"}})[0]
    assert (found.title, found.service, found.version, found.labels["source"]) == ("Deployed", "api", "7", "ci")


@given(st.dictionaries(st.sampled_from(["payload", "links", "images", "dedup_key", "client"]), json_values))
def test_any_event_is_read_or_refused(more: dict[str, Any]) -> None:
    for read in (read_event, read_change_event):
        try:
            read({"event_action": "trigger", **more})
        except BadPayload:
            continue


# --- mapping ------------------------------------------------------------------------------------------------------


def mapped(document: Any, **expressions: str) -> list[Any]:
    return read_mapped(compiled_mapping({"title": "title", **expressions}), document)


@pytest.mark.parametrize("part", ["{a:@,b:@}", "[@,@]"])
def test_an_expression_that_multiplies_its_input_is_refused(part: str) -> None:
    with pytest.raises(BadPayload, match="too often"):
        compiled_mapping({"title": "|".join([part] * 40) + "|to_string(@)"})


def test_a_mapping_finds_every_field() -> None:
    document = {"rows": [{"title": "x", "id": 7, "st": "fine", "tags": ["env:prod", "web"], "at": 1777636800000}]}
    found = mapped(
        document,
        items="rows",
        dedup_key="id",
        status="st == 'fine' && 'resolved' || 'firing'",
        labels="tags",
        occurred_at="at",
        annotations="{host: host, id: id}",
    )[0]
    assert (found.dedup_key, found.status, found.labels) == ("7", "resolved", {"env": "prod", "web": "true"})
    assert (found.annotations, found.starts_at) == ({"id": "7"}, datetime(2026, 5, 1, 12, tzinfo=UTC))


@pytest.mark.parametrize(
    ("expressions", "path"),
    [
        ({"title": "a["}, "mapping.title"),
        ({"title": ""}, "mapping.title"),
        ({"titel": "a", "title": "a"}, "mapping.titel"),
        ({"title": "x" * 1001}, "mapping.title"),
        ({"title": "|".join(["[@,@][]"] * 9)}, "mapping.title"),
        ({"title": "nothing(a)"}, "title"),
        ({"title": "list"}, "title"),
        ({"title": "gone"}, "title"),
        ({"status": "list"}, "status"),
        ({"status": "title"}, "status"),
        ({"labels": "number"}, "labels"),
        ({"occurred_at": "title"}, "occurred_at"),
        ({"items": "title"}, "items"),
        ({"dedup_key": "length(number)"}, "dedup_key"),
    ],
)
def test_a_wrong_expression_is_named(expressions: dict[str, str], path: str) -> None:
    with pytest.raises(BadPayload) as raised:
        read_mapped(compiled_mapping({"title": "title", **expressions}), {"title": "x", "list": [], "number": 1})
    assert raised.value.path == path


def test_the_datadog_preset_reads_the_payload_that_goes_with_it() -> None:
    values = {"$ALERT_TRANSITION": "Recovered", "$EVENT_TITLE": "High load", "$TAGS": "env:prod,service:api"}
    document = {name: values.get(text, "1") for name, text in json.loads(DATADOG_PAYLOAD).items()}
    found = read_mapped(compiled_mapping(PRESETS["datadog"]), document)[0]
    assert (found.status, found.title, found.labels) == ("resolved", "High load", {"env": "prod", "service": "api"})
    again = {**document, "transition": "Re-Triggered", "priority": "P1"}
    found = read_mapped(compiled_mapping(PRESETS["datadog"]), again)[0]
    assert (found.status, found.severity, found.annotations["metric"]) == ("firing", "P1", "1")


@given(json_values)
def test_any_document_is_mapped_or_refused(document: Any) -> None:
    try:
        mapped(document, items="a || @", dedup_key="b", status="c", labels="@", occurred_at="e", annotations="f")
    except BadPayload:
        return
