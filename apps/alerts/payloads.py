"""What the three kinds of payload look like: checked at the door, read again when they are grouped.

The same functions serve both, so whatever was accepted can be understood.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Literal, NamedTuple

from apps.alerts.documents import BadPayload

MAX_ITEMS = 2_000
MAX_LABELS = 256
MAX_LABEL_NAME = 200
MAX_LABEL_VALUE = 4_096
MAX_ANNOTATION = 32_768
MAX_TITLE = 4_096
MAX_DEDUP_KEY = 200
MAX_LINK = 1_000
MAX_NAME = 120
MAX_INSTANT = 64
TITLE_KEPT = 300

Status = Literal["firing", "resolved"]
_GENERIC_STATUS: dict[Any, Status] = {
    "trigger": "firing",
    "firing": "firing",
    "resolve": "resolved",
    "resolved": "resolved",
}
_CHANGE_KINDS = frozenset({"deploy", "config", "flag", "other"})


class AlertEvent(NamedTuple):
    """One alert in one payload. `service` and `severity` are what the source said, not yet what they mean here."""

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
    """The alerts of a Prometheus Alertmanager webhook (format 4, which Grafana and vmalert speak too)."""
    payload = _object(document, "")
    alerts = payload.get("alerts")
    if type(alerts) is not list:
        raise BadPayload("alerts", "An Alertmanager payload has a list of alerts here.")
    _count(alerts, "alerts")
    return [_alertmanager_alert(item, f"alerts[{index}]") for index, item in enumerate(alerts)]


def _alertmanager_alert(item: Any, where: str) -> AlertEvent:
    alert = _object(item, where)
    status = alert.get("status")
    if status not in ("firing", "resolved"):
        raise BadPayload(f"{where}.status", 'Must be "firing" or "resolved".')
    if "labels" not in alert:
        raise BadPayload(f"{where}.labels", "An alert has labels: an object of texts.")
    labels = _texts(alert, "labels", where, MAX_LABEL_VALUE)
    annotations = _texts(alert, "annotations", where, MAX_ANNOTATION)
    fingerprint = _text(alert, "fingerprint", where, MAX_DEDUP_KEY)
    link = _text(alert, "generatorURL", where, MAX_ANNOTATION)
    _instant(alert, "endsAt", where)
    title = annotations.get("summary") or annotations.get("title") or labels.get("alertname") or "Alert without a name"
    return AlertEvent(
        dedup_key=fingerprint or _fingerprint(labels),
        status=status,
        title=shortened(title),
        severity="",
        service="",
        labels=labels,
        annotations=annotations,
        # A rule's link is decoration: one that can't be followed is no reason to lose the alert.
        link=link if _followable(link) else "",
        starts_at=_instant(alert, "startsAt", where),
    )


def read_generic(document: Any) -> list[AlertEvent]:
    """One alert, or a list of alerts, in the portal's own format."""
    return [_generic_alert(item, where) for item, where in _items(document)]


def _generic_alert(item: Any, where: str) -> AlertEvent:
    alert = _object(item, where)
    dedup_key = _text(alert, "dedup_key", where, MAX_DEDUP_KEY)
    status = _GENERIC_STATUS.get(_text(alert, "status", where, MAX_NAME) or "firing")
    if status is None:
        raise BadPayload(_join(where, "status"), 'Must be "trigger", "firing", "resolve" or "resolved".')
    title = _text(alert, "title", where, MAX_TITLE).strip()
    if not title and status == "firing":
        raise BadPayload(_join(where, "title"), "Required: it is what the person on call reads first.")
    if not dedup_key and status == "resolved":
        raise BadPayload(_join(where, "dedup_key"), "Required: it says which alert is resolved.")
    service = _text(alert, "service", where, MAX_NAME)
    labels = _texts(alert, "labels", where, MAX_LABEL_VALUE)
    return AlertEvent(
        dedup_key=dedup_key or _fingerprint({**labels, " title": title, " service": service}),
        status=status,
        title=shortened(title or dedup_key),
        severity=_text(alert, "severity", where, MAX_NAME),
        service=service,
        labels=labels,
        annotations=_texts(alert, "annotations", where, MAX_ANNOTATION),
        link=_link(alert, where),
        starts_at=_instant(alert, "occurred_at", where),
    )


def read_change(document: Any) -> list[ChangeEvent]:
    """One change, or a list of changes: deployments, configuration, flags."""
    return [_change(item, where) for item, where in _items(document)]


