"""An alert that was answered with 202 is there, whatever dies in that moment."""

from __future__ import annotations

import json
import threading
import urllib.request

from benchmarks.rig import Rig, wait_until
from tests.fault.conftest import seed


def payload(number: int) -> bytes:
    alert = {
        "status": "firing",
        "labels": {"alertname": f"alert-{number}", "severity": "critical"},
        "annotations": {"summary": f"alert-{number}"},
        "startsAt": "2026-05-01T12:00:00Z",
        "fingerprint": f"{number:016x}",
    }
    return json.dumps({"version": "4", "status": "firing", "alerts": [alert]}).encode()


class Posting(threading.Thread):
    """Posts until it is told to stop; remembers what was answered with 202."""

    def __init__(self, url: str, first: int) -> None:
        super().__init__(daemon=True)
        self.url, self.first = url, first
        self.accepted: list[int] = []
        self.stopping = threading.Event()

    def run(self) -> None:
        number = self.first
        while not self.stopping.is_set():
            number += 1
            request = urllib.request.Request(self.url, data=payload(number))
            try:
                with urllib.request.urlopen(request, timeout=5) as answer:
                    if answer.status == 202:
                        self.accepted.append(number)
            except OSError:
                self.stopping.wait(0.05)


def test_every_accepted_alert_is_grouped_though_web_and_worker_are_killed(rig: Rig) -> None:
    told = seed(rig, 0, 0, "--integration")
    rig.start_web(processes=2)
    rig.start_worker("one", "timers")
    rig.start_ticker()
    url = rig.url + "/in/" + told["address"].split("/in/", 1)[1]
    posting = [Posting(url, number * 100_000) for number in range(4)]
    for thread in posting:
        thread.start()
    wait_until(lambda: rig.value("SELECT count(*) FROM alerts_alert") > 50, "the first alerts are grouped")
    rig.kill("web")
    rig.kill("one")
    rig.start_web(processes=2)
    rig.start_worker("one", "timers")
    before = [len(thread.accepted) for thread in posting]
    wait_until(lambda: all(len(t.accepted) > n for t, n in zip(posting, before, strict=True)), "alerts are taken again")
    for thread in posting:
        thread.stopping.set()
        thread.join()
    accepted = {f"{number:016x}" for thread in posting for number in thread.accepted}
    wait_until(lambda: rig.value("SELECT count(*) FROM alerts_receipt WHERE state = 'new'") == 0, "all are grouped", 60)
    rows = rig.query("SELECT dedup_key, count(*) AS n FROM alerts_alert GROUP BY 1")
    assert accepted <= {row["dedup_key"] for row in rows}
    assert {row["n"] for row in rows} == {1}
    assert rig.value("SELECT count(*) FROM alerts_alert") == rig.value("SELECT count(*) FROM incidents_incident")
