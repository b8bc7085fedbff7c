"""A mapping: JMESPath expressions that find an alert's fields in a payload of any shape.

Kept at the integration, compiled once in each process, and tried on a sample before it is saved.
https://jmespath.org/specification.html has the language.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

import jmespath
from jmespath.exceptions import JMESPathError

from apps.alerts.documents import BadPayload
from apps.alerts.fields import (
    BESIDE_LABELS,
    MAX_ANNOTATION,
    MAX_DEDUP_KEY,
    MAX_LABEL_NAME,
    MAX_LABEL_VALUE,
    MAX_LABELS,
    MAX_NAME,
    MAX_TITLE,
    fingerprint,
    followable,
    join,
    kind_of,
    parsed_instant,
    shortened,
)
from apps.alerts.payloads import AlertEvent, Status

FIELDS: dict[str, str] = {
    "items": "where the list of alerts is; empty: the payload is one alert, or a list of them",
    "title": "required: what the person on call reads first",
    "dedup_key": "what stays the same from trigger to resolve",
    "status": "a word such as triggered, alerting, open, resolved, recovered, ok; or true while it fires",
    "severity": "the source's own word; the policy pack says what it means",
    "service": "the service's name or slug",
    "type": "what type of incident it is: a type or sub-type of the policy pack, by its name",
    "metric": "which metric it is about: the pack may have a limit for it",
    "link": "where the source shows it",
    "occurred_at": "RFC 3339, or seconds or milliseconds since 1970",
    "labels": "an object, or words such as env:prod,team:web",
    "annotations": "an object of texts; description becomes the incident's summary",
}
MAX_EXPRESSION = 1_000
MAX_MAPPED_ITEMS = 500
MAX_GROWTH = 64
EPOCH_IN_MILLISECONDS = 100_000_000_000

_STATUS: dict[str, Status] = {
    **dict.fromkeys(("trigger", "triggered", "re-triggered", "firing", "alert", "alerting", "open", "opened", "problem",
                     "active", "down", "error", "critical", "warning", "warn", "re-warn", "no data", "re-no data",
                     "renotify", "failed", "failure", "new", "true", "1"), "firing"),
    **dict.fromkeys(("resolve", "resolved", "recovered", "recovery", "ok", "closed", "close", "up", "success", "normal",
                     "cleared", "fixed", "false", "0"), "resolved"),
}  # fmt: skip

PRESETS: dict[str, dict[str, str]] = {
    "datadog": {
        "title": "title",
        "dedup_key": "cycle || aggregate || id",
        "status": "transition",
        "severity": "priority || type",
        "link": "link",
        "occurred_at": "date",
        "labels": "tags",
        "annotations": "{description: body, metric: metric, scope: scope, query: query, monitor: monitor}",
    },
}
DATADOG_PAYLOAD = """{
  "id": "$ID", "monitor": "$ALERT_ID", "cycle": "$ALERT_CYCLE_KEY", "aggregate": "$AGGREG_KEY",
  "title": "$EVENT_TITLE", "body": "$TEXT_ONLY_MSG",
  "transition": "$ALERT_TRANSITION", "type": "$ALERT_TYPE", "priority": "$ALERT_PRIORITY",
  "metric": "$ALERT_METRIC", "query": "$ALERT_QUERY", "scope": "$ALERT_SCOPE",
  "tags": "$TAGS", "link": "$LINK", "date": "$DATE"
}
"""
"""To be pasted as the payload of Datadog's webhook: its own default leaves out what tells a trigger from a recovery."""


class CompiledMapping:
    """Expressions ready to search, by field."""

    def __init__(self, expressions: Mapping[str, str]) -> None:
        if unknown := sorted(set(expressions) - set(FIELDS)):
            raise BadPayload(f"mapping.{unknown[0]}", f"Unknown; known are {', '.join(FIELDS)}.")
        if "title" not in expressions:
            raise BadPayload("mapping.title", "Required: an alert without a title tells nobody anything.")
        self._searches = {field: _compile(field, text) for field, text in expressions.items()}

    def search(self, field: str, item: Any, where: str) -> Any:
        """What the field's expression finds; None without one."""
        found = self._searches.get(field)
        if found is None:
            return None
        try:
            return found.search(item)
        except (JMESPathError, ValueError, TypeError, RecursionError, OverflowError) as error:
            raise BadPayload(join(where, field), f"The mapping's expression fails here: {error}"[:500]) from error

    def __contains__(self, field: str) -> bool:
        return field in self._searches


def _compile(field: str, text: str) -> Any:
    where = f"mapping.{field}"
    if len(text) > MAX_EXPRESSION:
        raise BadPayload(where, f"Has {len(text)} characters; at most {MAX_EXPRESSION} are allowed.")
    try:
        found = jmespath.compile(text)
    except (JMESPathError, RecursionError) as error:
        lines = str(error).splitlines()
        raise BadPayload(where, f"Not a JMESPath expression: {lines[0] if lines else 'empty'}") from error
    if _growth(found.parsed) > MAX_GROWTH:
        raise BadPayload(where, "Repeats its input too often: use fewer lists of expressions.")
    return found


def _growth(node: Any) -> int:
    """How many times over an expression may repeat its input: lists and objects of expressions multiply."""
    if not isinstance(node, dict):
        return 1
    children = node.get("children", [])
    found = max(1, len(children)) if node.get("type") in ("multi_select_list", "multi_select_dict") else 1
    inner = 1
    for child in children:
        inner *= _growth(child)
        if inner > MAX_GROWTH:
            return inner
    return inner * found


