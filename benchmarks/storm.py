"""An alert storm: 5,000 alerts in 60 s over 20 services, taken in, grouped and paged by the whole portal.

    python -m benchmarks.storm [--alerts 5000] [--seconds 60]

Two web processes, two workers for alerts and pages, one for messages, one for the rest and a ticker on a private
PostgreSQL database, all of which have handled an incident of somebody else's before, as in a portal that runs. The
storm comes from one integration under the default limit: nothing of it may be refused, each alert is grouped within the
second, the first incident is there within a second of the first alert, and there is one for each service.

Three people on call are told by email. For each of them and each bundle window there may be one message, and another
only for something worse than all before it in the window; the first is sent within a second of its alert, and each page
is told alone or counted in a message with others.
"""

from __future__ import annotations

import argparse
import re
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
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
WINDOW_SECONDS = 60.0
PEOPLE = ("ana", "ben", "cem")
WARMING = "dan"
WORKERS = 4
_NOTHING_WORSE = 99
# A window opens when its page is made, a moment before the message is written down.
_SLACK_SECONDS = 0.5


def _world() -> str:
    """Twenty services with a team that has somebody on call, grouped by service; the path of the address."""
    from django.contrib.auth import get_user_model

    from apps.alerts.operations import create_integration
    from apps.catalog.models import Service, Team
    from apps.foundation.actor import Actor
    from apps.foundation.clock import now
    from apps.oncall.models import RoleBinding
    from apps.people.models import ContactPoint
    from apps.people.operations import portal_user, sync_groups
    from apps.policies.operations import import_pack, shipped_packs

    sync_groups()
    portal_user()
    text = next(path for path in shipped_packs() if path.stem == "e-novacron").read_text(encoding="utf-8")
    text = text.replace("group_by: dedup_key", "group_by: ['@service']")
    import_pack(text, activate=True, note="storm", actor=Actor.system())
    teams = []
    for name in (*PEOPLE, WARMING):
        user = get_user_model().objects.create_user(name, f"{name}@example.com", "x" * 20)
        ContactPoint.objects.create(
            user=user, kind="email", address=user.email, state="verified", verified_at=now(), confirmed_at=now()
        )
        team = Team.objects.create(slug=f"storm-{name}", name=f"Storm of {name}")
        RoleBinding.objects.create(role="primary", user=user, team=team)
        teams.append(team)
    Service.objects.create(slug="warm", name="Warm", owner=teams.pop())
    for number in range(SERVICES):
        Service.objects.create(slug=f"service-{number}", name=f"Service {number}", owner=teams[number % len(teams)])
    _, address = create_integration("Storm", "generic", team_id=teams[0].pk, actor=Actor.system())
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
FROM alerts_receipt WHERE received_at > %(since)s
"""
_FIRST = "SELECT min(declared_at), count(*) FROM incidents_incident WHERE declared_at > %(since)s"
_COUNTED = (
    ("alerts", "SELECT count(*) FROM alerts_alert WHERE dedup_key LIKE 'shard-%%'"),
    (
        "alerts that belong to an incident",
        "SELECT count(*) FROM alerts_alert WHERE group_id IS NOT NULL AND dedup_key LIKE 'shard-%%'",
    ),
    ("pages", "SELECT count(*) FROM paging_page WHERE created_at > %(since)s"),
    ("messages", "SELECT count(*) FROM messaging_message WHERE planned_at > %(since)s"),
    ("requests counted", "SELECT coalesce(sum(taken_count), 0) FROM alerts_intakeminute"),
    ("requests refused", "SELECT coalesce(sum(refused_count), 0) FROM alerts_intakeminute"),
)


_TOLD = """
SELECT u.username, extract(epoch FROM m.planned_at - %(began)s)::float8, m.title, m.payload ? 'bundle_id', m.state,
       extract(epoch FROM m.sent_at - %(began)s)::float8, extract(epoch FROM m.sent_at - m.planned_at)::float8
FROM messaging_message m JOIN people_user u ON u.id = m.recipient_id
WHERE m.channel = 'email' AND m.guard_kind LIKE 'paging.%%' AND m.planned_at > %(since)s
ORDER BY u.username, m.planned_at, m.id
"""
_UNTOLD = """
SELECT count(*) FILTER (WHERE NOT alone AND NOT together), count(*) FILTER (WHERE alone),
       count(*) FILTER (WHERE together)
FROM (SELECT EXISTS (SELECT 1 FROM messaging_message m WHERE m.channel = 'email' AND m.guard_kind = 'paging.run'
                     AND (m.payload ->> 'page_id')::bigint = p.id) AS alone,
             EXISTS (SELECT 1 FROM paging_bundledpage b WHERE b.page_id = p.id) AS together
      FROM paging_page p WHERE p.created_at > %(since)s) pages
