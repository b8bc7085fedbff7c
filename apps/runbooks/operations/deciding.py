"""What the answer to a question for approval means for the execution that was asked about."""

from __future__ import annotations

from apps.foundation.actor import Actor
from apps.foundation.clock import now
from apps.foundation.operations import operation
from apps.runbooks.models import Execution, StepRun
from apps.runbooks.operations.claiming import keep, locked
from apps.runbooks.operations.outcomes import ring_workers
from apps.runbooks.operations.telling import log

_ALLOWED = {"approvals.approved": "Approved", "approvals.bypassed": "Emergency bypass"}
_ENDED = {
    "approvals.refused": "Refused",
    "approvals.expired": "Nobody decided in time",
    "approvals.voided": "What was asked for has changed",
    "approvals.withdrawn": "The request was withdrawn",
}


@operation
def note_decision(execution_id: int, request_id: int, event: str, *, name: str, said: str, actor: Actor) -> None:
    """Take over a decision, told by the event kind `event`: ready to start, or over. For the portal itself.

    Only while it waits, and only for the request it waits for; a repeat changes nothing. One at work whose step asked
    goes on at once.
    """
    execution = locked(execution_id)
    if execution is not None and execution.state == Execution.State.RUNNING:
        _wake(execution, request_id)
    if execution is None or execution.state != Execution.State.AWAITING_APPROVAL:
        return
    if execution.approval_id != request_id:
        return
    word = _ALLOWED.get(event) or _ENDED.get(event)
    if word is None:
        return
    by = f" by {name}" if event in {"approvals.approved", "approvals.bypassed", "approvals.refused"} and name else ""
    detail = f"{word}{by}" + (f": {said}" if said else ".")
    log(execution, detail)
    if event in _ALLOWED:
        keep(execution, state=Execution.State.READY, state_detail=detail)
    else:
        keep(execution, state=Execution.State.CANCELLED, state_detail=detail, finished_at=now(), due_at=None)


def _wake(execution: Execution, request_id: int) -> None:
    """Let the step that asked look at the answer."""
    waits = execution.steps.filter(kind="approval", state=StepRun.State.WAITING).values_list("outcome", flat=True)
    if any((outcome or {}).get("request_id") == request_id for outcome in waits):
        keep(execution, due_at=now())
        ring_workers()
