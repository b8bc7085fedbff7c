"""What a webhook contact point of Grafana's unified alerting sends: Alertmanager's words and some of its own."""

from __future__ import annotations

from typing import Any

from apps.alerts.documents import BadPayload
from apps.alerts.fields import MAX_ANNOTATION, count_items, followable, kind_of, object_of, text_of
from apps.alerts.payloads import AlertEvent, prometheus_alert

_LINKS = ("panelURL", "dashboardURL", "generatorURL")
"""The best link first: a panel shows the curve, a rule's page only its definition."""

_KEPT = {
    "dashboardURL": "dashboard",
    "panelURL": "panel",
    "silenceURL": "silence",
    "imageURL": "image",
    "valueString": "value_string",
}


def read_grafana(document: Any) -> list[AlertEvent]:
    """The alerts of a Grafana webhook (versions 9 to 12); its links and measured values become annotations.

    Annotations of the rule's author stand: Grafana's own fields only fill names that are free.
    """
    payload = object_of(document, "")
    alerts = payload.get("alerts")
    if type(alerts) is not list:
        if "ruleId" in payload:
            raise BadPayload("alerts", "This is the legacy alerting, gone since Grafana 11: use unified alerting.")
        raise BadPayload("alerts", "A Grafana payload has a list of alerts here.")
    count_items(alerts, "alerts")
    return [_alert(object_of(item, f"alerts[{index}]"), f"alerts[{index}]") for index, item in enumerate(alerts)]


def _alert(alert: dict[str, Any], where: str) -> AlertEvent:
    said = prometheus_alert(alert, where)
    own = {name: text_of(alert, field, where, MAX_ANNOTATION) for field, name in _KEPT.items()}
    own["values"] = _values(alert.get("values"), f"{where}.values")
    link = next((alert[field] for field in _LINKS if followable(alert.get(field) or "")), "")
    kept = {name: text for name, text in own.items() if text and name not in said.annotations}
    return said._replace(annotations={**said.annotations, **kept}, link=link)


def _values(found: Any, where: str) -> str:
    """`{"B": 44.2, "C": 1}` as "B = 44.2, C = 1"; Grafana sends null where a query gave nothing."""
    if found is None:
        return ""
    if type(found) is not dict:
        raise BadPayload(where, f"Must be an object of numbers, not {kind_of(found)}.")
    for name, value in found.items():
        if value is not None and type(value) not in (int, float, str):
            raise BadPayload(f"{where}.{name[:80]}", f"Must be a number, not {kind_of(value)}.")
    text = ", ".join(f"{name} = {'no value' if value is None else value}" for name, value in found.items())
    return text[:MAX_ANNOTATION]
