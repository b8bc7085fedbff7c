"""The timer kind of escalation, and the invariant that a running track always has its next timer."""

from __future__ import annotations

from collections.abc import Sequence

from django.db import transaction
from django.db.models import CharField, Exists, OuterRef, QuerySet
from django.db.models.functions import Cast

from apps.engine.models import Timer
from apps.engine.registry import DueTimer, Locked, TimerKind
from apps.engine.timers import schedule_many
from apps.foundation.actor import Actor
from apps.foundation.clock import now
from apps.paging.models import EscalationRun
from apps.paging.operations.firing import PAGING, STEPPED, Advance, advance_many, save_runs, timer_of
from apps.paging.operations.resting import come_back, wake_up
from apps.paging.operations.together import told_together
from apps.paging.plan import TIMER_KIND

_REPAIRED_AT_ONCE = 500
_State = EscalationRun.State
_RESTING = (_State.SNOOZED, _State.HELD)


def lock(keys: Sequence[str]) -> dict[str, Locked]:
    """Lock the escalations that nobody else holds; the present run of each."""
    rows = EscalationRun.objects.select_for_update(skip_locked=True).filter(pk__in=[int(key) for key in keys])
    return {str(row.pk): Locked(row, row.run) for row in rows.order_by("pk")}


def exists(keys: Sequence[str]) -> set[str]:
    """Which of the escalations are there, locked or not."""
    rows = EscalationRun.objects.filter(pk__in=[int(key) for key in keys]).values_list("pk", flat=True)
    return {str(pk) for pk in rows}


def fire(due: Sequence[DueTimer]) -> None:
    """Take the due steps; wake what rested; let an acknowledged track come back where nothing happened since.

    A timer whose step was taken by hand already has nothing left to do.
    """
    actor = Actor.system("escalation")
    ready = [item for item in due if _is_due(item)]
    running = [item for item in ready if item.subject.state in {_State.RUNNING, _State.WAITING}]
    with told_together():
        advance_many(
            [Advance(item.subject, item.timer.due_at, force=bool(item.timer.payload.get("force"))) for item in running],
            actor=actor,
            fields=STEPPED,
        )
        wake_up([item.subject for item in ready if item.subject.state in _RESTING], actor=actor)
        come_back([item.subject for item in ready if item.subject.state == _State.ACKNOWLEDGED], actor=actor)


def _is_due(item: DueTimer) -> bool:
    """What rests or was answered takes no steps, so a level that was called by hand meanwhile leaves its timer good."""
    step: int = item.timer.payload.get("step", item.timer.seq)
    return item.subject.state not in PAGING or item.subject.step == step


def without_timer() -> QuerySet[EscalationRun]:
    """Tracks that run or rest and that no pending timer of their run will ever move on."""
    pending = Timer.objects.filter(
        kind=TIMER_KIND, key=OuterRef("key_text"), run=OuterRef("run"), state=Timer.State.PENDING
    )
    rows = EscalationRun.objects.filter(state__in=[_State.RUNNING, *_RESTING])
    return rows.annotate(key_text=Cast("pk", CharField())).filter(~Exists(pending))


def repair() -> list[str]:
    """Give tracks without a timer one for their next step; a sentence for each.

    The run stays: raising it would void pages that are on their way.
    """
    with transaction.atomic():
        candidates = list(without_timer().values_list("pk", flat=True)[:_REPAIRED_AT_ONCE])
        rows = EscalationRun.objects.select_for_update(skip_locked=True).filter(pk__in=candidates)
        locked = list(rows.order_by("pk"))
        # Looked for again under the locks: a sweep may have moved one on since.
        still = set(without_timer().filter(pk__in=candidates).values_list("pk", flat=True))
        runs = [run for run in locked if run.pk in still]
        at = now()
        schedule_many([timer_of(run, run.next_due_at or at) for run in runs])
        save_runs(runs)
    return [f"Escalation {run.pk} ({run.title}) had no timer for step {run.step}; it has one again." for run in runs]


KIND = TimerKind(name=TIMER_KIND, lock=lock, exists=exists, fire=fire)
