"""One-click mitigations: a runbook with its parameters, looked at, asked for and started by one press."""

from __future__ import annotations

from apps.foundation.actor import Actor
from apps.foundation.errors import Conflict, NotFound
from apps.foundation.operations import operation
from apps.runbooks.models import DryRun, Execution, Mitigation
from apps.runbooks.operations.claiming import locked
from apps.runbooks.operations.starting import ask_for, begin, checked_reason, drop
from apps.runbooks.permissions import require_use
from apps.runbooks.planning import Looked, keep_dry_run, look_closely, require_incident


def use_mitigation(mitigation_id: int, *, incident_id: int | None, reason: str, actor: Actor) -> Execution:
    """Press the button: look at what it would do, ask for it, and start it at once where no approval is needed.

    Needs `use_mitigation`, for all or by a grant, and a reason. Each press asks anew; two at work on one target are
    refused as with `execute`. Not inside a transaction: it asks the network. Raises NotFound, Forbidden, Invalid,
    Conflict: dry_run_has_problems and whatever `execute` raises.
    """
    seen = look_for(mitigation_id, incident_id=incident_id, reason=reason, actor=actor)
    return press(mitigation_id, seen, incident_id=incident_id, reason=reason, actor=actor)


def look_for(mitigation_id: int, *, incident_id: int | None, reason: str, actor: Actor) -> Looked:
    """The first half of `use_mitigation`: all its checks, and what it would do. Asks the network, writes nothing."""
    mitigation = Mitigation.objects.select_related("runbook__active_version", "runbook__owner").filter(
        pk=mitigation_id
    ).first()  # fmt: skip
    if mitigation is None:
        raise NotFound("There is no such mitigation.")
    require_incident(incident_id, actor)
    require_use(actor, mitigation)
    checked_reason(reason, required=True)
    return look_closely(mitigation.runbook, mitigation.parameters, incident_id=incident_id, actor=actor)


def press(mitigation_id: int, seen: Looked, *, incident_id: int | None, reason: str, actor: Actor) -> Execution:
    """The second half, right after the first: only the database, so also inside a transaction."""
    dry_run = keep_dry_run(seen, incident_id=incident_id, actor=actor)
    execution = _ask(dry_run.pk, mitigation_id, reason=checked_reason(reason, required=True), actor=actor)
    if execution.state != Execution.State.READY:
        return execution
    try:
        return begin(execution.pk, seen.plan, actor=actor)
    except Conflict as refused:
        # Nobody will start what one press was to start: it would stand there as ready.
        _give_up(execution.pk, refused.message, actor=actor)
        raise


@operation
def _give_up(execution_id: int, why: str, *, actor: Actor) -> None:
    execution = locked(execution_id)
    if execution is not None and execution.state == Execution.State.READY:
        drop(execution, f"It was not started: {why}")


@operation
def _ask(dry_run_id: int, mitigation_id: int, *, reason: str, actor: Actor) -> Execution:
    require_use(actor, Mitigation.objects.get(pk=mitigation_id))
    rows = DryRun.objects.select_for_update(of=("self",)).select_related("runbook", "runbook_version")
    return ask_for(rows.get(pk=dry_run_id), reason, actor)
