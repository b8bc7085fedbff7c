"""From an alert's POST to the page in the mail server's hands: idle, and at 50 alerts a second, each a new incident.

    python -m benchmarks.latency

Two web processes, one worker for each of the queues timers, messages and bulk, one ticker, PostgreSQL, Redis, and a
real SMTP server on loopback that notes when each mail was handed over.
"""

from __future__ import annotations

import argparse
import json
import re
import threading
import time
import urllib.request
from email import message_from_bytes, policy
from typing import Any

from aiosmtpd.controller import Controller

from benchmarks.private import machine
from benchmarks.rig import Rig, free_port, wait_until

IDLE_P95_SECONDS, BUSY_P95_SECONDS, RATE = 0.3, 1.0, 50


class Sink:
    """Notes the instant at which each mail arrived, by the number in its title."""

    def __init__(self) -> None:
        self.arrived: dict[int, float] = {}

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:  # noqa: N802  # aiosmtpd's name
        at = time.perf_counter()
        subject = str(message_from_bytes(envelope.content, policy=policy.default)["Subject"])
        found = re.search(r"alert-(\d+)", subject)
        if found:
            self.arrived.setdefault(int(found[1]), at)
        return "250 OK"


class Source:
    """Posts alerts by schedule, each with a title and fingerprint of its own."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.sent: dict[int, float] = {}

    def post(self, number: int) -> None:
        alert = {
            "status": "firing",
            "labels": {"alertname": f"alert-{number}", "severity": "critical"},
            "annotations": {"summary": f"alert-{number} is firing"},
            "startsAt": "2026-05-01T12:00:00Z",
            "fingerprint": f"{number:016x}",
        }
        body = json.dumps({"version": "4", "status": "firing", "alerts": [alert]}).encode()
        request = urllib.request.Request(self.url, data=body, headers={"Content-Type": "application/json"})
        self.sent[number] = time.perf_counter()
        with urllib.request.urlopen(request, timeout=10) as answer:
            if answer.status != 202:
                raise RuntimeError(f"alert {number} was answered with {answer.status}")

    def run(self, first: int, count: int, rate: float) -> None:
        """Post `count` alerts at `rate` a second; a slow answer does not slow the schedule down."""
        start, threads = time.perf_counter(), []
        for index in range(count):
            time.sleep(max(0.0, start + index / rate - time.perf_counter()))
            threads.append(threading.Thread(target=self.post, args=[first + index]))
            threads[-1].start()
        for thread in threads:
            thread.join()


def measure(what: str, sink: Sink, source: Source, *, numbers: range, rate: float, target: float) -> bool:
    """Post, wait for the mails, print the figures; whether the target holds."""
    source.run(numbers.start, len(numbers), rate)
    backlog = sum(number not in sink.arrived for number in numbers)
    wait_until(lambda: all(number in sink.arrived for number in numbers), "every page reached the mail server", 120)
    late = sorted(sink.arrived[number] - source.sent[number] for number in numbers)
    p95 = late[max(int(len(late) * 0.95) - 1, 0)]
    # What was posted within the last second may be on its way; more than that is a backlog.
    good = p95 <= target and backlog <= rate
    print(
        f"{'ok  ' if good else 'MISS'} {what}: alert to page handed over, median {late[len(late) // 2]:.3f} s, "
        f"p95 {p95:.3f} s (target {target:g}), max {late[-1]:.3f} s; {backlog} on their way at the end"
    )
    return good


def main() -> int:
    """Print the figures; 1 when a target is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=int, default=60)
    seconds = parser.parse_args().seconds
    print(machine())
    sink, port = Sink(), free_port()
    controller = Controller(sink, hostname="127.0.0.1", port=port)
    controller.start()
    try:
        with Rig("latency", EMAIL_URL=f"smtp://127.0.0.1:{port}") as rig:
            told = json.loads(rig.run("-m", "benchmarks.seed", "--incidents", "0", "--mail", "--integration"))
            rig.start_web(processes=2)
            for queue in ("timers", "messages", "bulk"):
                rig.start_worker(queue, queue)
            rig.start_ticker()
            source = Source(rig.url + "/in/" + told["address"].split("/in/", 1)[1])
            time.sleep(6)  # the workers are up by then
            source.run(1, 3, 1)
            good = measure("idle", sink, source, numbers=range(100, 140), rate=2, target=IDLE_P95_SECONDS)
            good &= measure(
                f"{RATE} alerts/s for {seconds} s, each a new incident",
                sink,
                source,
                numbers=range(1000, 1000 + RATE * seconds),
                rate=RATE,
                target=BUSY_P95_SECONDS,
            )
    finally:
        controller.stop()
    return 0 if good else 1


if __name__ == "__main__":
    raise SystemExit(main())
