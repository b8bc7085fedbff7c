"""Firing due timers, in batches, exactly once each.

Locks are taken in one order: first the subjects, then their timers, both skipping what others hold.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from datetime import datetime, timedelta

from django.db import Error as DatabaseError
from django.db import transaction

from apps.engine.bell import publish_ring
from apps.engine.models import Timer
from apps.engine.operations import MAX_ATTEMPTS, report_fault
from apps.engine.registry import DueTimer, TimerKind, timer_kinds
from apps.engine.timers import FIRE_QUEUE, FIRE_TASK
from apps.foundation.actor import Actor, acting
from apps.foundation.clock import now

logger = logging.getLogger(__name__)

# Small enough that what falls due together is spread over the workers, and that the first of it is committed soon.
BATCH = 75
LOOK_AHEAD = 2000
# Of a kind whose queue is another than that of pages: what it does takes long, and pages wait meanwhile.
SLOW_BATCH = 10


def timers_due(at: datetime) -> bool:
    return Timer.objects.filter(state=Timer.State.PENDING, try_at__lte=at).exists()


def next_due_at() -> datetime | None:
    """When the next timer falls due that is not due yet, so that the ticker can wake for it."""
    ahead = Timer.objects.filter(state=Timer.State.PENDING, try_at__gt=now())
    return ahead.order_by("try_at").values_list("try_at", flat=True).first()


def fire_timers() -> int:
    """Fire what is due; returns how many timers were fired, cancelled or put off.

    First those kinds whose queue is `timers`, all of it. Then one small batch of each other kind: the rest has its turn
    in the next round, after the pages that fell due meanwhile.
    """
    rows = Timer.objects.filter(state=Timer.State.PENDING, try_at__lte=now())
    waiting = set(rows.order_by().values_list("kind", flat=True).distinct())
    # Asked kind by kind, a round in which nothing is due would take a query for each.
    return sum(_fire_kind(kind) for kind in sorted(timer_kinds(), key=_is_slow) if kind.name in waiting)


def _is_slow(kind: TimerKind) -> bool:
    return kind.queue != FIRE_QUEUE


def _fire_kind(kind: TimerKind) -> int:
    candidates = list(
        Timer.objects.filter(kind=kind.name, state=Timer.State.PENDING, try_at__lte=now())
        .order_by("try_at", "id")
        .values_list("pk", "key")[:LOOK_AHEAD]
    )
    # Of several due timers of one subject only the first goes into a round: it may make the next one stale.
    first: dict[str, int] = {}
    for pk, key in candidates:
        first.setdefault(key, pk)
    waiting = list(first.items())
    if _is_slow(kind):
        # No other worker is called: one is enough for it, and the next round comes at once.
        return _fire_batch(kind, waiting[:SLOW_BATCH]) if waiting else 0
    if len(waiting) > BATCH:
        # One ring wakes one worker: whoever finds more than it can do at once calls another, which does the same.
        publish_ring(FIRE_TASK, FIRE_QUEUE)
    handled = 0
    for start in range(0, len(waiting), BATCH):
        handled += _fire_batch(kind, waiting[start : start + BATCH])
    return handled


def _fire_batch(kind: TimerKind, batch: Sequence[tuple[str, int]]) -> int:
    try:
        return _fire_together(kind, batch)
    except DatabaseError:
        if len(batch) == 1:
            raise
    except Exception:  # a kind may fail in any way; its timers are repeated one by one below
        logger.info("A batch of %s failed; repeating it one by one.", kind.name, exc_info=True)
    return sum(_fire_alone(kind, item) for item in batch)


def _fire_together(kind: TimerKind, batch: Sequence[tuple[str, int]]) -> int:
    keys = [key for key, _ in batch]
    with transaction.atomic(), acting(Actor.system(kind.name), "timer fired"):
        locked = kind.lock(keys)
        missing = [key for key in keys if key not in locked]
        gone = set(missing) - kind.exists(missing) if missing else set()
        wanted = [pk for key, pk in batch if key in locked or key in gone]
        timers = list(
            Timer.objects.select_for_update(skip_locked=True)
            .filter(pk__in=wanted, state=Timer.State.PENDING)
            .order_by("try_at", "id")
        )
        due: list[DueTimer] = []
        stale: list[int] = []
        for timer in timers:
            holder = locked.get(timer.key)
            if holder is None or holder.run != timer.run:
                stale.append(timer.pk)
            else:
                due.append(DueTimer(timer=timer, subject=holder.subject))
        if due:
            kind.fire(due)
            Timer.objects.filter(pk__in=[item.timer.pk for item in due]).update(state=Timer.State.FIRED, fired_at=now())
        if stale:
            Timer.objects.filter(pk__in=stale).update(state=Timer.State.CANCELLED)
        return len(timers)


def _fire_alone(kind: TimerKind, item: tuple[str, int]) -> int:
    try:
        return _fire_together(kind, [item])
    except Exception as error:
        logger.exception("%s failed on %s.", kind.name, item[0])
        _put_off(kind, item[1], error)
        return 1


def _put_off(kind: TimerKind, pk: int, error: Exception) -> None:
    with transaction.atomic():
        timer = Timer.objects.select_for_update().get(pk=pk)
        if timer.state != Timer.State.PENDING:
            return
        timer.attempts += 1
        timer.last_error = f"{type(error).__name__}: {error}"[:2000]
        timer.try_at = now() + timedelta(seconds=min(2**timer.attempts, 60))
        if timer.attempts >= MAX_ATTEMPTS:
            timer.state = Timer.State.FAILED
            report_fault(f"timer:{kind.name}", f"A timer of {kind.name} can't fire", timer.last_error)
        timer.save(update_fields=["attempts", "last_error", "try_at", "state"])
