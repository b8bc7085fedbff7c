"""Who uses the portal meanwhile: what posts alerts, and people who answer. Both repeat what failed."""

from __future__ import annotations

import contextlib
import json
import random
import threading
import time
import urllib.error
import urllib.request
from dataclasses import dataclass, field

import psycopg

from benchmarks.rig import Rig

PER_SECOND = 1.5
POSTERS = 4
ANSWERED, RESOLVED, CLEARED = 0.35, 0.15, 0.15
"""Shares of the incidents that are acknowledged, resolved by a person, and resolved because the alert clears."""

_AGAIN_AFTER_SECONDS = 0.3
_ACCEPTED = 202
_AT_WORK = 409
_SUCCESS = range(200, 300)


def ask(url: str, body: bytes, headers: dict[str, str]) -> int:
    """The status of a POST; 0 where there was no answer, so that nobody knows what became of it."""
    request = urllib.request.Request(url, data=body, headers={"Content-Type": "application/json", **headers})
    try:
        with urllib.request.urlopen(request, timeout=5) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code
    except OSError:
        return 0


def payload(number: int, status: str) -> bytes:
    alert = {
        "status": status,
        "labels": {"alertname": f"alert-{number}", "severity": "high"},
        "annotations": {"summary": f"alert-{number}"},
        "startsAt": "2026-05-01T12:00:00Z",
        "fingerprint": f"{number:016x}",
    }
    return json.dumps({"version": "4", "status": status, "alerts": [alert]}).encode()


@dataclass
class Clients:
    """`accepted`: alerts that were answered with 202. `done`: what was answered with success, by incident.

    `wrong` tells of requests that were refused.
    """

    rig: Rig
    intake: str
    token: str
    seed: int
    accepted: set[int] = field(default_factory=set)
    done: dict[int, str] = field(default_factory=dict)
    repeats: int = 0
    stopping: threading.Event = field(default_factory=threading.Event)
    posting: threading.Event = field(default_factory=threading.Event)
    wrong: list[str] = field(default_factory=list)
    _threads: list[threading.Thread] = field(default_factory=list)
    _seen: set[int] = field(default_factory=set)
    _plan: list[tuple[float, int, int, str]] = field(default_factory=list)

    def start(self) -> None:
        began = time.monotonic()
        jobs = [(self._post, (place, began)) for place in range(POSTERS)]
        self._threads = [threading.Thread(target=job, args=given, daemon=True) for job, given in jobs]
        self._threads.append(threading.Thread(target=self._answer, daemon=True))
        for thread in self._threads:
            thread.start()

    def stop_posting(self) -> None:
        self.posting.set()
        for thread in self._threads[:POSTERS]:
            thread.join(30)
            assert not thread.is_alive(), "an alert could not be handed over"

    def stop(self) -> None:
        """Once everybody who wanted to answer has."""
        self.stopping.set()
        self._threads[-1].join(60)
        assert not self._threads[-1].is_alive(), "somebody could not answer"

    def _until(self, url: str, body: bytes, headers: dict[str, str], good: range) -> int:
        """The same request until it is answered with success or refused for good."""
        while True:
            status = ask(url, body, headers)
            # 409 says that the first of two requests with one key is still at work: its transaction, or its end, is
            # seen by the next.
            if status in good or (400 <= status < 500 and status != _AT_WORK):
                return status
            self.repeats += 1
            time.sleep(_AGAIN_AFTER_SECONDS)

    def _post(self, place: int, began: float) -> None:
        number = place
        while not self.posting.wait(max(0.0, began + number / PER_SECOND - time.monotonic())):
            status = self._until(self.intake, payload(number, "firing"), {}, range(_ACCEPTED, _ACCEPTED + 1))
            if status == _ACCEPTED:
                self.accepted.add(number)
            else:
                self.wrong.append(f"alert {number} was answered with {status}")
            number += POSTERS

    def _answer(self) -> None:
        while not (self.stopping.is_set() and not self._plan):
            with contextlib.suppress(psycopg.Error):  # the database is away for the test, too
                self._look()
            due = [item for item in self._plan if item[0] <= time.monotonic()]
            for item in due:
                self._plan.remove(item)
                self._do(*item[1:])
            time.sleep(0.2)

    def _look(self) -> None:
        """Decide what becomes of each new incident; the same for one seed, whenever it is seen."""
        for row in self.rig.query("SELECT id, title FROM incidents_incident WHERE id <> ALL(%s)", list(self._seen)):
            self._seen.add(row["id"])
            number = int(str(row["title"]).rpartition("-")[2])
            dice = random.Random(f"{self.seed}:{number}")
            fate, wait = dice.random(), dice.uniform(0.5, 20)
            for share, action in ((ANSWERED, "acknowledge"), (RESOLVED, "resolve"), (CLEARED, "clear")):
                if fate < share:
                    self._plan.append((time.monotonic() + wait, row["id"], number, action))
                    break
                fate -= share

    def _do(self, incident: int, number: int, action: str) -> None:
        if action == "clear":
            status = self._until(self.intake, payload(number, "resolved"), {}, _SUCCESS)
        else:
            url = f"{self.rig.url}/api/v1/incidents/{incident}/{action}/"
            headers = {"Authorization": f"Bearer {self.token}", "Idempotency-Key": f"{action}:{incident}"}
            status = self._until(url, b"{}", headers, _SUCCESS)
        if status in _SUCCESS:
            self.done[incident] = action
        else:
            self.wrong.append(f"{action} of incident {incident} was answered with {status}")
