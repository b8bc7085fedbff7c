"""Fields of a JSON document: taken out with a check, and with the path of what is wrong with them."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime, tzinfo
from typing import Any

from apps.alerts.documents import BadPayload

TYPE_LABEL, METRIC_LABEL = "incident_type", "metric"
BESIDE_LABELS = {"type": TYPE_LABEL, "metric": METRIC_LABEL}
"""Fields that stand beside an alert's labels in a payload, and become labels of these names."""
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


def shortened(title: str) -> str:
    """A title that fits its column; a long one is cut rather than refused, because a page must not fail on it."""
    return title if len(title) <= TITLE_KEPT else title[: TITLE_KEPT - 1] + "…"


def fingerprint(labels: dict[str, str]) -> str:
    """A stable key of a label set, for senders that give none."""
    digest = hashlib.sha256()
    for name in sorted(labels):
        digest.update(f"{len(name)}:{name}{len(labels[name])}:{labels[name]}".encode())
    return digest.hexdigest()[:32]


def items_of(document: Any) -> list[tuple[Any, str]]:
    if type(document) is not list:
        return [(document, "")]
    count_items(document, "")
    return [(item, f"[{index}]") for index, item in enumerate(document)]


def count_items(items: list[Any], where: str) -> None:
    if not items:
        raise BadPayload(where, "The list is empty.")
    if len(items) > MAX_ITEMS:
        raise BadPayload(where, f"{len(items)} in one request; at most {MAX_ITEMS} are taken.")


def join(where: str, name: str) -> str:
    return f"{where}.{name}" if where else name


def object_of(value: Any, where: str) -> dict[str, Any]:
    if type(value) is not dict:
        raise BadPayload(where, f"Must be an object, not {kind_of(value)}.")
    return value


def kind_of(value: Any) -> str:
    names = {list: "a list", str: "a text", int: "a number", float: "a number", bool: "true or false"}
    return names.get(type(value), "null") if type(value) is not dict else "an object"


def text_of(item: dict[str, Any], name: str, where: str, most: int) -> str:
    value = item.get(name)
    if value is None:
        return ""
    if type(value) is not str:
        raise BadPayload(join(where, name), f"Must be a text, not {kind_of(value)}.")
    if len(value) > most:
        raise BadPayload(join(where, name), f"Has {len(value)} characters; at most {most} are allowed.")
    return value


def texts_of(item: dict[str, Any], name: str, where: str, most: int) -> dict[str, str]:
    """An object of texts, such as labels."""
    found = item.get(name)
    if found is None:
        return {}
    path = join(where, name)
    if type(found) is not dict:
        raise BadPayload(path, f"Must be an object of texts, not {kind_of(found)}.")
    if len(found) > MAX_LABELS:
        raise BadPayload(path, f"Has {len(found)} entries; at most {MAX_LABELS} are allowed.")
    for key, value in found.items():
        if type(value) is not str:
            raise BadPayload(f"{path}.{key[:80]}", f"Must be a text, not {kind_of(value)}.")
        if len(value) > most:
            raise BadPayload(f"{path}.{key[:80]}", f"Has {len(value)} characters; at most {most} are allowed.")
        if not 0 < len(key) <= MAX_LABEL_NAME:
            raise BadPayload(path, f"Names have 1 to {MAX_LABEL_NAME} characters.")
    return found


def followable(link: str) -> bool:
    return link.startswith(("http://", "https://")) and len(link) <= MAX_LINK and link.isprintable() and " " not in link


def link_of(item: dict[str, Any], where: str, most: int = MAX_LINK) -> str:
    link = text_of(item, "link", where, most)
    if link and not followable(link):
        raise BadPayload(join(where, "link"), "Must be an address that begins with http:// or https://.")
    return link


def instant_of(item: dict[str, Any], name: str, where: str) -> datetime | None:
    """An RFC 3339 instant in UTC; year 1, as Go writes an unset time, counts as none."""
    value = item.get(name)
    if value is None:
        return None
    found = parsed_instant(value)
    if found is None:
        raise BadPayload(
            join(where, name),
            "Must be an RFC 3339 date and time with its time zone, for example 2026-05-01T12:00:00Z.",
        )
    return None if found.year == 1 else found


def parsed_instant(value: Any, zone: tzinfo | None = None) -> datetime | None:
    """The instant in UTC that `value` names; `zone` is taken where it names none. None when it names no instant."""
    if type(value) is not str or len(value) > MAX_INSTANT or "T" not in value:
        return None
    try:
        found = datetime.fromisoformat(value)
        if found.tzinfo is None and zone is not None:
            found = found.replace(tzinfo=zone)
        if found.year == 1 or found.tzinfo is None:
            return found if found.tzinfo else None
        return found.astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def short_key(key: str) -> str:
    """A dedup key that fits its column: a long one keeps its beginning and a digest of the whole."""
    if len(key) <= MAX_DEDUP_KEY:
        return key
    return f"{key[: MAX_DEDUP_KEY - 33]}#{hashlib.sha256(key.encode()).hexdigest()[:32]}"
