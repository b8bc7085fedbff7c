"""The state of the game: a versioned config, live events, faults and counters, kept in one file."""

from __future__ import annotations

import copy
import json
import math
import threading
import time
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from apps.demo.world.traffic import Signals, signals

FAULTS = {
    "bad-config": "A config with a drop rate of 500 % goes live: inventories overflow and requests fail.",
    "payment-outage": "The payment provider stops answering: nine purchases in ten fail.",
    "event-overload": "A world boss spawns for everybody at once: matchmaking drowns and answers slowly.",
}
HEALTHY_CONFIG: dict[str, Any] = {
    "economy": {"drop_rate": 0.05, "gold_per_kill": 12, "shop_discount": 0.0},
    "matchmaking": {"max_party_size": 4, "region": "eu-central"},
    "message_of_the_day": "Welcome back to Emberfall.",
}
LIVE_EVENTS: dict[str, dict[str, Any]] = {
    "double-loot-weekend": {"name": "Double loot weekend", "player_factor": 1.4, "active": False},
    "world-boss": {"name": "World boss for everybody", "player_factor": 6.0, "active": False},
    "storm-trails": {"name": "Storm Trails photo contest", "player_factor": 1.0, "active": True},
}
_BAD_DROP_RATE = 5.0
_HEALTHY_DROP_RATE = 0.2
_KEPT_VERSIONS = 50
_SAVE_EVERY_SECONDS = 5.0


class WorldError(Exception):
    """A request the world refuses; `status` is what HTTP answers."""

    def __init__(self, status: int, message: str, **extra: Any) -> None:
        super().__init__(message)
        self.status = status
        self.body: dict[str, Any] = {"error": message, **extra}


def _new_state(at: float) -> dict[str, Any]:
    first = {
        "version": 1,
        "document": copy.deepcopy(HEALTHY_CONFIG),
        "author": "game master",
        "note": "first config",
        "changed_at": iso(at),
    }
    return {
        "config": first,
        "history": [first],
        "canary": None,
        "payment_outage_since": None,
        "events": copy.deepcopy(LIVE_EVENTS),
        "servers": {"cache_invalidations": 0, "cache_invalidated_at": None, "reloads": 0, "reloaded_at": None},
        "counters": {},
        "advanced_at": at,
    }


def iso(at: float) -> str:
    """An instant as RFC 3339 text in UTC."""
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _number(document: dict[str, Any], section: str, name: str) -> float:
    part = document.get(section)
    value = part.get(name) if isinstance(part, dict) else None
    if not isinstance(value, int | float) or isinstance(value, bool) or not math.isfinite(value):
        raise WorldError(400, f"{section}.{name} must be a number.")
    return float(value)


