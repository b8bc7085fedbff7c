"""The world's players and villages: some thousand documents with versions, of which only what changed is kept."""

from __future__ import annotations

import copy
import json
import threading
from bisect import bisect_right
from pathlib import Path
from typing import Any

from apps.demo.world.game import WorldError

COUNTS = {"players": 1500, "villages": 240}
MOST_AT_ONCE = 1000
DUPED = 40
_ITEMS = ("torch", "ember blade", "oak shield", "healing draught", "iron ore", "silver key")
_LANDS = ("Ashvale", "Cinder Coast", "Frostmere", "Greenhollow")


def born(kind: str, number: int) -> dict[str, Any]:
    """What a player or village is before anything happens to it; always the same."""
    if kind == "players":
        return {
            "name": f"Player {number}",
            "level": 1 + number * 7 % 60,
            "gold": 50 + number * 37 % 4000,
            "inventory": [
                {"item": _ITEMS[number % 6], "count": 1 + number % 4},
                {"item": _ITEMS[(number + 2) % 6], "count": 1},
            ],
            "home": f"village-{number % COUNTS['villages']:04}",
        }
    return {
        "name": f"{_LANDS[number % 4]} {number // 4 + 1}",
        "owner": f"player-{number * 5 % COUNTS['players']:05}",
        "wood": 200 + number * 13 % 900,
        "stone": 100 + number * 29 % 700,
        "walls": {"level": 1 + number % 10, "damage": 0},
    }


def _key(kind: str, number: int) -> str:
    return f"player-{number:05}" if kind == "players" else f"village-{number:04}"


class Folk:
    """All entities. Every method may be called from any thread; changes are saved at once."""

    def __init__(self, state_file: Path) -> None:
        self._file = state_file
        self._lock = threading.RLock()
        self._keys = {kind: [_key(kind, number) for number in range(count)] for kind, count in COUNTS.items()}
        self._changed: dict[str, dict[str, Any]] = self._load()

    def _load(self) -> dict[str, dict[str, Any]]:
        try:
            found = json.loads(self._file.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            found = {}
        return {kind: dict(found.get(kind) or {}) if isinstance(found, dict) else {} for kind in COUNTS}

    def _save(self) -> None:
        self._file.parent.mkdir(parents=True, exist_ok=True)
        fresh = self._file.with_suffix(".new")
        fresh.write_text(json.dumps(self._changed), encoding="utf-8")
        fresh.replace(self._file)

    def page(self, kind: str, after: str, limit: int) -> tuple[list[dict[str, Any]], int]:
        """The entities that come after an id, ascending, and how many there are in all."""
        with self._lock:
            keys = self._known(kind)
            begin = bisect_right(keys, after)
            chosen = keys[begin : begin + min(max(limit, 1), MOST_AT_ONCE)]
            return [self._one(kind, key) for key in chosen], len(keys)

    def one(self, kind: str, key: str) -> dict[str, Any]:
        """One entity; 404 for one that there is none of."""
        with self._lock:
            keys = self._known(kind)
            at = bisect_right(keys, key) - 1
            if at < 0 or keys[at] != key:
                raise WorldError(404, f"There is no {key}.")
            return self._one(kind, key)

    def put(self, kind: str, key: str, document: Any, *, expected_version: Any) -> dict[str, Any]:
        """Store the next version if the current one is still `expected_version`, else 409."""
        if not isinstance(document, dict):
            raise WorldError(400, "The document must be a JSON object.")
        with self._lock:
            current = self.one(kind, key)
            if current["version"] != expected_version:
                raise WorldError(409, "Somebody changed it before you.", version=current["version"])
            self._changed[kind][key] = {"version": current["version"] + 1, "document": copy.deepcopy(document)}
            self._save()
            return self._one(kind, key)

    def dupe(self) -> int:
        """An exploit: some players copy their gold and their first item; returns how many."""
        with self._lock:
            for number in range(7, 7 + DUPED * 31, 31):
                row = self._one("players", _key("players", number))
                document = row["document"]
                document["gold"] += 1_000_000
                document["inventory"][0]["count"] += 99
                self._changed["players"][row["id"]] = {"version": row["version"] + 1, "document": document}
            self._save()
        return DUPED

    def _known(self, kind: str) -> list[str]:
        if kind not in self._keys:
            raise WorldError(404, f"There are no {kind}: there are {' and '.join(COUNTS)}.")
        return self._keys[kind]

    def _one(self, kind: str, key: str) -> dict[str, Any]:
        number = int(key.rpartition("-")[2])
        row = self._changed[kind].get(key) or {"version": 1, "document": born(kind, number)}
        return {"id": key, **copy.deepcopy(row)}
