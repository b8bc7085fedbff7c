"""What follows from the outcome of a step: the next one, another attempt, undoing, or a person's decision.

Everything here runs in the transaction that writes the outcome, under the execution's lock.
"""

from __future__ import annotations

from datetime import timedelta

from apps.engine.bell import ring
from apps.foundation.actor import Actor
from apps.foundation.clock import now
from apps.runbooks.documents import GoTo
from apps.runbooks.events import OutcomeUnknown, StepFinished, WaitsForPerson
from apps.runbooks.models import Execution, StepRun
from apps.runbooks.operations.attempts import COMPENSATE, FORWARD, step_of
from apps.runbooks.operations.claiming import keep
from apps.runbooks.operations.ending import begin_undoing, finish_forward, finish_undoing
from apps.runbooks.operations.telling import call_for_help, log, tell, write_to_those_concerned
from apps.runbooks.steps.base import Outcome
from apps.runbooks.timing import timing_text

EXECUTE_TASK = "runbooks.execute_step"
EXECUTE_QUEUE = "executions"

# Steps that a worker still has something to do for.
OPEN = (StepRun.State.PENDING, StepRun.State.RUNNING, StepRun.State.WAITING)


def ring_workers() -> None:
    """Have the next step looked for as soon as this transaction is committed."""
    ring(EXECUTE_TASK, EXECUTE_QUEUE)


def next_run(execution: Execution) -> StepRun | None:
    """The step whose turn it is in the present direction."""
    direction = COMPENSATE if execution.state == Execution.State.COMPENSATING else FORWARD
    return execution.steps.filter(direction=direction, state__in=OPEN).order_by("order").first()


def record(execution: Execution, run: StepRun, outcome: Outcome, *, idempotent: bool, actor: Actor) -> None:
    """Write an outcome, free of secrets already, and go on from there."""
    if outcome.state == "succeeded":
        succeeded(execution, run, outcome.data, actor)
    elif outcome.state == "waiting":
        _waits(execution, run, outcome, actor)
    elif outcome.maybe_done and not idempotent:
        unknown(execution, run, outcome.error or "It failed after it may have taken effect.", actor)
    else:
        failed(execution, run, outcome, actor)


def succeeded(execution: Execution, run: StepRun, data: dict[str, object], actor: Actor) -> None:
    """The step is done."""
    run.outcome, run.progress, run.error = data, 100, ""
    _close(execution, run, StepRun.State.SUCCEEDED, actor)
    go_on(execution, actor)


def failed(execution: Execution, run: StepRun, outcome: Outcome, actor: Actor) -> None:
    """The attempt failed: another one later while the step has retries, else the step failed for good."""
    at, step = now(), step_of(execution, run)
    run.failures += 1
    run.error = outcome.error or "It failed without saying why."
    run.outcome = {**outcome.data, "maybe_done": True} if outcome.maybe_done else (outcome.data or None)
    if run.failures <= step.retries and not _stops(execution, run):
        run.state, run.outcome_at = StepRun.State.PENDING, at
        run.due_at = at + timedelta(seconds=step.retry_delay)
        run.save()
        log(execution, f"Attempt {run.attempts} failed: {run.error}", step=run, level="warning")
        keep(execution, due_at=run.due_at, lease_until=None, worker="")
        ring_workers()
        return
    _close(execution, run, StepRun.State.FAILED, actor)
    if run.direction == COMPENSATE:
        _give_up_undoing(execution, run, actor)
    elif isinstance(step.on_failure, GoTo):
        _jump(execution, run, step.on_failure.go_to)
    elif step.on_failure == "abort":
        begin_undoing(execution, f"Step {run.position} ({run.name}) failed: {run.error}", actor)
        return
    go_on(execution, actor)


def skip(execution: Execution, run: StepRun, why: str, actor: Actor) -> None:
    """A step whose conditions don't hold is over without having begun."""
    run.state, run.finished_at, run.due_at = StepRun.State.SKIPPED, now(), None
    run.save()
    log(execution, why, step=run)
    go_on(execution, actor)


def _jump(execution: Execution, run: StepRun, slug: str) -> None:
    """Skip what stands between a step that failed and the one at which it goes on."""
    steps = execution.steps.filter(direction=FORWARD)
    goal = steps.get(slug=slug)
    for between in steps.filter(position__gt=run.position, position__lt=goal.position, state=StepRun.State.PENDING):
        between.state, between.finished_at = StepRun.State.SKIPPED, now()
        between.save()
    log(execution, f"Goes on at step {goal.position} ({goal.name}).", step=run, level="warning")


