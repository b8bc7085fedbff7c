"""What calls somebody besides time: a condition is marked, and taken back."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from apps.engine.operations import publish
from apps.engine.timers import NewTimer, schedule_many
from apps.foundation.actor import Actor
from apps.foundation.clock import now
from apps.foundation.errors import Conflict, Invalid
from apps.foundation.operations import operation
from apps.foundation.subjects import Subject
from apps.paging.conditions import LIMITED, MARKED, TARGET_MET
from apps.paging.events import ConditionCleared, ConditionMarked
from apps.paging.models import EscalationCondition, EscalationRun
from apps.paging.operations.firing import PAGING, Advance, advance_many, save_runs, timer_of
from apps.paging.operations.resting import RESTING, require_respond, wake
from apps.paging.operations.starting import lock_runs, runs_of
from apps.paging.standing import Plans

_LARGEST_AMOUNT = 10**12


@operation
def mark_condition(
    subject: Subject, condition: str, *, amount: int | None = None, note: str = "", actor: Actor
) -> EscalationCondition:
    """Say that a condition holds. The pack's triggers for it call their levels, at once or after their delays.

    Marking it again changes nothing, unless with another amount (revenue), which then counts from now. Where a trigger
    listens, a snooze ends, and maintenance holds nothing back. For those who may respond, and for the portal itself.
    Raises Forbidden, Conflict where escalation has ended, Invalid for an unknown condition or an amount that is missing
    or not wanted.
    """
    user = require_respond(subject, actor)
    _check(condition, amount)
    runs = lock_runs([subject])[subject]
    if runs and all(run.state == EscalationRun.State.STOPPED for run in runs.values()):
        raise Conflict("Escalation has ended here: reopen it first.", code="no_escalation_running")
    rows = EscalationCondition.objects.filter(runs_of([subject]), condition=condition, cleared_at__isnull=True)
    row = rows.first()
    if row is not None and row.amount == amount:
        return row
    at = now()
    rows.update(cleared_at=at, cleared_by=actor.name[:120])
    row = EscalationCondition.objects.create(
        subject_kind=subject.kind,
        subject_key=subject.key,
        condition=condition,
        amount=amount,
        note=note.strip()[:300],
        user=user,
        marked_by=actor.name[:120],
        at=at,
    )
    event = ConditionMarked(condition=condition, name=MARKED[condition], amount=amount, note=row.note)
    publish(event, subject=subject, actor=actor)
    for run in runs.values():
        noted = {"at": at.isoformat(), **({"amount": amount} if amount is not None else {})}
        run.conditions = {**run.conditions, condition: noted}
    plans = Plans()
    plans.read_activity(list(runs.values()))
    resting = [run for run in runs.values() if run.state in RESTING]
    if any(_listens(run, plans) for run in resting):
        wake(resting, actor=actor, held_no_more=True)
    _replan(list(runs.values()), at, actor, plans)
    return row


@operation
def clear_condition(subject: Subject, condition: str, *, actor: Actor) -> None:
    """Take a condition back: what its triggers have not called yet, they don't. Without it nothing changes.

    For those who may respond. Raises Forbidden, and Invalid for an unknown condition.
    """
    require_respond(subject, actor)
    if condition not in MARKED:
        raise _unknown(condition)
    runs = lock_runs([subject])[subject]
    rows = EscalationCondition.objects.filter(runs_of([subject]), condition=condition, cleared_at__isnull=True)
    if not rows.update(cleared_at=now(), cleared_by=actor.name[:120]) and not any(
        condition in run.conditions for run in runs.values()
    ):
        return
    for run in runs.values():
        run.conditions = {name: noted for name, noted in run.conditions.items() if name != condition}
    event = ConditionCleared(condition=condition, name=MARKED[condition])
    publish(event, subject=subject, actor=actor)
    # The timer that was set for it finds nothing to do and sets the next one.
    save_runs(list(runs.values()))


@operation
def settle_target(subject: Subject, *, met: bool, actor: Actor) -> None:
    """Whether the milestone is reached at which the clock of the target stops: then nobody is called because it passes.

    It holds until the subject opens again. Where another milestone counts now that is not reached, the target passes
    as before; what rests goes on resting. For the owner of the subject, who authorizes. A repeat changes nothing.
    """
    settle_targets({subject: met}, actor=actor)


@operation
def settle_targets(met: Mapping[Subject, bool], *, actor: Actor) -> None:
    """`settle_target` for many subjects, with a constant number of queries."""
    at = now()
    stopped: list[EscalationRun] = []
    running: list[EscalationRun] = []
    for subject, runs in lock_runs(list(met)).items():
        for run in runs.values():
            if (TARGET_MET in run.conditions) is met[subject]:
                continue
            if met[subject]:
                run.conditions = {**run.conditions, TARGET_MET: {"at": at.isoformat()}}
                stopped.append(run)
            else:
                run.conditions = {name: noted for name, noted in run.conditions.items() if name != TARGET_MET}
                running.append(run)
    save_runs(stopped)
    if running:
        plans = Plans()
        plans.read_activity(running)
        _replan(running, at, actor, plans)


def _check(condition: str, amount: int | None) -> None:
    if condition not in MARKED:
        raise _unknown(condition)
    if condition in LIMITED and (amount is None or not 0 <= amount <= _LARGEST_AMOUNT):
        text = f"{MARKED[condition]}: say how much, as a whole number."
        raise Invalid(text, fields={"amount": [text]})
    if condition not in LIMITED and amount is not None:
        text = f"{MARKED[condition]} has no amount."
        raise Invalid(text, fields={"amount": [text]})


def _unknown(condition: str) -> Invalid:
    text = f"Unknown condition {condition!r}. Valid: {', '.join(MARKED)}."
    return Invalid(text, fields={"condition": [text]})


def _replan(runs: list[EscalationRun], at: datetime, actor: Actor, plans: Plans) -> None:
    """Call at once what is due now, and set a timer where something is due earlier than was known."""
    due: list[Advance] = []
    timers: list[NewTimer] = []
    for run in runs:
        if run.state not in PAGING:
            continue
        next_due_at = plans.next_due_at(run)
        if next_due_at is not None and next_due_at <= at:
            due.append(Advance(run, at))
        elif next_due_at is not None and next_due_at != run.next_due_at:
            run.next_due_at, run.state, run.ended_at = next_due_at, EscalationRun.State.RUNNING, None
            timers.append(timer_of(run, next_due_at))
    advance_many(due, actor=actor, plans=plans)
    schedule_many(timers)
    advanced = {item.run.pk for item in due}
    save_runs([run for run in runs if run.pk not in advanced])


def _listens(run: EscalationRun, plans: Plans) -> bool:
    """Whether a condition that holds calls somebody of this run."""
    steps = (item.step for item in plans.pending(run))
    return any(trigger.when in run.conditions for step in steps for trigger in step.triggers)
