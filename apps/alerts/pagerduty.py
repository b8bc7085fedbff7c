"""PagerDuty's Events API v2: alerts and changes, as its client libraries and all that speak to it send them.

https://developer.pagerduty.com/docs/events-api-v2/ is the source of names, limits and which fields are required.
"""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime
from typing import Any

from apps.alerts.documents import BadPayload
from apps.alerts.fields import (
    MAX_ANNOTATION,
    MAX_LABEL_NAME,
    MAX_LABEL_VALUE,
    MAX_LABELS,
    MAX_NAME,
    MAX_TITLE,
    followable,
    kind_of,
    object_of,
    parsed_instant,
    short_key,
    shortened,
    text_of,
)
from apps.alerts.payloads import AlertEvent, ChangeEvent, Status

MAX_KEY = 255
_ACTIONS: dict[str, Status] = {"trigger": "firing", "acknowledge": "acknowledged", "resolve": "resolved"}
_SEVERITIES = ("critical", "error", "warning", "info")
_PAYLOAD = "payload"
_FIELDS = ("source", "component", "group", "class")


def routing_key(document: Any) -> str:
    """The integration's key, which these events carry in their body."""
    event = object_of(document, "")
    found = text_of(event, "routing_key", "", MAX_KEY)
    if not found:
        raise BadPayload("routing_key", "Required: it is the key of the integration.")
    return found


def read_event(document: Any) -> list[AlertEvent]:
    """One event; a trigger without a `dedup_key` gets one from its receipt. A key over 200 characters is shortened."""
    event = object_of(document, "")
    status = _ACTIONS.get(text_of(event, "event_action", "", MAX_NAME))
    if status is None:
        raise BadPayload("event_action", 'Must be "trigger", "acknowledge" or "resolve".')
    dedup_key = text_of(event, "dedup_key", "", MAX_KEY)
    if status == "firing":
        return [_trigger(event, short_key(dedup_key))]
    if not dedup_key:
        raise BadPayload("dedup_key", "Required: it says which alert is meant.")
    return [AlertEvent(short_key(dedup_key), status, shortened(dedup_key), "", "", {}, {}, "", None)]


def given_key(document: dict[str, Any]) -> str:
    """The dedup key exactly as the sender wrote it, to be told back."""
    return str(document.get("dedup_key") or "")


def made_key(receipt_id: int) -> str:
    """The dedup key of a trigger that came without one, in the look of PagerDuty's own."""
    return hashlib.sha256(f"receipt {receipt_id}".encode()).hexdigest()[:32]


def _trigger(event: dict[str, Any], dedup_key: str) -> AlertEvent:
    if event.get(_PAYLOAD) is None:
        raise BadPayload(_PAYLOAD, "Required for a trigger: an object with summary, source and severity.")
    payload = object_of(event[_PAYLOAD], _PAYLOAD)
    summary = _required(payload, "summary", MAX_TITLE).strip()
    if not summary:
        raise BadPayload(f"{_PAYLOAD}.summary", "Required: it is what the person on call reads first.")
    _required(payload, "source", MAX_LABEL_VALUE)
    severity = _required(payload, "severity", MAX_NAME).lower()
    if severity not in _SEVERITIES:
        raise BadPayload(f"{_PAYLOAD}.severity", f"Must be one of {', '.join(_SEVERITIES)}.")
    labels = {name: found for name in _FIELDS if (found := text_of(payload, name, _PAYLOAD, MAX_LABEL_VALUE))}
    details = _details(payload)
    client = {name: text_of(event, name, "", MAX_LABEL_VALUE) for name in ("client", "client_url")}
    links = _links(event)
    return AlertEvent(
        dedup_key=dedup_key,
        status="firing",
        title=shortened(summary),
        severity=severity,
        service=details.get("service", "")[:MAX_NAME] or labels.get("component", "")[:MAX_NAME],
        labels={**_as_labels(details), **labels},
        annotations={name: text for name, text in {**details, **client, **_images(event)}.items() if text},
        link=next((link for link in [*links, client["client_url"]] if followable(link)), ""),
        starts_at=_moment(payload),
    )


