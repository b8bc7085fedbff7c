"""Intake under open-loop load: two web processes on a private PostgreSQL database.

    python -m benchmarks.intake                    the promised figures, workers paused, then with workers running
    python -m benchmarks.intake --compare          ASGI and WSGI side by side, and how far each goes

Every rate is offered by schedule, and latency counts from the scheduled instant. A figure counts only when the number
of committed receipts equals the number of 202 answers.
"""

from __future__ import annotations

import argparse
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import orjson
import psycopg

from benchmarks.open_loop import Load, drive
from benchmarks.private import ROOT, machine, private_portal, set_up_django

SERVERS = {
    "asgi": ["--interface", "asgi", "incidentportal.asgi:application"],
    "wsgi": ["--interface", "wsgi", "--blocking-threads", "16", "incidentportal.wsgi:application"],
}
DRAIN_SECONDS = 60


def body_of(alerts: int, distinct: int | None = None) -> Callable[[int], bytes]:
    """Makes the n-th Alertmanager payload of `alerts` alerts; with `distinct`, alerts repeat after that many."""

    def one(number: int) -> dict[str, object]:
        name = number if distinct is None else number % distinct
        return {
            "status": "firing",
            "labels": {
                "alertname": "HighLatency",
                "severity": "warning",
                "service": "checkout",
                "instance": f"10.0.{name // 250 % 250}.{name % 250}:9100",
            },
            "annotations": {
                "summary": "p99 of checkout is over a second",
                "description": "It has been like this for five minutes; see the dashboard.",
            },
            "startsAt": "2026-05-01T12:00:00.123456789Z",
            "endsAt": "0001-01-01T00:00:00Z",
            "generatorURL": "http://prometheus:9090/graph?g0.expr=latency",
            "fingerprint": f"{name:016x}",
        }

    def make(request: int) -> bytes:
        return orjson.dumps(
            {
                "version": "4",
                "groupKey": "{}:{}",
                "truncatedAlerts": 0,
                "status": "firing",
                "receiver": "incident-portal",
                "groupLabels": {},
                "commonLabels": {},
                "commonAnnotations": {},
                "externalURL": "http://alertmanager:9093",
                "alerts": [one(request * alerts + index) for index in range(alerts)],
            }
        )

    return make


def prepare() -> str:
    """An Alertmanager integration in the private database; returns the path of its address."""
    from apps.alerts.operations import Settings, create_integration
    from apps.catalog.models import Service, Team
    from apps.foundation.actor import Actor
    from apps.people.operations import portal_user, sync_groups
    from apps.policies.operations import import_pack, shipped_packs

    sync_groups()
    portal_user()
    pack = next(path for path in shipped_packs() if path.stem == "e-novacron").read_text(encoding="utf-8")
    # Grouped by service: a storm of one service is one incident, as it would be run at such rates.
    import_pack(
        pack.replace("group_by: dedup_key", "group_by: [service]"), activate=True, note="bench", actor=Actor.system()
    )
    team = Team.objects.create(slug="bench", name="Bench")
    Service.objects.create(slug="checkout", name="Checkout", owner=team)
    # What the machine can take is measured here, not the default limit of an integration.
    unlimited = Settings(rate_per_minute=0)
    _, address = create_integration("Bench", "alertmanager", team_id=team.pk, settings=unlimited, actor=Actor.system())
    return "/in/" + address.split("/in/", 1)[1]


@contextmanager
def running(*commands: list[str]) -> Iterator[None]:
    """Processes of the portal, stopped in the end."""
    environment = os.environ | {"PYTHONWARNINGS": "ignore"}
    processes = [
        subprocess.Popen(command, cwd=ROOT, start_new_session=True, stdout=subprocess.DEVNULL, env=environment)
        for command in commands
    ]
    try:
        yield
    finally:
        for process in processes:
            process.terminate()
        for process in processes:
            try:
                process.wait(15)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()


