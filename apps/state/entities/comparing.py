"""What differs between two snapshots: a merge of two ascending streams, one chunk of each in memory."""

from __future__ import annotations

import re
import zlib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import orjson

from apps.state.diffs import structural_diff
from apps.state.entities.models import DiffChunk, SnapshotDiff
from apps.state.entities.packing import Damaged, chunks_from, inflated, unpacked

MOST_PLACES = 100
"""How many places of an entity are shown at once."""
_MOST_PLACES_BYTES = 128 * 1024  # of one entity, beyond its first hundred places
MOST_FIELDS = 500
LONGEST_VALUE = 500
OTHER = "(other places)"
OPS = ("added", "removed", "changed")
_INDEX = re.compile(r"\[[0-9]+\]")

Entry = dict[str, Any]


@dataclass(slots=True)
class Side:
    """One snapshot, read line by line; `position` is that of the chunk in which the present line stands."""

    snapshot_id: int
    position: int
    after: str
    id: str = ""
    line: bytes = b""
    row: Any = None
    _lines: Iterator[tuple[int, bytes]] = field(init=False)

    def __post_init__(self) -> None:
        self._lines = self._read(self.position)
        self.move()
        while self.id and self.id <= self.after:
            self.move()

    def _read(self, position: int) -> Iterator[tuple[int, bytes]]:
        for chunk in chunks_from(self.snapshot_id, position):
            for line in unpacked(chunk).split(b"\n"):
                yield chunk.position, line

    def move(self) -> None:
        """On to the next entity; an empty `id` is the end."""
        found = next(self._lines, None)
        if found is None:
            self.id, self.line, self.row = "", b"", None
            return
        self.position, self.line = found
        self.row = orjson.loads(self.line)
        self.id = self.row["id"]


def merged(before: Side, after: Side) -> Iterator[tuple[str, Entry | None]]:
    """Each id of either side, ascending, and how it differs (None: not at all). Raises Damaged."""
    while before.id or after.id:
        if before.id and (not after.id or before.id < after.id):
            yield before.id, entry(before.row, None)
            before.move()
        elif after.id and (not before.id or after.id < before.id):
            yield after.id, entry(None, after.row)
            after.move()
        else:
            yield before.id, entry(before.row, after.row) if before.line != after.line else None
            before.move()
            after.move()


def entry(before: Any, after: Any) -> Entry | None:
    """One entity that differs: its changes with secrets masked; None where only the version does."""
    op = "added" if before is None else "removed" if after is None else "changed"
    changes = structural_diff(before["document"] if before else {}, after["document"] if after else {})
    if op == "changed" and not changes:
        return None
    return {
        "id": (before or after)["id"],
        "op": op,
        "before_version": before["version"] if before else None,
        "after_version": after["version"] if after else None,
        "change_count": len(changes),
        "changes": _kept(changes),
    }


def _kept(changes: list[Entry]) -> list[Entry]:
    """The places as a diff stores them: all, until they are too many bytes. Some hundred always fit."""
    found: list[Entry] = []
    size = 0
    for change in changes:
        kept = {**change, "before": _short(change["before"]), "after": _short(change["after"])}
        if len(found) >= MOST_PLACES:
            size += len(orjson.dumps(kept))
            if size > _MOST_PLACES_BYTES:
                break
        found.append(kept)
    return found


def is_cut(found: Entry) -> bool:
    """Whether a stored entry lacks places that differ, so that a filter can't tell for sure that it does not fit."""
    return int(found["change_count"]) > len(found["changes"])


def _short(value: Any) -> Any:
    """A value as a diff keeps it: long ones are cut, for the snapshots hold them whole."""
    if isinstance(value, bool | int | float) or value is None:
        return value
    text = value if isinstance(value, str) else orjson.dumps(value).decode()
    return value if len(text) <= LONGEST_VALUE else f"{text[:LONGEST_VALUE]}…"


def general(path: str) -> str:
    """A path for all entries of a list: `items[3].count` is `items[*].count`."""
    return _INDEX.sub("[*]", path)


def count_fields(counted: Counter[str], found: Entry) -> None:
    """Count an entity once at each place where it differs; from some hundred places on, together."""
    for path in {general(change["path"]) for change in found["changes"]}:
        counted[path if path in counted or len(counted) < MOST_FIELDS else OTHER] += 1


def packed(entries: list[Entry]) -> bytes:
    """Entries as they are stored."""
    return zlib.compress(b"\n".join(orjson.dumps(each) for each in entries), 6)


