"""What the verbs have in common: loading under a lock, reading texts, writing the end of a request."""

from __future__ import annotations

from apps.approvals.events import ApprovalEvent
from apps.approvals.models import ApprovalRequest
from apps.approvals.permissions import subject_of
from apps.approvals.queries import visible_requests
from apps.engine.operations import publish
from apps.foundation.actor import Actor
from apps.foundation.checking import checked_text
from apps.foundation.clock import now
from apps.foundation.errors import Conflict, NotFound
from apps.people.queries import user_of

MOST_REASON = 2000
MOST_NAME = 120


def locked(request_id: int, actor: Actor) -> ApprovalRequest:
    """The request, locked, if the actor may know of it; NotFound otherwise."""
    user = user_of(actor)
    rows = ApprovalRequest.objects.all() if actor.is_system else visible_requests(user) if user else None
    found = rows.select_related("team", "requested_by") if rows is not None else None
    row = found.select_for_update(of=("self",)).filter(pk=request_id).first() if found is not None else None
    if row is None:
        raise NotFound("There is no such request for approval.")
    return row


def checked_reason(reason: str, *, required: bool) -> str:
    """`reason` as it is kept. Raises Invalid where it is missing, too long or not text that can be stored."""
    return checked_text(reason, "reason", most=MOST_REASON, required=required)


def repeats(request: ApprovalRequest, state: str, actor: Actor) -> bool:
    """Whether the actor did just this already. Conflict when it is decided in another way, or has run out."""
    if request.state == state and request.decided_by_id == actor.user_id:
        return True
    if request.state != ApprovalRequest.State.PENDING:
        by = f" by {request.decided_by_name}" if request.decided_by_name else ""
        raise Conflict(f"It is decided already: {request.get_state_display()}{by}.", code="already_decided")
    if request.expires_at <= now():
        raise Conflict("The time to decide is over: it must be asked for again.", code="approval_expired")
    return False


def end(request: ApprovalRequest, state: ApprovalRequest.State, reason: str, actor: Actor) -> None:
    """Write how a locked request ended. Its run is raised, so that its timer and unsent messages are void."""
    request.state = state
    request.decided_by_id = actor.user_id
    request.decided_by_name = actor.name[:MOST_NAME]
    request.decided_at = now()
    request.decision_reason = reason
    request.run += 1
    request.save()


def event_of(kind: type[ApprovalEvent], request: ApprovalRequest, *, name: str, reason: str) -> ApprovalEvent:
    """The event of this kind about a request."""
    return kind(
        request_id=request.pk,
        subject_kind=request.subject_kind,
        subject_key=request.subject_key,
        title=request.title,
        name=name,
        reason=reason,
    )


def tell(kind: type[ApprovalEvent], request: ApprovalRequest, *, reason: str, name: str = "", actor: Actor) -> None:
    """Publish what the actor did about a request; `name` for what somebody else said before."""
    publish(event_of(kind, request, name=name or actor.name, reason=reason), subject=subject_of(request), actor=actor)