@contextmanager
def web(interface: str, processes: int = 2) -> Iterator[tuple[str, int]]:
    """Web processes that answer; yields their address."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        address = ("127.0.0.1", probe.getsockname()[1])
    server = [sys.executable, "-m", "granian", "--port", str(address[1]), "--workers", str(processes), "--no-ws"]
    with running([*server, "--log-level", "error", *SERVERS[interface]]):
        until = time.monotonic() + 60
        while True:
            try:
                with urllib.request.urlopen(f"http://{address[0]}:{address[1]}/healthz", timeout=5):
                    break
            except OSError:
                if time.monotonic() > until:
                    raise
                time.sleep(0.2)
        yield address


def workers() -> list[list[str]]:
    """Two workers for alerts and pages, as Celery starts on two cores, one for messages, one for the rest, a ticker."""
    celery = [sys.executable, "-m", "celery", "-A", "incidentportal", "worker", "--loglevel", "ERROR", "-P", "solo"]
    return [
        [*celery, "-Q", "timers", "-n", "timers1@bench"],
        [*celery, "-Q", "timers", "-n", "timers2@bench"],
        [*celery, "-Q", "messages", "-n", "messages@bench"],
        [*celery, "-Q", "executions,bulk", "-n", "rest@bench"],
        [sys.executable, "manage.py", "ticker"],
    ]


class Bench:
    """One portal under load, and what was missed."""

    def __init__(self, database: str, path: str) -> None:
        self.database = database
        self.path = path
        self.missed = 0

    def receipts(self, state: str = "%") -> int:
        with psycopg.connect(self.database) as connection:
            row = connection.execute("SELECT count(*) FROM alerts_receipt WHERE state LIKE %s", [state]).fetchone()
        return int(row[0]) if row else 0

    def clear(self) -> None:
        with psycopg.connect(self.database, autocommit=True) as connection:
            connection.execute("TRUNCATE alerts_receipt")
            connection.execute("CHECKPOINT")

    def load(
        self, address: tuple[str, int], what: str, rate: float, *, alerts: int, seconds: float, limit_ms: float | None
    ) -> Load:
        """Offer a rate, check that 202 and committed agree, print the line. `limit_ms` is for p99."""
        before = self.receipts()
        found = drive(address, self.path, body_of(alerts, distinct=1000), rate=rate, seconds=seconds)
        committed = self.receipts() - before
        good = committed == found.statuses[202] == len(found.latencies) and found.done_per_second >= 0.98 * rate
        if limit_ms is not None:
            good = good and found.percentile(0.99) <= limit_ms
        self.missed += limit_ms is not None and not good
        mark = "    " if limit_ms is None else ("ok  " if good else "MISS")
        per_alert = f" = {found.done_per_second * alerts:5.0f} alerts/s" if alerts > 1 else ""
        print(f"{mark} {what}{per_alert}: {found.line()}  {committed} committed", flush=True)
        return found


def promised(bench: Bench, interface: str, seconds: float) -> None:
    """The figures that are promised, workers paused and then running."""
    with web(interface) as address:
        bench.load(address, "warming up", 200, alerts=1, seconds=2, limit_ms=None)
        print("workers paused")
        bench.load(address, "one alert per POST", 1500, alerts=1, seconds=seconds, limit_ms=50)
        bench.load(address, "ten alerts per POST", 600, alerts=10, seconds=seconds, limit_ms=50)
        for rate in (2000, 2500, 3000, 3500):
            bench.load(address, "beyond", rate, alerts=1, seconds=5, limit_ms=None)
        bench.load(address, "beyond, ten per POST", 1200, alerts=10, seconds=5, limit_ms=None)
        bench.clear()
        print("workers running")
        with running(*workers()):
            time.sleep(8)
            bench.load(address, "one alert per POST", 800, alerts=1, seconds=seconds, limit_ms=1000)
            start = time.monotonic()
            while (left := bench.receipts("new")) and time.monotonic() - start < DRAIN_SECONDS:
                time.sleep(0.2)
            bench.missed += bool(left)
            print(f"{'MISS' if left else 'ok  '} drained {time.monotonic() - start:.1f} s after the end, {left} left")


def compare(bench: Bench, seconds: float) -> None:
    """ASGI and WSGI at the same rates."""
    for interface in SERVERS:
        with web(interface) as address:
            bench.load(address, f"{interface} warming up", 200, alerts=1, seconds=2, limit_ms=None)
            for rate in (800, 1500, 2000, 2500, 3000, 3500, 4000):
                bench.load(address, interface, rate, alerts=1, seconds=seconds, limit_ms=None)
            for rate in (600, 1000, 1500):
                bench.load(address, f"{interface}, ten per POST", rate, alerts=10, seconds=seconds, limit_ms=None)
            bench.clear()


def main() -> int:
    """Print the figures; 1 when a promise is missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--interface", choices=sorted(SERVERS), default="asgi")
    parser.add_argument("--seconds", type=float, default=20, help="how long each figure is measured")
    parser.add_argument("--compare", action="store_true")
    given = parser.parse_args()
    print(machine())
    with private_portal("intake") as database:
        set_up_django()
        bench = Bench(database, prepare())
        if given.compare:
            compare(bench, given.seconds)
        else:
            promised(bench, given.interface, given.seconds)
    return 1 if bench.missed else 0


if __name__ == "__main__":
    raise SystemExit(main())