def entries_of(chunk: DiffChunk) -> list[Entry]:
    """The entries of a stored chunk. Raises Damaged."""
    raw = inflated(bytes(chunk.data))
    if raw is None:
        raise Damaged(f"Diff {chunk.diff_id} is damaged in chunk {chunk.position}: compare the snapshots again.")
    return [orjson.loads(line) for line in raw.split(b"\n") if line]


# --- filters --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Filter:
    """Which entities of a diff: all four must hold. In `path` and `id` a `*` stands for anything.

    `path` and `delta` are about places: one and the same place must fit both. `delta` is how far a number moved.
    """

    op: str = ""
    path: str = ""
    id: str = ""
    delta: float | None = None

    @property
    def is_empty(self) -> bool:
        return not (self.op or self.path or self.id) and self.delta is None

    def told(self) -> str:
        """The filter in words."""
        parts = [self.op] if self.op else []
        parts += [f"at {self.path}"] if self.path else []
        parts += [f"id {self.id}"] if self.id else []
        parts += [f"moved by more than {self.delta:g}"] if self.delta is not None else []
        return ", ".join(parts) or "all that differ"

    def fitting(self, found: Entry) -> Entry | None:
        """The entry with those of its places that fit; None when it does not.

        With `may_fit` none of those that are stored fits, but not all are stored.
        """
        if (self.op and found["op"] != self.op) or (self.id and not globbed(self.id, found["id"])):
            return None
        if not self.path and self.delta is None:
            return found
        changes = [change for change in found["changes"] if self._fits(change)]
        if not changes and is_cut(found):
            return {**found, "changes": [], "may_fit": True}
        return {**found, "changes": changes, "change_count": len(changes)} if changes else None

    def _fits(self, change: Entry) -> bool:
        path = change["path"]
        if self.path and not (globbed(self.path, path) or globbed(self.path, general(path))):
            return False
        return self.delta is None or _moved(change["before"], change["after"]) > self.delta


def _moved(before: Any, after: Any) -> float:
    numbers = all(isinstance(value, int | float) and not isinstance(value, bool) for value in (before, after))
    return abs(after - before) if numbers else -1.0


def globbed(pattern: str, text: str) -> bool:
    """Whether the text is what the pattern says, in linear time: `*` is any run of characters, all else itself."""
    first, *rest = pattern.split("*")
    if not rest:
        return text == first
    if not text.startswith(first) or not text.endswith(rest[-1]) or len(text) < len(first) + len(rest[-1]):
        return False
    at, end = len(first), len(text) - len(rest[-1])
    for part in rest[:-1]:
        found = text.find(part, at, end)
        if found < 0:
            return False
        at = found + len(part)
    return True


@dataclass(slots=True)
class Looked:
    """What a filter finds: a page of entries, and the scope of all that fit; apart from them how many more may."""

    entries: list[Entry] = field(default_factory=list)
    total: int = 0
    may_fit: int = 0
    ops: Counter[str] = field(default_factory=Counter)
    fields: Counter[str] = field(default_factory=Counter)
    last_id: str = ""
    has_more: bool = False


def walk(diff: SnapshotDiff, chosen: Filter, *, after: str = "") -> Iterator[Entry]:
    """All entries that fit, in the order of their ids; one chunk at a time is in memory."""
    position = 0
    while (chunk := DiffChunk.objects.filter(diff=diff, position=position).first()) is not None:
        position += 1
        if chunk.last_id <= after:
            continue
        for found in entries_of(chunk):
            fit = chosen.fitting(found) if found["id"] > after else None
            if fit is not None:
                yield fit


def look(diff: SnapshotDiff, chosen: Filter, *, after: str = "", limit: int = 50) -> Looked:
    """One page of the entries that fit, and the scope of all: how many entities, of which kinds, at which places."""
    result = Looked()
    for found in walk(diff, chosen, after=after if chosen.is_empty else ""):
        if found["id"] > after:
            if len(result.entries) < limit:
                result.entries.append({**found, "changes": found["changes"][:MOST_PLACES]})
                result.last_id = found["id"]
            else:
                result.has_more = True
        if chosen.is_empty:  # the scope of everything is stored
            if result.has_more:
                break
            continue
        if found.get("may_fit"):
            result.may_fit += 1
            continue
        result.total += 1
        result.ops[found["op"]] += 1
        count_fields(result.fields, found)
    if chosen.is_empty:
        result.total, result.fields = diff.entity_count, Counter(diff.fields)
        result.ops = Counter(added=diff.added_count, removed=diff.removed_count, changed=diff.changed_count)
    return result
