"""An alert storm: 5,000 alerts in 60 s over 20 services, taken in, grouped and paged by the whole portal.

    python -m benchmarks.storm [--alerts 5000] [--seconds 60]

Two web processes, a worker for alerts and pages, one for the rest and a ticker on a private PostgreSQL database. The
storm comes from one integration under the default limit: nothing of it may be refused, each alert is grouped within the
second, the first incident is there within a second of the first alert, and there is one for each service.
"""

from __future__ import annotations

import argparse
import time
from typing import Any

import orjson
import psycopg

from benchmarks.intake import running, web, workers
from benchmarks.open_loop import Load, drive
from benchmarks.private import machine, private_portal, set_up_django

SERVICES = 20
GROUPED_SECONDS = 1.0
FIRST_SECONDS = 1.0
DRAIN_SECONDS = 60


def _world() -> str:
    """Twenty services with a team that has somebody on call, grouped by service; the path of the address."""
    from django.contrib.auth import get_user_model

    from apps.alerts.operations import create_integration
    from apps.catalog.models import Service, Team
    from apps.foundation.actor import Actor
    from apps.oncall.models import RoleBinding
    from apps.people.operations import portal_user, sync_groups
    from apps.policies.operations import import_pack, shipped_packs

    sync_groups()
    portal_user()
    text = next(path for path in shipped_packs() if path.stem == "e-novacron").read_text(encoding="utf-8")
    text = text.replace("group_by: dedup_key", "group_by: ['@service']")
    import_pack(text, activate=True, note="storm", actor=Actor.system())
    user = get_user_model().objects.create_user("oncall", "oncall@example.com", "x" * 20)
    team = Team.objects.create(slug="storm", name="Storm")
    RoleBinding.objects.create(role="primary", user=user, team=None)
    for number in range(SERVICES):
        Service.objects.create(slug=f"service-{number}", name=f"Service {number}", owner=team)
    _, address = create_integration("Storm", "generic", team_id=team.pk, actor=Actor.system())
    return "/in/" + address.split("/in/", 1)[1]


def _alert(number: int) -> bytes:
    return orjson.dumps(
        {
            "title": f"Errors on shard {number}",
            "dedup_key": f"shard-{number}",
            "severity": "critical" if number % 7 == 0 else "high",
            "service": f"service-{number % SERVICES}",
        }
    )


_FIGURES = """
SELECT count(*) AS receipts,
       count(*) FILTER (WHERE state = 'done') AS grouped,
       percentile_cont(0.5) WITHIN GROUP (ORDER BY extract(epoch FROM done_at - received_at)) AS p50,
       percentile_cont(0.99) WITHIN GROUP (ORDER BY extract(epoch FROM done_at - received_at)) AS p99,
       max(extract(epoch FROM done_at - received_at)) AS longest,
       min(received_at) AS began
FROM alerts_receipt
"""
_FIRST = "SELECT min(declared_at), count(*) FROM incidents_incident"
_COUNTED = (
    ("alerts", "SELECT count(*) FROM alerts_alert"),
    ("alerts that belong to an incident", "SELECT count(*) FROM alerts_alert WHERE group_id IS NOT NULL"),
    ("pages", "SELECT count(*) FROM paging_page"),
    ("messages", "SELECT count(*) FROM messaging_message"),
    ("requests counted", "SELECT coalesce(sum(taken_count), 0) FROM alerts_intakeminute"),
    ("requests refused", "SELECT coalesce(sum(refused_count), 0) FROM alerts_intakeminute"),
)


def _say(good: bool, text: str) -> bool:
    print(f"{'ok  ' if good else 'MISS'} {text}", flush=True)
    return good


def _report(database: str, sent: Load, alerts: int) -> bool:
    with psycopg.connect(database) as connection:
        receipts, grouped, p50, p99, longest, began = connection.execute(_FIGURES).fetchone() or (0,) * 6
        first, incidents = connection.execute(_FIRST).fetchone() or (None, 0)
        counted = {what: (connection.execute(sql).fetchone() or (0,))[0] for what, sql in _COUNTED}
    print(f"     {sent.line()}")
    statuses = ", ".join(f"{count} × {status}" for status, count in sorted(sent.statuses.items()))
    good = _say(sent.statuses[202] == alerts == receipts, f"nothing refused: {statuses}; {receipts} committed")
    good &= _say(
        grouped == alerts and p99 <= GROUPED_SECONDS,
        f"{grouped} grouped: p50 {p50:.3f} s, p99 {p99:.3f} s, longest {longest:.3f} s after they were received",
    )
    delay: Any = (first - began).total_seconds() if first is not None else float("inf")
    good &= _say(delay <= FIRST_SECONDS, f"first incident {delay:.3f} s after the first alert")
    good &= _say(incidents == SERVICES, f"{incidents} incidents for {SERVICES} services")
    print("     " + ", ".join(f"{number} {what}" for what, number in counted.items()))
    return good and counted["alerts that belong to an incident"] == alerts


def main() -> int:
    """Print the figures; 1 when one is missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--alerts", type=int, default=5000)
    parser.add_argument("--seconds", type=float, default=60)
    given = parser.parse_args()
    print(machine())
    with private_portal("storm") as database:
        set_up_django()
        path = _world()

        with web("asgi") as address, running(*workers()):
            _warm_up(address, path, database)
            sent = drive(address, path, _alert, rate=given.alerts / given.seconds, seconds=given.seconds)
            _drain(database)
        return 0 if _report(database, sent, given.alerts) else 1


def _warm_up(address: tuple[str, int], path: str, database: str) -> None:
    """Wait until the workers are there: a harmless alert is grouped, and then forgotten."""
    quiet = orjson.dumps({"title": "Warming up", "severity": "info"})
    drive(address, path, lambda _: quiet, rate=1, seconds=1)
    _drain(database)
    with psycopg.connect(database, autocommit=True) as connection:
        for table in ("alerts_receipt", "alerts_alert", "alerts_intakeminute"):
            connection.execute(f"DELETE FROM {table}")  # noqa: S608  # our own tables


def _drain(database: str) -> None:
    """Wait until everything is grouped and the counts of the last second are written."""
    until = time.monotonic() + DRAIN_SECONDS
    with psycopg.connect(database, autocommit=True) as connection:
        while time.monotonic() < until:
            row = connection.execute("SELECT count(*) FROM alerts_receipt WHERE state = 'new'").fetchone()
            if row is not None and not row[0]:
                break
            time.sleep(0.2)
    time.sleep(1.5)


if __name__ == "__main__":
    raise SystemExit(main())
