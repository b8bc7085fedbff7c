"""Running a sweeper: rounds until nothing is left or its time is up."""

from __future__ import annotations

import time

from apps.engine.pulses import beat
from apps.engine.registry import sweeper

ROUND_BUDGET_SECONDS = 5.0


def run_sweeper(task: str) -> int:
    """Do rounds of one sweeper while they find work, for at most `ROUND_BUDGET_SECONDS`; returns rows handled."""
    found = sweeper(task)
    until = time.monotonic() + ROUND_BUDGET_SECONDS
    total = 0
    while True:
        handled = found.run()
        total += handled
        beat(f"sweep:{task}")
        if handled == 0 or time.monotonic() > until:
            return total
