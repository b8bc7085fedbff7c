"""Scheduling timers. Operations only insert them; only the sweep changes them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from django.db import transaction

from apps.engine.bell import ring
from apps.engine.models import Timer
from apps.foundation.clock import now

FIRE_TASK = "engine.fire_timers"
FIRE_QUEUE = "timers"
# On these nothing waits for anything else: what makes pages, and what sends them.
PAGING_QUEUES = frozenset({FIRE_QUEUE, "messages"})


@dataclass(frozen=True, slots=True)
class NewTimer:
    """`due_at` in UTC. (kind, key, run, seq) is unique: scheduling the same one again changes nothing."""

    kind: str
    key: str
    run: int
    seq: int
    due_at: datetime
    payload: dict[str, Any] = field(default_factory=dict)


def schedule_many(timers: Sequence[NewTimer]) -> None:
    """Insert timers in the caller's transaction; repeats change nothing. RuntimeError outside a transaction."""
    if not timers:
        return
    if not transaction.get_connection().in_atomic_block:
        raise RuntimeError("A timer is scheduled in the transaction of its cause.")
    at = now()
    Timer.objects.bulk_create(
        [
            Timer(
                kind=timer.kind,
                key=timer.key,
                run=timer.run,
                seq=timer.seq,
                due_at=timer.due_at,
                try_at=timer.due_at,
                payload=timer.payload,
                created_at=at,
            )
            for timer in timers
        ],
        ignore_conflicts=True,
        batch_size=500,
    )
    if any(timer.due_at <= at for timer in timers):
        ring(FIRE_TASK, FIRE_QUEUE)
