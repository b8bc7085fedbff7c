"""Undoing in reverse order, and the final transaction of an execution."""

from __future__ import annotations

from datetime import datetime

from django.conf import settings

from apps.approvals.operations import void_for
from apps.catalog.models import Change
from apps.catalog.operations import NewChange, record_change
from apps.engine.bell import ring
from apps.foundation.actor import Actor
from apps.foundation.clock import now
from apps.runbooks import steps as registry
from apps.runbooks.documents import document_of
from apps.runbooks.events import Finished, Undoing
from apps.runbooks.models import Execution, StepRun
from apps.runbooks.operations.attempts import COMPENSATE, FORWARD, undo_key, way_back
from apps.runbooks.operations.claiming import keep
from apps.runbooks.operations.telling import log, tell, write_to_those_concerned
from apps.runbooks.queries import CLAIMED, execution_subject, execution_url
from apps.runbooks.secrets import Vault

_UNFINISHED = (StepRun.State.PENDING, StepRun.State.WAITING)


def begin_undoing(execution: Execution, reason: str, actor: Actor) -> None:
    """Skip what is left and undo what succeeded, the last first; where there is nothing to undo, end at once."""
    runs = list(execution.steps.order_by("order"))
    waiting = {run.pk for run in runs if run.direction == FORWARD and run.state == StepRun.State.WAITING}
    void_for(execution_subject(execution.pk), reason=reason[:2000], only_pending=True, actor=actor)
    for run in runs:
        if run.direction == FORWARD and run.state in _UNFINISHED:
            run.state, run.due_at, run.finished_at = StepRun.State.SKIPPED, None, now()
            run.save()
    made = _add_ways_back(execution, runs, waiting)
    if not made:
        cancelled = execution.cancel_requested_at is not None
        state = Execution.State.CANCELLED if cancelled else Execution.State.FAILED
        finish(execution, state, f"{reason} {_nothing_undone(runs)}", actor)
        return
    keep(
        execution, state=Execution.State.COMPENSATING, state_detail=reason,
        due_at=now(), lease_until=None, worker="",
    )  # fmt: skip
    log(execution, f"{reason} Undoing {made} of the steps.", level="warning")
    event = Undoing(execution_id=execution.pk, runbook=execution.runbook.name, steps=made, reason=reason)
    tell(execution, event, actor)
    ring("runbooks.execute_step", "executions")


def reopen_to_undo(execution: Execution, reason: str, actor: Actor) -> None:
    """Undo an execution that succeeded, because what ran it fails; nothing where there is nothing to undo."""
    made = _add_ways_back(execution, list(execution.steps.order_by("order")), set())
    if not made:
        return
    keep(
        execution, state=Execution.State.COMPENSATING, state_detail=reason, finished_at=None,
        due_at=now(), lease_until=None, worker="",
    )  # fmt: skip
    log(execution, f"{reason} Undoing {made} of the steps.", level="warning")
    event = Undoing(execution_id=execution.pk, runbook=execution.runbook.name, steps=made, reason=reason)
    tell(execution, event, actor)
    ring("runbooks.execute_step", "executions")


def _add_ways_back(execution: Execution, runs: list[StepRun], waiting: set[int]) -> int:
    """`waiting` are the steps whose wait has just been given up; some kinds undo that too."""
    order, vault, made = len(runs), Vault(), 0
    done = [run for run in runs if run.direction == FORWARD and _has_done(run, waiting)]
    for run in reversed(done):
        found = way_back(execution, run, runs, vault)
        if found is None:
            continue
        order, made = order + 1, made + 1
        StepRun.objects.create(
            execution=execution, position=run.position, direction=COMPENSATE, order=order,
            slug=run.slug, kind=found[0], name=found[1][:200], idempotency_key=undo_key(execution, run),
        )  # fmt: skip
    return made


