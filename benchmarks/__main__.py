"""`python -m benchmarks [name …]`: every benchmark, or those named; fails when a target is missed."""

from __future__ import annotations

import subprocess
import sys

from benchmarks.private import ROOT, machine

ALL = ("timers", "escalations", "latency", "grouping", "intake", "storm", "flags", "schedules", "snapshots")


def main() -> int:
    """Run each in a process of its own, so that none inherits another's settings."""
    wanted = sys.argv[1:] or list(ALL)
    unknown = set(wanted) - set(ALL)
    if unknown:
        print(f"There is no benchmark {', '.join(sorted(unknown))}; there are {', '.join(ALL)}.")
        return 2
    print(f"Machine: {machine()}\n", flush=True)
    missed = []
    for name in wanted:
        print(f"== {name}", flush=True)
        if subprocess.run([sys.executable, "-m", f"benchmarks.{name}"], cwd=ROOT, check=False).returncode:
            missed.append(name)
    print(f"\nMissed a target: {', '.join(missed)}." if missed else "\nEvery target was met.")
    return 1 if missed else 0


if __name__ == "__main__":
    raise SystemExit(main())
