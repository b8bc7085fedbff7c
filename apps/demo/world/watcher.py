"""Tells the portal of config changes and, where no Alertmanager runs, of what fires and what cleared.

The payloads are Alertmanager's version 4, so the portal can't tell the difference. What could not be
delivered is tried again for ever, also after a restart: the file keeps what the portal has not taken yet.
"""

from __future__ import annotations

import http.client
import json
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from apps.demo.world.game import World, iso
from apps.demo.world.rules import RULES, Rule, fingerprint

_TIMEOUT_SECONDS = 5.0
_LONGEST_PAUSE_SECONDS = 30.0


def post_json(url: str, body: dict[str, Any]) -> tuple[int, str]:
    """POST `body`; the status and the start of the answer. OSError when nobody answers."""
    parts = urlsplit(url)
    kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    connection = kind(parts.hostname or "127.0.0.1", parts.port, timeout=_TIMEOUT_SECONDS)
    try:
        connection.request("POST", parts.path, json.dumps(body).encode(), {"Content-Type": "application/json"})
        answer = connection.getresponse()
        return answer.status, answer.read(500).decode("utf-8", "replace")
    except http.client.HTTPException as error:
        raise OSError(f"no HTTP answer: {error!r}") from error
    finally:
        connection.close()


class Watcher:
    """Looks at the world every `look_seconds` and posts; firing alerts are repeated every `repeat_seconds`.

    Without `tells_alerts`, which is Alertmanager's part where one runs, it tells of changes only.
    """

    def __init__(
        self,
        world: World,
        *,
        portal_file: Path,
        state_file: Path,
        instance: str,
        tells_alerts: bool = True,
        look_seconds: float = 1.0,
        repeat_seconds: float = 30.0,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._world = world
        self._portal_file = portal_file
        self._file = state_file
        self._instance = instance
        self.tells_alerts = tells_alerts
        self._look_seconds = look_seconds
        self._repeat_seconds = repeat_seconds
        self._clock = clock
        self._stop = threading.Event()
        self._state = self._load()
        self.problem = ""
        self._failures = 0
        self._pause_until = 0.0

    def _load(self) -> dict[str, Any]:
        fresh: dict[str, Any] = {"alerts": {}, "posted_config_version": 1}
        try:
            found = json.loads(self._file.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return fresh
        return fresh | found if isinstance(found, dict) else fresh

    def _save(self) -> None:
        self._file.parent.mkdir(parents=True, exist_ok=True)
        fresh = self._file.with_suffix(".new")
        fresh.write_text(json.dumps(self._state, indent=1), encoding="utf-8")
        fresh.replace(self._file)

    # --- the loop ------------------------------------------------------------------------------------------------

    def run(self) -> None:
        """Look until `stop` is called."""
        while not self._stop.wait(self._look_seconds):
            self.look()

    def stop(self) -> None:
        self._stop.set()

    def look(self) -> None:
        """One round: note what fires or cleared, then post what the portal should know."""
        if self.tells_alerts:
            self._note()
        if self._clock() < self._pause_until:
            return
        try:
            targets = self._targets()
            if targets:
                if self.tells_alerts:
                    self._post_alerts(targets["alertmanager_url"])
                self._post_changes(targets["change_url"])
            self._recovered()
        except OSError as error:
            self._failed(f"The portal does not answer ({error}).")

    def _recovered(self) -> None:
        self._failures, self.problem, self._pause_until = 0, "", 0.0

    def _failed(self, problem: str) -> None:
        self._failures += 1
        pause = min(2.0 ** min(self._failures - 1, 10), _LONGEST_PAUSE_SECONDS)
        self._pause_until = self._clock() + pause
        self.problem = f"{problem} Trying again."

    def _targets(self) -> dict[str, str] | None:
        """The portal's addresses with the keys of its integrations; None before the portal has written them."""
        try:
            found = json.loads(self._portal_file.read_text(encoding="utf-8"))
        except (FileNotFoundError, ValueError):
            return None
        return found if isinstance(found, dict) and {"change_url", "alertmanager_url"} <= found.keys() else None

    # --- alerts --------------------------------------------------------------------------------------------------

    def alerts(self) -> dict[str, dict[str, Any]]:
        """The alerts it knows of by name, for the world's page."""
        return {name: dict(alert) for name, alert in self._state["alerts"].items()}

    def _note(self) -> None:
        signals, at = self._world.signals(), self._clock()
        for rule in RULES:
            known = self._state["alerts"].get(rule.name)
            firing = known is not None and known["status"] == "firing"
            if rule.fires(signals) and not firing:
                self._state["alerts"][rule.name] = {"status": "firing", "starts_at": iso(at), "posted_at": 0.0}
                self._save()
            elif firing and known is not None and not rule.fires(signals):
                known |= {"status": "resolved", "ends_at": iso(at), "posted_at": 0.0}
                self._save()

    def _post_alerts(self, url: str) -> None:
        for rule in RULES:
            alert = self._state["alerts"].get(rule.name)
            if alert is None:
                continue
            silent_seconds = self._clock() - alert["posted_at"]
            if alert["posted_at"] and (alert["status"] == "resolved" or silent_seconds < self._repeat_seconds):
                continue
            self._deliver(url, self._payload(rule, alert))
            alert["posted_at"] = self._clock()
            self._save()

    def _payload(self, rule: Rule, alert: dict[str, Any]) -> dict[str, Any]:
        labels = rule.labels(self._instance)
        return {
            "version": "4",
            "groupKey": f'{{}}:{{alertname="{rule.name}"}}',
            "truncatedAlerts": 0,
            "status": alert["status"],
            "receiver": "incident-portal",
            "groupLabels": {"alertname": rule.name},
            "commonLabels": labels,
            "commonAnnotations": rule.annotations(),
            "externalURL": f"http://{self._instance}",
            "alerts": [
                {
                    "status": alert["status"],
                    "labels": labels,
                    "annotations": rule.annotations(),
                    "startsAt": alert["starts_at"],
                    "endsAt": alert.get("ends_at", "0001-01-01T00:00:00Z"),
                    "generatorURL": f"http://{self._instance}/",
                    "fingerprint": fingerprint(labels),
                }
            ],
        }

    # --- changes -------------------------------------------------------------------------------------------------

    def _post_changes(self, url: str) -> None:
        for config in self._world.config_history():
            if config["version"] <= self._state["posted_config_version"]:
                continue
            self._deliver(url, self._change(config))
            self._state["posted_config_version"] = config["version"]
            self._save()

    def _change(self, config: dict[str, Any]) -> dict[str, Any]:
        return {
            "kind": "config",
            "title": f"Game config v{config['version']}: {config['note'] or 'changed'}",
            "service": "game-api",
            "environment": "production",
            "version": str(config["version"]),
            "author": config["author"],
            "link": f"http://{self._instance}/config",
            "dedup_key": f"world-config-{config['version']}-{config['changed_at']}",
            "occurred_at": config["changed_at"],
        }

    def _deliver(self, url: str, body: dict[str, Any]) -> None:
        status, text = post_json(url, body)
        if status >= http.client.MULTIPLE_CHOICES:
            raise OSError(f"it answered {status}: {text[:120]}")