class World:
    """The running game. Every method may be called from any thread; changes are saved at once."""

    def __init__(self, state_file: Path, clock: Callable[[], float] = time.time) -> None:
        self._file = state_file
        self._clock = clock
        self._lock = threading.RLock()
        self._saved_at = 0.0
        self._killed: frozenset[str] = frozenset()
        self._state = self._load()

    def _load(self) -> dict[str, Any]:
        fresh = _new_state(self._clock())
        try:
            found = json.loads(self._file.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return fresh
        if not isinstance(found, dict) or not isinstance(found.get("config"), dict):
            return fresh
        # A world that was saved by an older release lacks the events that came since.
        return fresh | found | {"events": fresh["events"] | found.get("events", {})}

    def _save(self) -> None:
        self._file.parent.mkdir(parents=True, exist_ok=True)
        fresh = self._file.with_suffix(".new")
        fresh.write_text(json.dumps(self._state, indent=1), encoding="utf-8")
        fresh.replace(self._file)
        self._saved_at = self._clock()

    @property
    def folder(self) -> Path:
        """Where the world keeps its files."""
        return self._file.parent

    # --- reading -------------------------------------------------------------------------------------------------

    def config(self) -> dict[str, Any]:
        """The current config with its version, author and note, and the canary beside it while one runs."""
        with self._lock:
            canary = {"canary": self._state["canary"]} if self._state["canary"] else {}
            return copy.deepcopy({**self._state["config"], **canary})

    def config_history(self) -> list[dict[str, Any]]:
        """The kept versions, oldest first."""
        with self._lock:
            return copy.deepcopy(self._state["history"])

    def clock_text(self) -> str:
        """This instant on the world's clock."""
        return iso(self._clock())

    def servers(self) -> dict[str, Any]:
        """How often caches were invalidated and servers reloaded, and when last."""
        with self._lock:
            return dict(self._state["servers"])

    def events(self) -> dict[str, dict[str, Any]]:
        """The live events by slug."""
        with self._lock:
            return copy.deepcopy(self._state["events"])

    def faults(self) -> list[str]:
        """What is broken now, by the names that `break_it` takes."""
        with self._lock:
            return self._faults_with(self._state["config"]["document"])

    def _faults_with(self, document: dict[str, Any]) -> list[str]:
        found = []
        if document["economy"]["drop_rate"] > _HEALTHY_DROP_RATE:
            found.append("bad-config")
        if self._state["payment_outage_since"]:
            found.append("payment-outage")
        if self._runs("world-boss"):
            found.append("event-overload")
        return found

    def killed(self) -> frozenset[str]:
        """The flags that the portal answers with false."""
        with self._lock:
            return self._killed

    def signals(self) -> Signals:
        """Players, requests, errors, latency and payments at this instant."""
        with self._lock:
            return self._signals_at(self._clock())

    def _signals_at(self, at: float, tried: dict[str, Any] | None = None) -> Signals:
        """The signals of those who have the live config, or the one that is tried."""
        factor = 1.0
        for slug, event in self._state["events"].items():
            factor *= event["player_factor"] if self._runs(slug) else 1.0
        document = tried or self._state["config"]["document"]
        return signals(
            at,
            player_factor=factor,
            drop_rate=float(document["economy"]["drop_rate"]),
            gold_per_kill=float(document["economy"]["gold_per_kill"]),
            faults=self._faults_with(document),
            killed=self._killed,
        )

    def _runs(self, event: str) -> bool:
        """Whether players meet it: it was started, and no kill switch keeps it out."""
        found = self._state["events"][event]
        return bool(found["active"]) and not found.get("paused") and f"events.{event}" not in self._killed

    def counters(self) -> dict[str, float]:
        """What has been counted since the world was made, advanced to this instant."""
        with self._lock:
            self._advance()
            return dict(self._state["counters"])

    # --- changing ------------------------------------------------------------------------------------------------

    def tick(self) -> None:
        """Move the counters on; called each second, so that they run without visitors too."""
        with self._lock:
            self._advance()
            if self._clock() - self._saved_at >= _SAVE_EVERY_SECONDS:
                self._save()

    def _advance(self) -> None:
        at = self._clock()
        seconds = min(max(at - self._state["advanced_at"], 0.0), 60.0)  # a pause of hours is not played back
        if not seconds:
            return
        counters: dict[str, float] = self._state["counters"]
        for name, growth in self._signals_at(at).growth(seconds).items():
            counters[name] = counters.get(name, 0.0) + growth
        self._state["advanced_at"] = at

    def obey(self, killed: Iterable[str]) -> None:
        """Live without these flags from now on, and with all others. Not kept: whoever starts asks again."""
        with self._lock:
            self._advance()
            self._killed = frozenset(killed)

    def put_config(
        self, document: Any, *, expected_version: int, author: str, note: str, percentage: Any = None
    ) -> dict[str, Any]:
        """Store the next config version if the current one is still `expected_version`, else 409.

        With a percentage only that share gets the document, and the version stays; 0 ends such a canary. One that
        runs already with another document is not replaced (409). Without a percentage a canary ends.
        Any numbers are accepted, as in a real game: an absurd drop rate is what breaks it.
        """
        if not isinstance(document, dict):
            raise WorldError(400, "The document must be a JSON object.")
        for section, name in (("economy", "drop_rate"), ("economy", "gold_per_kill")):
            _number(document, section, name)
        if percentage is not None and (type(percentage) is not int or not 0 <= percentage <= 99):  # noqa: PLR2004  # percent
            raise WorldError(400, "A percentage is a whole number from 0 to 99.")
        with self._lock:
            current = self._state["config"]
            if current["version"] != expected_version:
                raise WorldError(409, "Somebody changed the config before you.", version=current["version"])
            if percentage:
                return self._canary(document, percentage)
            if percentage == 0 or current["document"] == document:
                self._state["canary"] = None
                self._save()
                return self.config()
            self._advance()
            changed = {
                "version": expected_version + 1,
                "document": copy.deepcopy(document),
                "author": author[:100],
                "note": note[:200],
                "changed_at": iso(self._clock()),
            }
            self._state["config"], self._state["canary"] = changed, None
            self._state["history"] = [*self._state["history"], changed][-_KEPT_VERSIONS:]
            self._save()
            return copy.deepcopy(changed)

    def _canary(self, document: dict[str, Any], percentage: int) -> dict[str, Any]:
        running = self._state["canary"]
        if running and running["document"] != document:
            raise WorldError(409, "A canary of another document runs.", version=self._state["config"]["version"])
        self._state["canary"] = {"percentage": percentage, "document": copy.deepcopy(document)}
        self._save()
        return self.config()

    def canary_signals(self) -> Signals | None:
        """The signals of the share that has the canary; None while none runs."""
        with self._lock:
            canary = self._state["canary"]
            return self._signals_at(self._clock(), canary["document"]) if canary else None

    def invalidate_cache(self) -> dict[str, Any]:
        """Forget what is cached of the config; each call counts."""
        return self._serve("cache_invalidations", "cache_invalidated_at")

    def reload(self) -> dict[str, Any]:
        """Let the servers read the config anew; each call counts."""
        return self._serve("reloads", "reloaded_at")

    def _serve(self, count: str, at: str) -> dict[str, Any]:
        with self._lock:
            servers = self._state["servers"]
            servers[count] += 1
            servers[at] = iso(self._clock())
            self._save()
            return dict(servers)

    def set_event(self, slug: str, *, active: bool) -> dict[str, Any]:
        """Start or stop a live event; repeating it changes nothing."""
        with self._lock:
            event = self._found(slug)
            self._advance()
            event["active"] = active
            self._save()
            return dict(event)

    def event(self, slug: str) -> dict[str, Any]:
        """One live event as the portal asks for it: active, paused, or idle when nobody has started it."""
        with self._lock:
            event = self._found(slug)
            state = "paused" if event.get("paused") else "active" if event["active"] else "idle"
            known = {"id": slug, "name": event["name"], "state": state}
            return {**known, "message": event.get("message", ""), "queue": event.get("queue", 0)}

    def pause_event(self, slug: str, *, paused: bool, message: str) -> dict[str, Any]:
        """Stop a live event, or let it go on, and tell the players why; a repeat changes nothing."""
        with self._lock:
            event = self._found(slug)
            if not event["active"]:
                raise WorldError(409, f"{event['name']} does not run.")
            changed = bool(event.get("paused")) != paused
            if changed:
                self._advance()
                event["paused"], event["message"] = paused, message[:500]
                self._save()
            return {**self.event(slug), "changed": changed}

    def submit(self, slug: str) -> dict[str, Any]:
        """A player hands something in; it waits to be looked at. Refused while the event is paused."""
        with self._lock:
            if not self._runs(self.event(slug)["id"]):
                raise WorldError(423, self.event(slug)["message"] or "This event takes nothing now.")
            event = self._found(slug)
            event["queue"] = event.get("queue", 0) + 1
            self._save()
            return {"queue": event["queue"]}

    def _found(self, slug: str) -> dict[str, Any]:
        event: dict[str, Any] | None = self._state["events"].get(slug)
        if event is None:
            raise WorldError(404, f"There is no live event {slug}.")
        return event

    def break_it(self, fault: str) -> None:
        """Cause one of `FAULTS`; causing it twice changes nothing."""
        if fault not in FAULTS:
            raise WorldError(404, f"There is no fault {fault}: choose one of {', '.join(FAULTS)}.")
        with self._lock:
            if fault == "bad-config":
                current = self.config()
                current["document"]["economy"]["drop_rate"] = _BAD_DROP_RATE
                self.put_config(
                    current["document"],
                    expected_version=current["version"],
                    author="loot designer",
                    note="drop rate 5 % → 500 %",
                )
            elif fault == "payment-outage":
                self._advance()
                self._state["payment_outage_since"] = self._state["payment_outage_since"] or iso(self._clock())
                self._save()
            else:
                self.set_event("world-boss", active=True)

    def heal(self) -> None:
        """Undo every fault: the last healthy config goes live again as a new version, events calm down."""
        with self._lock:
            if "bad-config" in self.faults():
                healthy = [
                    old["document"]
                    for old in self._state["history"]
                    if old["document"]["economy"]["drop_rate"] <= _HEALTHY_DROP_RATE
                ]
                self.put_config(
                    healthy[-1] if healthy else HEALTHY_CONFIG,
                    expected_version=self._state["config"]["version"],
                    author="game master",
                    note="back to the last healthy config",
                )
            self._advance()
            self._state["payment_outage_since"] = None
            for slug, event in self._state["events"].items():
                event |= {"active": LIVE_EVENTS.get(slug, {}).get("active", False), "paused": False, "message": ""}
            self._save()