def read_change_event(document: Any) -> list[ChangeEvent]:
    """One change event, which pages nobody."""
    event = object_of(document, "")
    if event.get(_PAYLOAD) is None:
        raise BadPayload(_PAYLOAD, "Required: an object with a summary.")
    payload = object_of(event[_PAYLOAD], _PAYLOAD)
    summary = _required(payload, "summary", MAX_TITLE).strip()
    if not summary:
        raise BadPayload(f"{_PAYLOAD}.summary", "Required: say what was changed.")
    source = text_of(payload, "source", _PAYLOAD, MAX_LABEL_VALUE)
    details = _details(payload)
    return [
        ChangeEvent(
            title=shortened(summary),
            kind="deploy",
            service=details.get("service", "")[:MAX_NAME],
            environment=details.get("environment", "")[:MAX_NAME],
            version=(details.get("version") or details.get("build") or "")[:MAX_NAME],
            author=(details.get("author") or details.get("user") or "")[:MAX_NAME],
            link=next((link for link in _links(event) if followable(link) and len(link) <= 500), ""),  # noqa: PLR2004  # the column of a change
            dedup_key="",
            labels={**_as_labels(details), **({"source": source} if source else {})},
            occurred_at=_moment(payload),
        )
    ]


def _required(payload: dict[str, Any], name: str, most: int) -> str:
    found = text_of(payload, name, _PAYLOAD, most)
    if not found:
        raise BadPayload(f"{_PAYLOAD}.{name}", "Required, and must not be empty.")
    return found


def _details(payload: dict[str, Any]) -> dict[str, str]:
    """`custom_details` as texts: an object, or any other value under the name "details". What is nested is left out."""
    found = payload.get("custom_details")
    if found is None:
        return {}
    if type(found) is not dict:
        return {"details": _said(found)[:MAX_ANNOTATION]} if _said(found) else {}
    if len(found) > MAX_LABELS:
        raise BadPayload(f"{_PAYLOAD}.custom_details", f"Has {len(found)} entries; at most {MAX_LABELS} are allowed.")
    texts = {name[:MAX_LABEL_NAME]: _said(value)[:MAX_ANNOTATION] for name, value in found.items() if name}
    return {name: text for name, text in texts.items() if text}


def _said(value: Any) -> str:
    if type(value) is bool:
        return "true" if value else "false"
    return str(value) if type(value) in (str, int, float) else ""


def _as_labels(details: dict[str, str]) -> dict[str, str]:
    """Only what is short enough to be looked up by: long texts are annotations."""
    return {name: text for name, text in details.items() if len(text) <= MAX_NAME}


def _links(event: dict[str, Any]) -> list[str]:
    return [href for item in _objects(event, "links") if type(href := item.get("href")) is str]


def _images(event: dict[str, Any]) -> dict[str, str]:
    sources = [source for item in _objects(event, "images") if type(source := item.get("src")) is str]
    return {"images": "\n".join(filter(followable, sources))[:MAX_ANNOTATION]}


def _objects(event: dict[str, Any], name: str) -> list[dict[str, Any]]:
    found = event.get(name)
    if found is None:
        return []
    if type(found) is not list:
        raise BadPayload(name, f"Must be a list of objects, not {kind_of(found)}.")
    return [object_of(item, f"{name}[{index}]") for index, item in enumerate(found)]


def _moment(payload: dict[str, Any]) -> datetime | None:
    """ISO 8601; without a zone it is UTC, as for PagerDuty, and its own Python library ends one with "+00:00Z"."""
    value = payload.get("timestamp")
    if value is None or value == "":
        return None
    text = value.removesuffix("Z") if type(value) is str and value.endswith("+00:00Z") else value
    found = parsed_instant(text, zone=UTC)
    if found is None:
        raise BadPayload(
            f"{_PAYLOAD}.timestamp", "Must be an ISO 8601 date and time, for example 2026-05-01T12:00:00Z."
        )
    return None if found.year == 1 else found
