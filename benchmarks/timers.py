"""A thousand escalation steps due at one instant, two workers: how late are they?

    python -m benchmarks.timers

Lateness is from the instant a step was due to the commit of its page (the row's own time plus the transaction's).
"""

from __future__ import annotations

import argparse
import json
import statistics

from benchmarks.private import machine
from benchmarks.rig import Rig, wait_until

P95_TARGET_SECONDS, MAX_TARGET_SECONDS = 1.0, 2.0
FIRED = "SELECT count(*) FROM engine_timer WHERE state = 'fired' AND due_at = %s"
LATENESS = """
SELECT extract(epoch FROM fired_at - due_at)::float AS late FROM engine_timer WHERE state = 'fired' AND due_at = %s
"""


def main() -> int:
    """Print the figures; 1 when a target is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=1000)
    count = parser.parse_args().count
    print(machine())
    with Rig("timers") as rig:
        for name in ("one", "two"):
            rig.start_worker(name, "timers")
        rig.start_ticker()
        due_at = json.loads(rig.run("-m", "benchmarks.seed", "--incidents", str(count), "--due-in", "8"))["due_at"]
        wait_until(lambda: rig.value(FIRED, due_at) >= count, "all fired", 60)
        late = sorted(row["late"] for row in rig.query(LATENESS, due_at))
        twice = rig.value(
            "SELECT count(*) FROM (SELECT 1 FROM paging_page WHERE escalation_id IS NOT NULL "
            "GROUP BY escalation_id, run, step, user_id HAVING count(*) > 1) AS doubled"
        )
    p95 = late[int(len(late) * 0.95) - 1]
    good = len(late) == count and p95 <= P95_TARGET_SECONDS and late[-1] <= MAX_TARGET_SECONDS and twice == 0
    print(
        f"{'ok  ' if good else 'MISS'} {count} timers at one instant, two workers: lateness median "
        f"{statistics.median(late):.3f} s, p95 {p95:.3f} s (target {P95_TARGET_SECONDS:g}), max {late[-1]:.3f} s "
        f"(target {MAX_TARGET_SECONDS:g}); {twice} fired twice"
    )
    return 0 if good else 1


if __name__ == "__main__":
    raise SystemExit(main())
