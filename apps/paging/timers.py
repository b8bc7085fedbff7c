"""The timer kind of escalation, and the invariant that a running track always has its next timer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from django.db import transaction
from django.db.models import CharField, Exists, OuterRef, QuerySet
from django.db.models.functions import Cast

from apps.engine.models import Timer
from apps.engine.registry import DueTimer, Locked, TimerKind
from apps.engine.timers import schedule_many
from apps.foundation.actor import Actor
from apps.foundation.clock import now
from apps.paging.models import EscalationRun
from apps.paging.operations.firing import Advance, Plans, advance_many, timer_of
from apps.paging.plan import TIMER_KIND

_REPAIRED_AT_ONCE = 500


def lock(keys: Sequence[str]) -> dict[str, Locked]:
    """Lock the escalations that nobody else holds; the present run of each."""
    rows = EscalationRun.objects.select_for_update(skip_locked=True).filter(pk__in=[int(key) for key in keys])
    return {str(row.pk): Locked(row, row.run) for row in rows.order_by("pk")}


def exists(keys: Sequence[str]) -> set[str]:
    """Which of the escalations are there, locked or not."""
    rows = EscalationRun.objects.filter(pk__in=[int(key) for key in keys]).values_list("pk", flat=True)
    return {str(pk) for pk in rows}


def fire(due: Sequence[DueTimer]) -> None:
    """Take the due steps. A timer whose step was taken by hand already has nothing left to do."""
    ready = [item for item in due if _is_next(item.subject, item.timer)]
    advance_many([Advance(item.subject, item.timer.due_at) for item in ready], actor=Actor.system("escalation"))


def _is_next(run: EscalationRun, timer: Timer) -> bool:
    step = timer.payload.get("step", timer.seq)
    return run.state == EscalationRun.State.RUNNING and run.run == timer.run and run.step == step


def without_timer() -> QuerySet[EscalationRun]:
    """Running tracks that no pending timer of their run will ever move on."""
    pending = Timer.objects.filter(
        kind=TIMER_KIND, key=OuterRef("key_text"), run=OuterRef("run"), state=Timer.State.PENDING
    )
    rows = EscalationRun.objects.filter(state=EscalationRun.State.RUNNING)
    return rows.annotate(key_text=Cast("pk", CharField())).filter(~Exists(pending))


def repair() -> list[str]:
    """Give running tracks without a timer one for their next step; a sentence for each.

    A timer of the step may be there, failed or fired without effect, so the new one takes the instant as its number
    and carries the step. The run stays: raising it would void pages that are on their way.
    """
    with transaction.atomic():
        candidates = list(without_timer().values_list("pk", flat=True)[:_REPAIRED_AT_ONCE])
        rows = EscalationRun.objects.select_for_update(skip_locked=True).filter(pk__in=candidates)
        locked = list(rows.order_by("pk"))
        # Looked for again under the locks: a sweep may have moved one on since.
        still = set(without_timer().filter(pk__in=candidates).values_list("pk", flat=True))
        runs = [run for run in locked if run.pk in still]
        plans, at = Plans(), now()
        timers = [timer_of(run, plans.next_due_at(run) or at) for run in runs]
        number = int(at.timestamp())
        schedule_many([replace(timer, seq=number, payload={"step": timer.seq}) for timer in timers])
    return [f"Escalation {run.pk} ({run.title}) had no timer for step {run.step}; it has one again." for run in runs]


KIND = TimerKind(name=TIMER_KIND, lock=lock, exists=exists, fire=fire)
