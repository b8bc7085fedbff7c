"""Sub-runbooks: begin one for a step, undo it, and wake the step once it is over."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from django.db.models import QuerySet

from apps.foundation.actor import Actor
from apps.foundation.clock import now
from apps.foundation.errors import Invalid, NotFound
from apps.foundation.operations import operation
from apps.runbooks.models import Execution, StepRun
from apps.runbooks.nesting import trail_of
from apps.runbooks.operations.attempts import COMPENSATE, FORWARD
from apps.runbooks.operations.claiming import locked
from apps.runbooks.operations.ending import reopen_to_undo
from apps.runbooks.operations.starting import set_off
from apps.runbooks.operations.steering import cancel
from apps.runbooks.operations.telling import log
from apps.runbooks.planning import Looked, keep_dry_run
from apps.runbooks.queries import CLAIMED

_HAVE_RUN = (StepRun.State.SUCCEEDED, StepRun.State.FAILED, StepRun.State.UNKNOWN)


def trail_of_step(step_key: str) -> tuple[str, ...]:
    """The slugs of the runbooks that stand above whatever this step runs, the uppermost first."""
    run = StepRun.objects.select_related("execution__runbook", "execution__parent_step").get(idempotency_key=step_key)
    return trail_of(run.execution)


@operation
def begin_below(step_key: str, seen: Looked, *, reason: str, actor: Actor) -> Execution:
    """Begin the execution of what was looked at for a step, once for ever: a repeat is the same execution.

    No approval is asked and no lock is taken: those of the uppermost execution hold for it. Its steps compare with what
    the approved plan saw, as they would if they stood in the runbook above. Raises Invalid for what nobody looked at.
    """
    run = StepRun.objects.select_for_update(of=("self",)).select_related("execution").get(idempotency_key=step_key)
    if (there := Execution.objects.filter(parent_step=run).first()) is not None:
        return there
    targets = _as_approved(run, seen)
    dry_run = keep_dry_run(seen, incident_id=run.execution.incident_id, actor=actor)
    execution = Execution.objects.create(
        runbook=seen.version.runbook,
        runbook_version=seen.version,
        incident_id=run.execution.incident_id,
        dry_run=dry_run,
        parent_step=run,
        parameters=dry_run.parameters,
        incident_names=dry_run.incident_names,
        targets=targets,
        content_hash=dry_run.content_hash,
        state=Execution.State.READY,
        reason=reason,
        requested_by_id=actor.user_id,
        requested_by_name=actor.name[:120],
    )
    log(execution, f"Step {run.position} of execution {run.execution_id} runs it.")
    set_off(execution, actor)
    return execution


def _as_approved(run: StepRun, seen: Looked) -> list[dict[str, Any]]:
    """The targets that the sub-runbook has now, each with what was live when the plan was approved.

    So what somebody changed since then is for its steps to respect. What an earlier step of this execution changed is
    taken as it is now. Raises Invalid for a target that the plan does not have, and for one that would become
    something else.
    """
    approved = {_place(target): target for target in run.execution.targets}
    ours = _changed_before(run)
    found: list[dict[str, Any]] = []
    for target in seen.plan.targets:
        known = approved.get(_place(target))
        if known is None:
            raise Invalid(f"{seen.version.runbook.name} would change what nobody looked at: {target['key']}.")
        mine = _place(target) in ours
        if not mine and known.get("after") != target["after"]:
            raise Invalid(
                f"{target['key']} was changed after this was looked at: {seen.version.runbook.name} does not run."
            )
        found.append(target if mine else {**target, **known})
    return found


def _changed_before(run: StepRun) -> set[tuple[str, str]]:
    """What the other steps of the execution that have run may have changed, by the plan."""
    rows = run.execution.steps.filter(direction=FORWARD, state__in=_HAVE_RUN).exclude(pk=run.pk)
    places = {row.position for row in rows if (row.outcome or {}).get("changed") is not False}
    steps: Sequence[Mapping[str, Any]] = run.execution.dry_run.steps
    return {_place(target) for step in steps if step["position"] in places for target in step["targets"]}


def _place(target: Mapping[str, Any]) -> tuple[str, str]:
    return str(target["kind"]), str(target["key"])


def undo_below(execution_id: int, step_key: str, *, actor: Actor) -> Execution:
    """Undo what a sub-runbook did, or stop it and undo that. A repeat, once it is being undone, changes nothing."""
    execution = Execution.objects.get(pk=execution_id)
    if execution.state == Execution.State.SUCCEEDED:
        return _reopen(execution_id, step_key, actor=actor)
    if execution.state not in Execution.FINAL and execution.state != Execution.State.COMPENSATING:
        return cancel(execution_id, reason="The runbook that ran it is being undone.", actor=actor)
    return execution


@operation
def _reopen(execution_id: int, step_key: str, *, actor: Actor) -> Execution:
    execution = locked(execution_id)
    if execution is None:
        raise NotFound("There is no such execution.")
    undone = execution.steps.filter(direction=COMPENSATE).exists()
    if execution.state == Execution.State.SUCCEEDED and not undone:
        reopen_to_undo(execution, "The runbook that ran it is being undone.", actor)
    return execution


def failed_to_undo(execution: Execution) -> bool:
    """Whether something that it did still stands, though it should not."""
    return execution.steps.filter(direction=COMPENSATE, state=StepRun.State.FAILED).exists()


def at_work_below(execution_id: int) -> QuerySet[Execution]:
    """The executions that the steps of this one run, and theirs, as far as a worker has something to do for them."""
    rows = Execution.objects.filter(state__in=CLAIMED, due_at__lte=now())
    own = rows.filter(parent_step__execution_id=execution_id)
    return own | rows.filter(parent_step__execution__parent_step__execution_id=execution_id)