@lru_cache(maxsize=1000)
def _compiled(items: tuple[tuple[str, str], ...]) -> CompiledMapping:
    return CompiledMapping(dict(items))


def compiled_mapping(expressions: Mapping[str, str]) -> CompiledMapping:
    """The mapping of these expressions, compiled once. BadPayload names the field whose expression is wrong."""
    return _compiled(tuple(sorted(expressions.items())))


def read_mapped(mapping: CompiledMapping, document: Any) -> list[AlertEvent]:
    """The alerts that the mapping finds; BadPayload names the field it could not fill."""
    found = mapping.search("items", document, "") if "items" in mapping else document
    if "items" in mapping and type(found) is not list:
        raise BadPayload("items", f"The mapping must find a list of alerts here, not {kind_of(found)}.")
    if type(found) is not list:
        return [_alert(mapping, found, "")]
    if not found:
        raise BadPayload("items", "The list is empty.")
    if len(found) > MAX_MAPPED_ITEMS:
        raise BadPayload("items", f"{len(found)} in one request; at most {MAX_MAPPED_ITEMS} are taken with a mapping.")
    return [_alert(mapping, item, f"[{index}]") for index, item in enumerate(found)]


def _alert(mapping: CompiledMapping, item: Any, where: str) -> AlertEvent:
    def text(field: str, most: int) -> str:
        return _text(mapping.search(field, item, where), join(where, field), most)

    status = _status(mapping, item, where)
    title, dedup_key = text("title", MAX_TITLE).strip(), text("dedup_key", MAX_DEDUP_KEY)
    if not title and status == "firing":
        raise BadPayload(join(where, "title"), "Required, but the mapping's expression finds nothing here.")
    if not dedup_key and status == "resolved":
        raise BadPayload(
            join(where, "dedup_key"), "Required to resolve, but the mapping's expression finds nothing here."
        )
    service = text("service", MAX_NAME)
    labels = _pairs(mapping.search("labels", item, where), join(where, "labels"), MAX_LABEL_VALUE)
    beside = {label: text(field, MAX_NAME) for field, label in BESIDE_LABELS.items()}
    link = text("link", MAX_ANNOTATION)
    return AlertEvent(
        dedup_key=dedup_key or fingerprint({**labels, " title": title, " service": service}),
        status=status,
        title=shortened(title or dedup_key),
        severity=text("severity", MAX_NAME),
        service=service,
        labels=labels | {label: found for label, found in beside.items() if found},
        annotations=_pairs(mapping.search("annotations", item, where), join(where, "annotations"), MAX_ANNOTATION),
        link=link if followable(link) else "",
        starts_at=_instant(mapping.search("occurred_at", item, where), join(where, "occurred_at")),
    )


def _status(mapping: CompiledMapping, item: Any, where: str) -> Status:
    found = mapping.search("status", item, where)
    if found is None or found == "":
        return "firing"
    word = _text(found, join(where, "status"), MAX_NAME)
    status = _STATUS.get(word.strip().lower())
    if status is None:
        raise BadPayload(
            join(where, "status"), f"{word!r} is neither a word for firing nor for resolved: map it, as in "
            "`state == 'fine' && 'resolved' || 'firing'`."
        )  # fmt: skip
    return status


def _text(value: Any, where: str, most: int) -> str:
    """Numbers and truth values as text; BadPayload for lists and objects, and for what is too long."""
    if value is None:
        return ""
    if type(value) is bool:
        return "true" if value else "false"
    if type(value) not in (str, int, float):
        raise BadPayload(where, f"The mapping must find a text here, not {kind_of(value)}.")
    text = str(value)
    if len(text) > most:
        raise BadPayload(where, f"Has {len(text)} characters; at most {most} are allowed.")
    return text


def _pairs(value: Any, where: str, most: int) -> dict[str, str]:
    """An object of texts; a list or a text of words `name:value` is one too, as Datadog and StatsD write tags."""
    if value is None or value == "":
        return {}
    if type(value) is str:
        value = value.split(",")
    if type(value) is list:
        words = [_text(word, where, most).strip() for word in value]
        value = {name: rest or "true" for name, _, rest in (word.partition(":") for word in words) if name}
    if type(value) is not dict:
        raise BadPayload(where, f"The mapping must find an object or a list of words here, not {kind_of(value)}.")
    if len(value) > MAX_LABELS:
        raise BadPayload(where, f"Has {len(value)} entries; at most {MAX_LABELS} are allowed.")
    for name in value:
        if not 0 < len(name) <= MAX_LABEL_NAME:
            raise BadPayload(where, f"Names have 1 to {MAX_LABEL_NAME} characters.")
    texts = {name: _text(item, f"{where}.{name[:80]}", most) for name, item in value.items()}
    return {name: text for name, text in texts.items() if text}


def _instant(value: Any, where: str) -> datetime | None:
    if value is None or value == "":
        return None
    number = float(value) if type(value) is str and value.isascii() and value.isdigit() else value
    found: datetime | None
    if type(number) in (int, float):
        try:
            found = datetime.fromtimestamp(number / 1000 if number >= EPOCH_IN_MILLISECONDS else number, UTC)
        except (ValueError, OverflowError, OSError):
            found = None
    else:
        found = parsed_instant(number, zone=UTC)
    if found is None:
        raise BadPayload(where, "Must be an RFC 3339 date and time, or seconds or milliseconds since 1970.")
    return None if found.year == 1 else found
