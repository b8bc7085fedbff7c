"""What a step run means: its kind, its options with every placeholder filled in, and how often it may be tried."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from django.db import Error as DatabaseError

from apps.foundation.actor import Actor
from apps.runbooks.documents import Step, document_of
from apps.runbooks.models import Execution, StepRun
from apps.runbooks.names import incident_names
from apps.runbooks.secrets import Vault
from apps.runbooks.steps.base import StepContext
from apps.runbooks.steps.preparing import NotReady, Prepared, prepare, prepare_compensation, prepare_options

FORWARD, COMPENSATE = StepRun.Direction.FORWARD, StepRun.Direction.COMPENSATE
_BEGUN = (StepRun.State.WAITING, StepRun.State.RUNNING)
_OVER = (StepRun.State.SUCCEEDED, StepRun.State.FAILED, StepRun.State.SKIPPED)


def step_of(execution: Execution, run: StepRun) -> Step:
    """The step of the pinned version that a run is of, or undoes."""
    return document_of(execution.runbook_version).steps[run.position - 1]


def acting_for(execution: Execution) -> Actor:
    """The portal, on behalf of whoever started it: it was allowed when it began, and its writes bear that name."""
    person = execution.started_by or execution.requested_by
    name = person.name if person else execution.requested_by_name
    return Actor(
        kind="system",
        name=f"{name} ({execution.runbook.name} #{execution.pk})"[:120],
        user_id=person.pk if person else None,
    )


def context_of(execution: Execution, run: StepRun, runs: Sequence[StepRun], *, at: datetime) -> StepContext:
    """What a run may know: parameters, the incident, the outcomes of the steps that succeeded. Nobody listens yet."""
    done = [item for item in runs if item.direction == FORWARD and item.state == StepRun.State.SUCCEEDED]
    return StepContext(
        parameters=execution.parameters,
        # What was approved, also where the incident was changed while the steps ran.
        incident={**incident_names(execution.incident), **execution.incident_names},
        execution_key=str(execution.key),
        idempotency_key=run.idempotency_key,
        outcomes={item.slug: item.outcome or {} for item in done},
        results={item.slug: item.state for item in runs if item.direction == FORWARD and item.state in _OVER},
        actor=acting_for(execution),
        attempt=run.attempts + 1,
        timeout_seconds=step_of(execution, run).timeout,
        reason=execution.reason,
        incident_id=execution.incident_id,
        execution_id=execution.pk,
        targets=execution.targets,
        started_at=run.started_at or at,
        waited=(run.outcome or {}) if run.state in _BEGUN else {},
    )


def ready(execution: Execution, run: StepRun, runs: Sequence[StepRun], context: StepContext, vault: Vault) -> Prepared:
    """A run's kind and options, to be performed. Reads only. Raises NotReady where a name or a secret is wrong."""
    step = step_of(execution, run)
    if run.direction == FORWARD:
        return prepare(step, context, vault)
    found = prepare_compensation(step, context, _outcome_of(run.position, runs), vault)
    if found is None:
        raise NotReady(["There is nothing that undoes it any more."])
    return found


def probe_of(execution: Execution, run: StepRun, context: StepContext, vault: Vault) -> Prepared | None:
    """What the runbook itself names to find out whether a step has happened; None without it, and where it can't be
    made ready or would do more than look: then a person decides."""
    written = step_of(execution, run).probe
    if written is None or run.direction != FORWARD:
        return None
    try:
        found = prepare_options(written.kind, written.with_, context, vault)
    except NotReady:
        return None
    return found if found.effect == "none" else None


def way_back(execution: Execution, run: StepRun, runs: Sequence[StepRun], vault: Vault) -> tuple[str, str] | None:
    """The kind and the name of what undoes a run that succeeded; None where there is nothing to undo.

    What can't be made ready now still gets its run: it fails as any other, and is told.
    """
    step = step_of(execution, run)
    context = context_of(execution, run, runs, at=run.started_at or execution.requested_at)
    context = replace(context, idempotency_key=undo_key(execution, run))
    try:
        found = prepare_compensation(step, context, run.outcome or {}, vault)
    except DatabaseError:
        raise
    except Exception:  # noqa: BLE001  # whatever is wrong with it, the outcome at hand must be written
        kind = step.kind if isinstance(step.compensate, str) else step.compensate.kind
        return kind, f"Undo: {step.name}"
    return (found.kind.name, found.name) if found else None


def step_key(execution: Execution, position: int, slug: str) -> str:
    """The idempotency key of a forward step: the same for every attempt."""
    return f"{execution.key}:{position}:{slug}"[:120]


def undo_key(execution: Execution, run: StepRun) -> str:
    """The idempotency key of what undoes a step."""
    return f"{execution.key}:{run.position}:undo"


def _outcome_of(position: int, runs: Sequence[StepRun]) -> dict[str, object]:
    for item in runs:
        if item.direction == FORWARD and item.position == position:
            return item.outcome or {}
    return {}
