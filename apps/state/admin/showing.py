"""What the pages show of contents: text with masked secrets, and diffs as rows."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from apps.state.contents import shown
from apps.state.diffs import structural_diff
from apps.state.models import ConfigVersion
from apps.state.queries import verifies
from apps.state.schemas import as_sentence, content_problems

MOST_ROWS = 200
LONGEST_VALUE = 300
_SIGNS = {"added": "+", "removed": "−", "changed": "→"}


@dataclass(frozen=True, slots=True)
class Row:
    """One place that differs, as text."""

    path: str
    op: str
    sign: str
    before: str
    after: str


@dataclass(frozen=True, slots=True)
class Diff:
    """What the diff table shows: its rows, and how many there are in all."""

    rows: list[Row]
    count: int

    @property
    def left_out(self) -> int:
        return self.count - len(self.rows)


def diff_of(before: Any, after: Any) -> Diff:
    """The places in which two contents differ."""
    return diff_rows(structural_diff(before, after))


def diff_rows(changes: list[dict[str, Any]]) -> Diff:
    """Changes as `structural_diff` gives them, for the table."""
    rows = [
        Row(
            path=change["path"] or "(the whole document)",
            op=change["op"],
            sign=_SIGNS[change["op"]],
            before="" if change["op"] == "added" else _value(change["before"]),
            after="" if change["op"] == "removed" else _value(change["after"]),
        )
        for change in changes[:MOST_ROWS]
    ]
    return Diff(rows, len(changes))


def _value(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= LONGEST_VALUE else f"{text[:LONGEST_VALUE]}…"


def text_of(content: Any) -> str:
    """A content for reading and editing, its secrets masked."""
    return json.dumps(shown(content), ensure_ascii=False, indent=2, sort_keys=True)


def warnings_of(version: ConfigVersion, schema: dict[str, Any]) -> list[str]:
    """What is wrong with a stored version."""
    found = [] if verifies(version) else ["Its content no longer has the checksum it was stored with."]
    return [
        *found,
        *(f"It breaks the schema: {as_sentence(entry)}" for entry in content_problems(schema, version.content)),
    ]
