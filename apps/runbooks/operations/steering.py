"""What people decide about an execution: stop it, say what became of a step, finish one by hand."""

from __future__ import annotations

from apps.approvals.operations import void_for
from apps.foundation.actor import Actor
from apps.foundation.clock import now
from apps.foundation.errors import Conflict
from apps.foundation.operations import operation
from apps.people.queries import user_of
from apps.runbooks.events import CancelRequested, Settled
from apps.runbooks.models import Execution, StepRun
from apps.runbooks.operations.attempts import FORWARD, step_of
from apps.runbooks.operations.claiming import keep, locked
from apps.runbooks.operations.ending import begin_undoing, finish
from apps.runbooks.operations.outcomes import failed, go_on, reason_of, succeeded
from apps.runbooks.operations.starting import checked_reason
from apps.runbooks.operations.telling import log, tell
from apps.runbooks.permissions import no_such_execution, require_steer
from apps.runbooks.queries import execution_subject, visible_executions
from apps.runbooks.steps.base import Outcome

_BEFORE_START = (Execution.State.AWAITING_APPROVAL, Execution.State.READY)


@operation
def cancel(execution_id: int, *, reason: str, actor: Actor) -> Execution:
    """Stop it. Before the start it never starts; at work, the running step is finished and what was done is undone.

    For whoever may execute it, and before the start for who asked. A repeat, or while it is being undone, changes
    nothing. Raises NotFound, Forbidden, Invalid without a reason, Conflict already_finished.
    """
    execution = _steered(execution_id, actor)
    why = checked_reason(reason, required=True)
    detail = f"Cancelled by {actor.name}: {why}"
    if execution.cancel_requested_at is not None or execution.state in {"compensating", "cancelled"}:
        return execution
    if execution.state in Execution.FINAL:
        raise Conflict("It is over already.", code="already_finished")
    event = CancelRequested(execution_id=execution.pk, runbook=execution.runbook.name, reason=why)
    tell(execution, event, actor)
    if execution.state in _BEFORE_START:
        void_for(execution_subject(execution.pk), reason=detail[:2000], actor=actor)
        keep(execution, cancel_requested_at=now())
        finish(execution, Execution.State.CANCELLED, detail, actor)
        return execution
    log(execution, detail, level="warning")
    running = execution.steps.filter(state__in=[StepRun.State.RUNNING, StepRun.State.UNKNOWN]).exists()
    if running:
        # The step that runs is brought to its end; one of unknown outcome is settled first.
        keep(execution, cancel_requested_at=now(), state_detail=f"{detail}\n{execution.state_detail}".strip())
    else:
        keep(execution, cancel_requested_at=now(), fence=execution.fence + 1)
        begin_undoing(execution, detail, actor)
    return execution


@operation
def settle(step_id: int, *, happened: bool, reason: str, actor: Actor) -> StepRun:
    """Say whether a step of unknown outcome has happened: then it goes on after it, else it tries it again.

    One that did not happen and has no retries left counts as failed. Needs what `execute` needs, and a reason. The
    same answer again changes nothing; Conflict for a step that is not unknown.
    """
    execution, run = _steered_step(step_id, actor)
    why = checked_reason(reason, required=True)
    if run.state != StepRun.State.UNKNOWN:
        if (run.outcome or {}).get("settled") == happened:
            return run
        raise Conflict("What became of this step is known already.", code="not_unknown")
    forward = run.direction == FORWARD
    event = Settled(
        execution_id=execution.pk, runbook=execution.runbook.name, step_id=run.pk, position=run.position,
        name=run.name, happened=happened, reason=why,
    )  # fmt: skip
    tell(execution, event, actor)
    word = "has happened" if happened else "has not happened"
    log(execution, f"{actor.name} says that it {word}: {why}", step=run, level="warning")
    state = Execution.State.RUNNING if forward else Execution.State.COMPENSATING
    keep(execution, state=state, state_detail=_kept_reason(execution, run), fence=execution.fence + 1)
    known = {"settled": happened, "by": actor.name, "reason": why}
    if happened:
        succeeded(execution, run, {**(run.outcome or {}), **known}, actor)
    else:
        _not_happened(execution, run, known, actor)
    return run


def _not_happened(execution: Execution, run: StepRun, known: dict[str, object], actor: Actor) -> None:
    maybe = bool((run.outcome or {}).get("maybe_done"))
    if maybe or run.failures > step_of(execution, run).retries:
        failed(execution, run, Outcome("failed", data=known, error=run.error), actor)
        return
    run.state, run.outcome, run.due_at, run.error = StepRun.State.PENDING, known, now(), ""
    run.save()
    go_on(execution, actor)


@operation
def finish_manual(step_id: int, *, done: bool, note: str = "", actor: Actor) -> StepRun:
    """Say that a step which waits for a person is done, or that it can't be done (it then failed).

    Needs what `execute` needs. A repeat changes nothing; Conflict for a step that does not wait for a person.
    """
    execution, run = _steered_step(step_id, actor)
    text = checked_reason(note)
    if run.state in {StepRun.State.SUCCEEDED, StepRun.State.FAILED} and (run.outcome or {}).get("done") == done:
        return run
    if run.state != StepRun.State.WAITING or run.due_at is not None:
        raise Conflict("This step does not wait for a person.", code="not_waiting")
    state = Execution.State.RUNNING if run.direction == FORWARD else Execution.State.COMPENSATING
    keep(execution, state=state, state_detail=_kept_reason(execution, run), fence=execution.fence + 1)
    log(execution, f"{actor.name}: {'done' if done else 'not done'}." + (f" {text}" if text else ""), step=run)
    data: dict[str, object] = {**(run.outcome or {}), "done": done, "note": text, "by": actor.name}
    if done:
        succeeded(execution, run, data, actor)
    else:
        run.failures = step_of(execution, run).retries  # a person's no is not asked again
        failed(
            execution, run, Outcome("failed", data=data, error=text or f"{actor.name} says it can't be done."), actor
        )
    return run


def _kept_reason(execution: Execution, run: StepRun) -> str:
    """Why it is being undone, or will be; nothing for one that goes on forward."""
    undoing = run.direction != FORWARD or execution.cancel_requested_at is not None
    return reason_of(execution) if undoing else ""


def _steered(execution_id: int, actor: Actor) -> Execution:
    """The execution, locked, that `actor` may steer. Raises NotFound, Forbidden."""
    execution = locked(execution_id)
    if execution is None:
        raise no_such_execution()
    mine = actor.user_id is not None and execution.requested_by_id == actor.user_id
    if mine and execution.state in _BEFORE_START and _sees(execution, actor):
        return execution  # whoever asked may always take it back
    require_steer(actor, execution)
    return execution


def _sees(execution: Execution, actor: Actor) -> bool:
    user = user_of(actor)
    return user is not None and visible_executions(user).filter(pk=execution.pk).exists()


def _steered_step(step_id: int, actor: Actor) -> tuple[Execution, StepRun]:
    found = StepRun.objects.filter(pk=step_id).values_list("execution_id", flat=True).first()
    if found is None:
        raise no_such_execution()
    execution = locked(found)
    if execution is None:
        raise no_such_execution()
    require_steer(actor, execution)
    return execution, StepRun.objects.get(pk=step_id)