def _has_done(run: StepRun, waiting: set[int]) -> bool:
    if run.state == StepRun.State.SUCCEEDED:
        return True
    if not registry.known(run.kind):
        return False
    kind = registry.kind(run.kind)
    if run.state == StepRun.State.FAILED:
        return kind.undo_failed and bool(run.outcome)
    return run.pk in waiting and kind.undo_waiting


def _nothing_undone(runs: list[StepRun]) -> str:
    done = any(run.direction == FORWARD and run.state == StepRun.State.SUCCEEDED for run in runs)
    return "The steps before it need no undoing." if done else "Nothing had been done before it."


def finish_forward(execution: Execution, actor: Actor) -> None:
    """Every step is over: it succeeded, though steps that may fail perhaps did."""
    failed = execution.steps.filter(direction=FORWARD, state=StepRun.State.FAILED).order_by("order")
    names = ", ".join(f"{run.position}. {run.name}" for run in failed)
    finish(execution, Execution.State.SUCCEEDED, f"Failed on the way, as it may: {names}." if names else "", actor)


def finish_undoing(execution: Execution, actor: Actor) -> None:
    """Everything that could be undone is; what is left is said."""
    left = execution.steps.filter(direction=COMPENSATE, state=StepRun.State.FAILED).order_by("order")
    names = ", ".join(f"{run.position}. {run.name}" for run in left)
    reason = execution.state_detail.partition("\n")[0]
    if names:
        finish(execution, Execution.State.FAILED, f"{reason} Not undone: {names}.", actor)
    else:
        finish(execution, Execution.State.UNDONE, f"{reason} What was done is undone.", actor)


def finish(execution: Execution, state: str, detail: str, actor: Actor) -> None:
    """The final transaction: state, locks given back, the change recorded, everybody told."""
    at = now()
    keep(
        execution, state=state, state_detail=detail, finished_at=at, due_at=None, lease_until=None, worker=""
    )  # fmt: skip
    execution.locks.all().delete()
    log(execution, f"{Execution.State(state).label}. {detail}".strip())
    event = Finished(
        execution_id=execution.pk, runbook=execution.runbook.name, state=state, detail=detail,
        took_seconds=_took(execution, at),
        target_seconds=document_of(execution.runbook_version).target or 0,
    )  # fmt: skip
    tell(execution, event, actor)
    _record_change(execution, actor)
    title = f"{execution.runbook.name} #{execution.pk}: {Execution.State(state).label.lower()}"
    write_to_those_concerned(execution, key="finished", title=title, body=detail or title)
    _wake_above(execution)


def _wake_above(execution: Execution) -> None:
    """Let the step that ran it look at once, in the transaction in which it ends."""
    if execution.parent_step is None:
        return
    waits = StepRun.objects.filter(
        execution_id=execution.parent_step.execution_id, kind="sub_runbook", state=StepRun.State.WAITING
    )
    rows = Execution.objects.filter(pk=execution.parent_step.execution_id, state__in=CLAIMED, due_at__gt=now())
    if waits.exists() and rows.update(due_at=now()):
        ring("runbooks.execute_step", "executions")


def _took(execution: Execution, at: datetime) -> int:
    return int((at - (execution.started_at or at)).total_seconds())


def _record_change(execution: Execution, actor: Actor) -> None:
    """What it changed stands among the changes of the service, once; configs record their own."""
    changed = [item for item in execution.targets if item.get("kind") not in {"config", "config_canary"}]
    done = execution.steps.filter(state=StepRun.State.SUCCEEDED).exists()
    if not changed or not done:
        return
    services = list(execution.runbook.services.all()[:2])
    change = NewChange(
        title=f"{execution.runbook.name} #{execution.pk}: {Execution.State(execution.state).label.lower()}"[:300],
        kind=Change.Kind.CONFIG,
        service_id=services[0].pk if len(services) == 1 else None,
        author=actor.name[:120],
        link=f"{settings.PUBLIC_URL}{execution_url(str(execution.pk))}",
        source="runbooks",
        dedup_key=f"execution:{execution.key}",
    )
    record_change(change, actor=Actor.system("runbooks"))
