"""What differs between two versions: by lines, and by meaning."""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

NAMES = ("id", "slug", "level")
"""Keys by which entries of a list are recognised, so that one that only moved is not told as changed."""


@dataclass(frozen=True, slots=True)
class Difference:
    """One place that differs. `before` and `after` are JSON texts; empty where the place does not exist."""

    path: str
    change: Literal["added", "removed", "changed"]
    before: str
    after: str

    def as_json(self) -> dict[str, str]:
        return {"path": self.path, "change": self.change, "before": self.before, "after": self.after}


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a unified diff and what it is."""

    kind: Literal["head", "added", "removed", "same"]
    text: str


def structural(before: Any, after: Any) -> list[Difference]:
    """Every place that differs between two documents, in the order of the newer one, removals after additions."""
    return list(_compare(before, after, ""))


def unified(before: str, after: str, *, names: tuple[str, str] = ("before", "after")) -> list[str]:
    """A unified diff with three lines of context; an empty list for equal texts."""
    return list(difflib.unified_diff(before.splitlines(), after.splitlines(), *names, lineterm=""))


def lines(before: str, after: str, *, names: tuple[str, str] = ("before", "after")) -> list[Line]:
    """The same, each line with its kind."""
    return [Line(_kind(text, index), text) for index, text in enumerate(unified(before, after, names=names))]


def _kind(text: str, index: int) -> Literal["head", "added", "removed", "same"]:
    if index < 2 or text.startswith("@@"):  # noqa: PLR2004  # a unified diff opens with two lines of names
        return "head"
    return "added" if text.startswith("+") else "removed" if text.startswith("-") else "same"


def _compare(before: Any, after: Any, path: str) -> Iterator[Difference]:
    if isinstance(before, dict) and isinstance(after, dict):
        yield from _members(before, after, path)
    elif isinstance(before, list) and isinstance(after, list) and (named := _named(before, after)):
        yield from _members(*named, path)
    elif type(before) is not type(after) or before != after:
        yield Difference(path, "changed", _text(before), _text(after))


def _members(before: dict[str, Any], after: dict[str, Any], path: str) -> Iterator[Difference]:
    for key, value in after.items():
        place = key if not path or key.startswith("[") else f".{key}"
        if key in before:
            yield from _compare(before[key], value, path + place)
        else:
            yield Difference(path + place, "added", "", _text(value))
    for key, value in before.items():
        if key not in after:
            place = key if not path or key.startswith("[") else f".{key}"
            yield Difference(path + place, "removed", _text(value), "")


def _named(before: list[Any], after: list[Any]) -> tuple[dict[str, Any], dict[str, Any]] | None:
    """Both lists by the names of their entries, where all entries of both have one and no name comes twice."""
    for name in NAMES:
        if all(isinstance(entry, dict) and name in entry for entry in [*before, *after]):
            old = {f"[{entry[name]}]": entry for entry in before}
            new = {f"[{entry[name]}]": entry for entry in after}
            if len(old) == len(before) and len(new) == len(after):
                return old, new
    return None


def _text(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)
