"""Groups a second: receipts that join open incidents, that repeat, and that each open an incident and page somebody.

    python -m benchmarks.grouping

One worker on a private PostgreSQL database; nothing else runs. Every figure counts committed work only.
"""

from __future__ import annotations

import argparse
import time
from typing import TYPE_CHECKING, Any

from benchmarks.private import machine, private_portal, set_up_django

if TYPE_CHECKING:
    from apps.alerts.models import Integration

TARGETS = {"join an open incident": 300, "repeat": 300, "open an incident and page": 100}
GROUPS = 500


def _payload(number: int, cluster: int, severity: str = "critical") -> dict[str, Any]:
    return {
        "version": "4",
        "status": "firing",
        "receiver": "portal",
        "alerts": [
            {
                "status": "firing",
                "labels": {"alertname": "HighLatency", "severity": severity, "cluster": str(cluster), "n": str(number)},
                "annotations": {"summary": f"p99 of shard {cluster} is over a second"},
                "startsAt": "2026-05-01T12:00:00Z",
                "generatorURL": "http://prometheus:9090/graph",
                "fingerprint": f"{number:016x}",
            }
        ],
    }


def _world() -> Integration:
    """A pack that groups by cluster, a team, and somebody on call with a mail address."""
    from django.contrib.auth import get_user_model

    from apps.alerts.operations import create_integration
    from apps.catalog.models import Team
    from apps.foundation.actor import Actor
    from apps.foundation.clock import now
    from apps.oncall.models import RoleBinding
    from apps.people.models import ContactPoint
    from apps.people.operations import portal_user, sync_groups
    from apps.policies.operations import import_pack, shipped_packs

    sync_groups()
    portal_user()
    text = next(path for path in shipped_packs() if path.stem == "e-novacron").read_text(encoding="utf-8")
    import_pack(
        text.replace("group_by: dedup_key", "group_by: [cluster]"), activate=True, note="bench", actor=Actor.system()
    )
    user = get_user_model().objects.create_user("oncall", "oncall@example.com", "x" * 20)
    ContactPoint.objects.create(
        user=user, kind="email", address="oncall@example.com", state="verified", verified_at=now()
    )
    team = Team.objects.create(slug="bench", name="Bench")
    RoleBinding.objects.create(role="primary", user=user, team=None)
    return create_integration("Bench", "alertmanager", team_id=team.pk, actor=Actor.system())[0]


def _receive(source: Integration, payloads: list[dict[str, Any]]) -> None:
    import orjson

    from apps.alerts.models import Receipt
    from apps.foundation.clock import now

    at = now()
    Receipt.objects.bulk_create(
        [Receipt(integration=source, body=orjson.dumps(payload), received_at=at) for payload in payloads],
        batch_size=1000,
    )


def _measure(what: str, count: int) -> bool:
    from apps.alerts.operations import group

    start, done = time.perf_counter(), 0
    while handled := group():
        done += handled
    seconds = time.perf_counter() - start
    rate = done / seconds
    good = done == count and rate >= TARGETS[what]
    mark = "ok  " if good else "MISS"
    print(f"{mark} {what:<28} {rate:7.0f}/s  (target {TARGETS[what]}/s; {done} in {seconds:.2f} s)")
    return good


def main() -> int:
    """Print the figures; 1 when a target is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=2000, help="receipts for each figure")
    count = parser.parse_args().count
    print(machine())
    with private_portal("grouping"):
        set_up_django()
        from apps.incidents.models import Incident
        from apps.messaging.models import Message
        from apps.paging.models import Page

        source = _world()
        _receive(source, [_payload(n, n) for n in range(count)])
        good = _measure("open an incident and page", count)
        paged = f"{Page.objects.count()} pages, {Message.objects.count()} messages"
        print(f"     {Incident.objects.count()} incidents, {paged}")
        _receive(source, [_payload(count + n, n % min(GROUPS, count)) for n in range(count)])
        good &= _measure("join an open incident", count)
        _receive(source, [_payload(n, n) for n in range(count)])
        good &= _measure("repeat", count)
        print(f"     {Incident.objects.count()} incidents afterwards")
    return 0 if good else 1


if __name__ == "__main__":
    raise SystemExit(main())
