"""Ten thousand open incidents wait with their timers, and three hundred fall due together.

    python -m benchmarks.escalations

Prints what a sweep costs while nothing is due, the plan of its query, what it costs per second while the 300 fire, and
how late they are. Lateness is from the instant a step was due to the commit of its page.
"""

from __future__ import annotations

import argparse
import json
import statistics

from benchmarks.private import machine
from benchmarks.rig import Rig, wait_until

P95_TARGET_SECONDS = 1.0
LATENESS = """
SELECT extract(epoch FROM fired_at - due_at)::float AS late FROM engine_timer WHERE state = 'fired' AND due_at = %s
"""
# What a sweep asks each second, for each kind of timer.
SWEEP = """
EXPLAIN (ANALYZE, BUFFERS) SELECT id, key FROM engine_timer
WHERE kind = 'paging.escalate' AND state = 'pending' AND try_at <= now() ORDER BY try_at, id LIMIT 2000
"""
IDLE = """
import json, os, time
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "incidentportal.settings")
import django
django.setup()
from apps.engine.sweep import fire_timers, timers_due
from apps.foundation.clock import now
from apps.engine.models import Timer
fire_timers()
rounds, started, cpu = 200, time.perf_counter(), time.process_time()
for _ in range(rounds):
    timers_due(now())
    fire_timers()
print(json.dumps({
    "wall": (time.perf_counter() - started) / rounds,
    "cpu": (time.process_time() - cpu) / rounds,
    "pending": Timer.objects.filter(state="pending").count(),
}))
"""


def main() -> int:
    """Print the figures; 1 when a target is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=10_000)
    parser.add_argument("--due", type=int, default=300)
    options = parser.parse_args()
    print(machine())
    with Rig("escalations") as rig:
        rig.run("-m", "benchmarks.seed", "--incidents", str(options.count), "--due", "0", "--due-in", "3600")
        # So that nothing else falls due while the three hundred are measured.
        rig.query(
            "UPDATE paging_escalationrun SET started_at = started_at + interval '1 day', "
            "next_due_at = next_due_at + interval '1 day' WHERE state = 'running'"
        )
        rig.query(
            "UPDATE engine_timer SET due_at = due_at + interval '1 day', try_at = try_at + interval '1 day' "
            "WHERE state = 'pending'"
        )
        rig.query("ANALYZE engine_timer")
        idle = json.loads(rig.run("-c", IDLE))
        plan = [row["QUERY PLAN"] for row in rig.query(SWEEP)]
        for name in ("one", "two"):
            rig.start_worker(name, "timers")
        rig.start_ticker()
        told = rig.run("-m", "benchmarks.seed", "--incidents", "0", "--due", str(options.due), "--due-in", "15")
        due_at = json.loads(told)["due_at"]
        wait_until(lambda: len(rig.query(LATENESS, due_at)) >= options.due, "all timers fired", 90)
        late = sorted(row["late"] for row in rig.query(LATENESS, due_at))
        pages = rig.value("SELECT count(*) FROM paging_page WHERE due_at = %s", due_at)
    p95 = late[int(len(late) * 0.95) - 1]
    good = len(late) == options.due == pages and p95 <= P95_TARGET_SECONDS
    print(
        f"{options.count} open incidents, {idle['pending']} pending timers: a sweep while nothing is due takes "
        f"{idle['wall'] * 1000:.1f} ms ({idle['cpu'] * 1000:.1f} ms of processor), once a second."
    )
    print("The plan of its query:", *plan, sep="\n  ")
    print(
        f"{'ok  ' if good else 'MISS'} {options.due} due together among them: {pages} pages, lateness median "
        f"{statistics.median(late):.3f} s, p95 {p95:.3f} s (target {P95_TARGET_SECONDS:g}), max {late[-1]:.3f} s"
    )
    return 0 if good else 1


if __name__ == "__main__":
    raise SystemExit(main())