def unknown(execution: Execution, run: StepRun, error: str, actor: Actor) -> None:
    """Nobody knows whether the step has happened, and it must not happen twice: a person decides."""
    run.state, run.error, run.outcome_at = StepRun.State.UNKNOWN, error, now()
    run.save()
    detail = f"Step {run.position} ({run.name}): it is not known whether it has happened. {error}"
    _stand_still(execution, run, Execution.State.UNKNOWN, detail)
    log(execution, detail, step=run, level="error")
    event = OutcomeUnknown(
        execution_id=execution.pk, runbook=execution.runbook.name,
        step_id=run.pk, position=run.position, name=run.name, error=error,
    )  # fmt: skip
    tell(execution, event, actor)
    write_to_those_concerned(
        execution,
        key=f"unknown:{run.pk}:{run.attempts}",
        title=f"{execution.runbook.name} #{execution.pk} needs your decision",
        body=f"{detail}\n\nFind out whether it has happened, and say so on the page of the execution.",
    )


def go_on(execution: Execution, actor: Actor) -> None:
    """After a step: the next one at once, undoing where it was cancelled, or the end."""
    forward = execution.state != Execution.State.COMPENSATING
    if forward and execution.cancel_requested_at is not None:
        begin_undoing(execution, reason_of(execution) or "It was cancelled.", actor)
    elif next_run(execution) is not None:
        keep(execution, due_at=now(), lease_until=None, worker="")
        ring_workers()
    elif forward:
        finish_forward(execution, actor)
    else:
        finish_undoing(execution, actor)


def reason_of(execution: Execution) -> str:
    """Why it is being undone, or will be: the first line of its detail, under which a wait for a person may be told."""
    return execution.state_detail.partition("\n")[0]


def _stand_still(execution: Execution, run: StepRun, state: str, detail: str) -> None:
    """Only a person can let it go on."""
    undoing = run.direction == COMPENSATE or execution.cancel_requested_at is not None
    told = f"{reason_of(execution)}\n{detail}" if undoing else detail
    keep(execution, state=state, state_detail=told, due_at=None, lease_until=None, worker="")


def tell_finished(execution: Execution, run: StepRun, actor: Actor) -> None:
    """Publish that a step is over."""
    event = StepFinished(
        execution_id=execution.pk, runbook=execution.runbook.name,
        step_id=run.pk, position=run.position, steps=execution.steps.filter(direction=FORWARD).count(),
        name=run.name, direction=run.direction, state=run.state, error=run.error, attempts=run.attempts,
        took_milliseconds=round((run.took_seconds or 0) * 1000),
        target_seconds=run.target_seconds or 0, pace=run.pace.value,
    )  # fmt: skip
    tell(execution, event, actor)


def _close(execution: Execution, run: StepRun, state: str, actor: Actor) -> None:
    at = now()
    run.state, run.outcome_at, run.finished_at, run.due_at = state, at, at, None
    run.save()
    done = state == StepRun.State.SUCCEEDED
    timing = f" It {timing_text(run)}." if run.pace else ""
    log(execution, f"Done.{timing}" if done else f"Failed: {run.error}", step=run, level="info" if done else "error")
    tell_finished(execution, run, actor)


def _waits(execution: Execution, run: StepRun, outcome: Outcome, actor: Actor) -> None:
    run.state, run.due_at, run.outcome_at = StepRun.State.WAITING, outcome.due_at, now()
    run.outcome = outcome.data or None
    run.save()
    if _stops(execution, run):
        go_on(execution, actor)
        return
    if outcome.due_at is not None:
        keep(execution, due_at=outcome.due_at, lease_until=None, worker="")
        return
    detail = f"Step {run.position} ({run.name}) waits for a person."
    _stand_still(execution, run, Execution.State.WAITING, detail)
    log(execution, detail, step=run)
    event = WaitsForPerson(
        execution_id=execution.pk, runbook=execution.runbook.name, step_id=run.pk, position=run.position, name=run.name
    )
    tell(execution, event, actor)
    title = f"{execution.runbook.name} #{execution.pk} waits for you: {run.name}"
    write_to_those_concerned(execution, key=f"waits:{run.pk}", title=title, body=detail)


def _stops(execution: Execution, run: StepRun) -> bool:
    """Whether a forward step is not waited for, nor tried again, because somebody cancelled."""
    return run.direction == FORWARD and execution.cancel_requested_at is not None


def _give_up_undoing(execution: Execution, run: StepRun, actor: Actor) -> None:
    """One page for an execution, however much of it can't be undone; the rest is undone all the same."""
    before = execution.steps.filter(direction=COMPENSATE, state=StepRun.State.FAILED).exclude(pk=run.pk)
    # What a sub-runbook could not undo has been paged for by its own execution.
    if not before.exists() and run.kind != "sub_runbook":
        call_for_help(execution, run, run.error, actor)