"""


@dataclass(frozen=True, slots=True)
class Told:
    """One message to a person. Seconds count from the first alert; `took` from when it was due."""

    name: str
    planned: float
    title: str
    together: bool
    state: str
    sent: float | None
    took: float | None

    @property
    def rank(self) -> int:
        """The worst severity that it names; 99 for a message that was void before it was written."""
        return min((int(found) for found in re.findall(r"P(\d)\b", self.title)), default=_NOTHING_WORSE)


def windows_of(told: Sequence[Told]) -> tuple[list[int], list[Told]]:
    """How many messages each bundle window of one person had, and those that neither opened one nor were worse.

    One that was void when it was to be sent reached nobody, and is not counted.
    """
    counts: list[int] = []
    wrong: list[Told] = []
    ends, worst = float("-inf"), _NOTHING_WORSE
    for each in told:
        if each.planned >= ends - _SLACK_SECONDS:
            counts.append(int(each.state != "void"))
            ends, worst = each.planned + WINDOW_SECONDS, each.rank
            continue
        if each.state == "void":
            worst = min(worst, each.rank)
            continue
        counts[-1] += 1
        if each.together or each.rank >= worst:
            wrong.append(each)
        worst = min(worst, each.rank)
    return counts, wrong


def _report_people(connection: Any, times: dict[str, Any]) -> bool:
    told = [Told(*row) for row in connection.execute(_TOLD, times).fetchall()]
    good = True
    for name in PEOPLE:
        own = [each for each in told if each.name == name]
        counts, wrong = windows_of(own)
        shown = ", ".join(
            f"{each.planned:.1f} s {'together' if each.together else 'alone'} {each.title[:28]!r} {each.state}"
            for each in own
        )
        print(f"     {name}: {len(own)} messages in {len(counts)} windows: {shown}")
        good &= _say(bool(own) and not wrong, f"{name}: one message for each window, more only for something worse")
    firsts = [next((each for each in told if each.name == name and each.sent is not None), None) for name in PEOPLE]
    waits = [each.took for each in told if each.took is not None and not each.together]
    first = min((each.sent for each in firsts if each is not None and each.sent is not None), default=float("inf"))
    good &= _say(first <= FIRST_SECONDS, f"first page sent {first:.3f} s after the first alert")
    good &= _say(
        max(waits, default=float("inf")) <= FIRST_SECONDS,
        f"{len(waits)} pages alone, the slowest sent {max(waits, default=float('inf')):.3f} s after it was made",
    )
    untold, alone, together = connection.execute(_UNTOLD, times).fetchone()
    good &= _say(not untold, f"{untold} pages untold; {alone} told alone, {together} counted in a message with others")
    left = sum(each.state not in {"sent", "void"} for each in told)
    return good & _say(not left, f"{left} messages were not sent")


def _say(good: bool, text: str) -> bool:
    print(f"{'ok  ' if good else 'MISS'} {text}", flush=True)
    return good


def _report(database: str, sent: Load, alerts: int, since: datetime) -> bool:
    with psycopg.connect(database) as connection:
        times: dict[str, Any] = {"since": since}
        receipts, grouped, p50, p99, longest, began = connection.execute(_FIGURES, times).fetchone() or (0,) * 6
        first, incidents = connection.execute(_FIRST, times).fetchone() or (None, 0)
        counted = {what: (connection.execute(sql, times).fetchone() or (0,))[0] for what, sql in _COUNTED}
        people = _report_people(connection, times | {"began": began})
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
    return good and people and counted["alerts that belong to an incident"] == alerts


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
            since = _warm_up(address, path, database)
            sent = drive(address, path, _alert, rate=given.alerts / given.seconds, seconds=given.seconds)
            _drain(database)
            _wait_for_bundles(database)
        return 0 if _report(database, sent, given.alerts, since) else 1


def _warm_up(address: tuple[str, int], path: str, database: str) -> datetime:
    """Have incidents of another team opened and told once all workers are there; what counts comes after the instant
    given."""
    from incidentportal.celery import app

    until = time.monotonic() + DRAIN_SECONDS
    while len(app.control.ping(timeout=0.5)) < WORKERS and time.monotonic() < until:
        time.sleep(0.2)
    alert = {"title": "Warming up", "severity": "critical", "service": "warm"}
    drive(address, path, lambda number: orjson.dumps(alert | {"dedup_key": f"warm-{number}"}), rate=2, seconds=3)
    _drain(database)
    _wait_for_bundles(database)
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute("DELETE FROM alerts_intakeminute")
        found: datetime = (connection.execute("SELECT now()").fetchone() or (datetime.now(UTC),))[0]
        return found


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


def _wait_for_bundles(database: str) -> None:
    """Wait until what was gathered in the last windows is sent, too."""
    until = time.monotonic() + 2 * WINDOW_SECONDS + 5
    with psycopg.connect(database, autocommit=True) as connection:
        while time.monotonic() < until:
            sql = "SELECT count(*) FROM messaging_message WHERE state IN ('queued', 'sending')"
            if not (connection.execute(sql).fetchone() or (0,))[0]:
                return
            time.sleep(0.5)


if __name__ == "__main__":
    raise SystemExit(main())