def _change(item: Any, where: str) -> ChangeEvent:
    change = _object(item, where)
    title = _text(change, "title", where, MAX_TITLE).strip()
    if not title:
        raise BadPayload(_join(where, "title"), "Required: say what was changed.")
    kind = _text(change, "kind", where, MAX_NAME) or "deploy"
    if kind not in _CHANGE_KINDS:
        raise BadPayload(_join(where, "kind"), 'Must be "deploy", "config", "flag" or "other".')
    return ChangeEvent(
        title=shortened(title),
        kind=kind,
        service=_text(change, "service", where, MAX_NAME),
        environment=_text(change, "environment", where, MAX_NAME),
        version=_text(change, "version", where, MAX_NAME),
        author=_text(change, "author", where, MAX_NAME),
        link=_link(change, where, most=500),
        dedup_key=_text(change, "dedup_key", where, MAX_DEDUP_KEY),
        labels=_texts(change, "labels", where, MAX_LABEL_VALUE),
        occurred_at=_instant(change, "occurred_at", where),
    )


Reader = Callable[[Any], list[AlertEvent]] | Callable[[Any], list[ChangeEvent]]
READERS: dict[str, Reader] = {
    "alertmanager": read_alertmanager,
    "generic": read_generic,
    "change": read_change,
}


def shortened(title: str) -> str:
    """A title that fits its column; a long one is cut rather than refused, because a page must not fail on it."""
    return title if len(title) <= TITLE_KEPT else title[: TITLE_KEPT - 1] + "…"


def _fingerprint(labels: dict[str, str]) -> str:
    """A stable key of a label set, for senders that give none."""
    digest = hashlib.sha256()
    for name in sorted(labels):
        digest.update(f"{len(name)}:{name}{len(labels[name])}:{labels[name]}".encode())
    return digest.hexdigest()[:32]


def _items(document: Any) -> list[tuple[Any, str]]:
    if type(document) is not list:
        return [(document, "")]
    _count(document, "")
    return [(item, f"[{index}]") for index, item in enumerate(document)]


def _count(items: list[Any], where: str) -> None:
    if not items:
        raise BadPayload(where, "The list is empty.")
    if len(items) > MAX_ITEMS:
        raise BadPayload(where, f"{len(items)} in one request; at most {MAX_ITEMS} are taken.")


def _join(where: str, name: str) -> str:
    return f"{where}.{name}" if where else name


def _object(value: Any, where: str) -> dict[str, Any]:
    if type(value) is not dict:
        raise BadPayload(where, f"Must be an object, not {_kind_of(value)}.")
    return value


def _kind_of(value: Any) -> str:
    names = {list: "a list", str: "a text", int: "a number", float: "a number", bool: "true or false"}
    return names.get(type(value), "null") if type(value) is not dict else "an object"


def _text(item: dict[str, Any], name: str, where: str, most: int) -> str:
    value = item.get(name)
    if value is None:
        return ""
    if type(value) is not str:
        raise BadPayload(_join(where, name), f"Must be a text, not {_kind_of(value)}.")
    if len(value) > most:
        raise BadPayload(_join(where, name), f"Has {len(value)} characters; at most {most} are allowed.")
    return value


def _texts(item: dict[str, Any], name: str, where: str, most: int) -> dict[str, str]:
    """An object of texts, such as labels."""
    found = item.get(name)
    if found is None:
        return {}
    path = _join(where, name)
    if type(found) is not dict:
        raise BadPayload(path, f"Must be an object of texts, not {_kind_of(found)}.")
    if len(found) > MAX_LABELS:
        raise BadPayload(path, f"Has {len(found)} entries; at most {MAX_LABELS} are allowed.")
    for key, value in found.items():
        if type(value) is not str:
            raise BadPayload(f"{path}.{key[:80]}", f"Must be a text, not {_kind_of(value)}.")
        if len(value) > most:
            raise BadPayload(f"{path}.{key[:80]}", f"Has {len(value)} characters; at most {most} are allowed.")
        if not 0 < len(key) <= MAX_LABEL_NAME:
            raise BadPayload(path, f"Names have 1 to {MAX_LABEL_NAME} characters.")
    return found


def _followable(link: str) -> bool:
    return link.startswith(("http://", "https://")) and len(link) <= MAX_LINK and link.isprintable() and " " not in link


def _link(item: dict[str, Any], where: str, most: int = MAX_LINK) -> str:
    link = _text(item, "link", where, most)
    if link and not _followable(link):
        raise BadPayload(_join(where, "link"), "Must be an address that begins with http:// or https://.")
    return link


def _instant(item: dict[str, Any], name: str, where: str) -> datetime | None:
    """An RFC 3339 instant in UTC; year 1, as Go writes an unset time, counts as none."""
    value = item.get(name)
    if value is None:
        return None
    found = _parsed_instant(value)
    if found is None:
        raise BadPayload(
            _join(where, name),
            "Must be an RFC 3339 date and time with its time zone, for example 2026-05-01T12:00:00Z.",
        )
    return None if found.year == 1 else found


def _parsed_instant(value: Any) -> datetime | None:
    if type(value) is not str or len(value) > MAX_INSTANT or "T" not in value:
        return None
    try:
        found = datetime.fromisoformat(value)
        if found.year == 1 or found.tzinfo is None:
            return found if found.tzinfo else None
        return found.astimezone(UTC)
    except (ValueError, OverflowError):
        return None
