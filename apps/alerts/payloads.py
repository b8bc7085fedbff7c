"""What the plain kinds of payload look like: checked at the door, read again when they are grouped.

The same functions serve both, so whatever was accepted can be understood.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal, NamedTuple

from apps.alerts.documents import BadPayload
from apps.alerts.fields import (
    BESIDE_LABELS,
    MAX_ANNOTATION,
    MAX_DEDUP_KEY,
    MAX_LABEL_VALUE,
    MAX_NAME,
    MAX_TITLE,
    count_items,
    fingerprint,
    followable,
    instant_of,
    items_of,
    join,
    link_of,
    object_of,
    shortened,
    text_of,
    texts_of,
)

Status = Literal["firing", "resolved", "acknowledged"]
_GENERIC_STATUS: dict[Any, Status] = {
    "trigger": "firing",
    "firing": "firing",
    "resolve": "resolved",
    "resolved": "resolved",
}
_CHANGE_KINDS = frozenset({"deploy", "config", "flag", "other"})


class AlertEvent(NamedTuple):
    """One alert in one payload. `service` and `severity` are what the source said, not yet what they mean here.

    An empty `dedup_key` is one that the source leaves to the portal: grouping makes it from the receipt.
    """

    dedup_key: str
    status: Status
    title: str
    severity: str
    service: str
    labels: dict[str, str]
    annotations: dict[str, str]
    link: str
    starts_at: datetime | None


class ChangeEvent(NamedTuple):
    """One deployment or other change in one payload."""

    title: str
    kind: str
    service: str
    environment: str
    version: str
    author: str
    link: str
    dedup_key: str
    labels: dict[str, str]
    occurred_at: datetime | None


def read_alertmanager(document: Any) -> list[AlertEvent]:
    """The alerts of a Prometheus Alertmanager webhook (format 4, which vmalert speaks too)."""
    payload = object_of(document, "")
    alerts = payload.get("alerts")
    if type(alerts) is not list:
        raise BadPayload("alerts", "An Alertmanager payload has a list of alerts here.")
    count_items(alerts, "alerts")
    return [
        prometheus_alert(object_of(item, f"alerts[{index}]"), f"alerts[{index}]") for index, item in enumerate(alerts)
    ]


def prometheus_alert(alert: dict[str, Any], where: str) -> AlertEvent:
    """What Alertmanager and Grafana say of an alert in the same words."""
    status = alert.get("status")
    if status not in ("firing", "resolved"):
        raise BadPayload(f"{where}.status", 'Must be "firing" or "resolved".')
    if "labels" not in alert:
        raise BadPayload(f"{where}.labels", "An alert has labels: an object of texts.")
    labels = texts_of(alert, "labels", where, MAX_LABEL_VALUE)
    annotations = texts_of(alert, "annotations", where, MAX_ANNOTATION)
    given = text_of(alert, "fingerprint", where, MAX_DEDUP_KEY)
    link = text_of(alert, "generatorURL", where, MAX_ANNOTATION)
    instant_of(alert, "endsAt", where)
    # Grafana names an alert about missing data after the trouble and puts the rule's own name beside it.
    name = labels.get("rulename") or labels.get("alertname")
    title = annotations.get("summary") or annotations.get("title") or name or "Alert without a name"
    return AlertEvent(
        dedup_key=given or fingerprint(labels),
        status=status,
        title=shortened(title),
        severity="",
        service="",
        labels=labels,
        annotations=annotations,
        # A rule's link is decoration: one that can't be followed is no reason to lose the alert.
        link=link if followable(link) else "",
        starts_at=instant_of(alert, "startsAt", where),
    )


def read_generic(document: Any) -> list[AlertEvent]:
    """One alert, or a list of alerts, in the portal's own format."""
    return [_generic_alert(item, where) for item, where in items_of(document)]


def _generic_alert(item: Any, where: str) -> AlertEvent:
    alert = object_of(item, where)
    dedup_key = text_of(alert, "dedup_key", where, MAX_DEDUP_KEY)
    status = _GENERIC_STATUS.get(text_of(alert, "status", where, MAX_NAME) or "firing")
    if status is None:
        raise BadPayload(join(where, "status"), 'Must be "trigger", "firing", "resolve" or "resolved".')
    title = text_of(alert, "title", where, MAX_TITLE).strip()
    if not title and status == "firing":
        raise BadPayload(join(where, "title"), "Required: it is what the person on call reads first.")
    if not dedup_key and status == "resolved":
        raise BadPayload(join(where, "dedup_key"), "Required: it says which alert is resolved.")
    service = text_of(alert, "service", where, MAX_NAME)
    labels = texts_of(alert, "labels", where, MAX_LABEL_VALUE)
    # Only texts: senders may mean something else by such common words, which is no reason to refuse their alert.
    beside = {
        label: found[:MAX_NAME] for field, label in BESIDE_LABELS.items() if type(found := alert.get(field)) is str
    }
    return AlertEvent(
        dedup_key=dedup_key or fingerprint({**labels, " title": title, " service": service}),
        status=status,
        title=shortened(title or dedup_key),
        severity=text_of(alert, "severity", where, MAX_NAME),
        service=service,
        labels=labels | {label: text for label, text in beside.items() if text},
        annotations=texts_of(alert, "annotations", where, MAX_ANNOTATION),
        link=link_of(alert, where),
        starts_at=instant_of(alert, "occurred_at", where),
    )


def read_change(document: Any) -> list[ChangeEvent]:
    """One change, or a list of changes: deployments, configuration, flags."""
    return [_change(item, where) for item, where in items_of(document)]


def _change(item: Any, where: str) -> ChangeEvent:
    change = object_of(item, where)
    title = text_of(change, "title", where, MAX_TITLE).strip()
    if not title:
        raise BadPayload(join(where, "title"), "Required: say what was changed.")
    kind = text_of(change, "kind", where, MAX_NAME) or "deploy"
    if kind not in _CHANGE_KINDS:
        raise BadPayload(join(where, "kind"), 'Must be "deploy", "config", "flag" or "other".')
    return ChangeEvent(
        title=shortened(title),
        kind=kind,
        service=text_of(change, "service", where, MAX_NAME),
        environment=text_of(change, "environment", where, MAX_NAME),
        version=text_of(change, "version", where, MAX_NAME),
        author=text_of(change, "author", where, MAX_NAME),
        link=link_of(change, where, most=500),
        dedup_key=text_of(change, "dedup_key", where, MAX_DEDUP_KEY),
        labels=texts_of(change, "labels", where, MAX_LABEL_VALUE),
        occurred_at=instant_of(change, "occurred_at", where),
    )
