"""What differs between two states of a document, place by place, with secrets masked."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from apps.foundation.redaction import MASK, redact
from apps.state.contents import canonical, checksum, join

__all__ = ["checksum", "structural_diff"]

Place = tuple[str | int, ...]


def structural_diff(before: Any, after: Any) -> list[dict[str, Any]]:
    """Every place that differs: `path` ("economy.drop_rate", "items[0]"), `op`, `before` and `after`.

    `op` is changed, added or removed; an absent side is None. Lists are compared by index, and what comes under a
    secret-sounding name, or looks like a secret, is masked: two secrets that differ are a change from mask to mask.
    Sorted by path, numbers by value. Equal numbers are equal however they are written.
    """
    found = sorted(_compare(canonical(before), canonical(after), ()), key=lambda entry: _order(entry[0]))
    return [_shown(*entry) for entry in found]


def _compare(before: Any, after: Any, place: Place) -> Iterator[tuple[Place, str, Any, Any]]:
    if isinstance(before, dict) and isinstance(after, dict):
        yield from _members(before, after, place)
    elif isinstance(before, list) and isinstance(after, list):
        yield from _members(dict(enumerate(before)), dict(enumerate(after)), place)
    elif type(before) is not type(after) or before != after:
        yield place, "changed", before, after


def _members(before: dict[Any, Any], after: dict[Any, Any], place: Place) -> Iterator[tuple[Place, str, Any, Any]]:
    for step in before.keys() | after.keys():
        here = (*place, step)
        if step not in after:
            yield here, "removed", before[step], None
        elif step not in before:
            yield here, "added", None, after[step]
        else:
            yield from _compare(before[step], after[step], here)


def _order(place: Place) -> tuple[tuple[int, int, str], ...]:
    return tuple((0, step, "") if isinstance(step, int) else (1, 0, step) for step in place)


def _shown(place: Place, op: str, before: Any, after: Any) -> dict[str, Any]:
    path = ""
    for step in place:
        path = join(path, step)
    secret = any(_is_secret_name(step) for step in place)
    return {"path": path, "op": op, "before": _masked(before, secret), "after": _masked(after, secret)}


def _is_secret_name(step: str | int) -> bool:
    return isinstance(step, str) and redact({step: 1})[step] == MASK


def _masked(value: Any, secret: bool) -> Any:
    if secret:
        return MASK if value else value
    return redact(value)
