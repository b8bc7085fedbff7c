"""Yes, no, no answer in time, and the emergency exit."""

from __future__ import annotations

from collections.abc import Sequence

from simple_history.utils import bulk_update_with_history

from apps.approvals.events import Approved, Bypassed, Expired, Refused
from apps.approvals.models import ApprovalRequest
from apps.approvals.operations.changing import checked_reason, end, event_of, locked, repeats, tell
from apps.approvals.permissions import require_bypass, require_decide, subject_of
from apps.approvals.texts import tell_of_bypass, tell_requester
from apps.engine.operations import publish_many
from apps.foundation.actor import Actor
from apps.foundation.clock import now
from apps.foundation.operations import operation
from apps.people.operations import portal_user
from apps.people.queries import user_of

_State = ApprovalRequest.State


@operation
def approve(request_id: int, *, reason: str = "", actor: Actor) -> ApprovalRequest:
    """Say yes to exactly what is asked. A repeat by the same person changes nothing.

    Raises NotFound for what the actor may not see, Forbidden without the right to decide and for one's own request
    (`own_approval`; accounts of one owner count as one person), Conflict once it is decided or has run out.
    """
    request = locked(request_id, actor)
    require_decide(actor, request)
    why = checked_reason(reason, required=False)
    if not repeats(request, _State.APPROVED, actor):
        end(request, _State.APPROVED, why, actor)
        tell(Approved, request, reason=why, actor=actor)
        tell_requester(request)
    return request


@operation
def refuse(request_id: int, *, reason: str, actor: Actor) -> ApprovalRequest:
    """Say no, and why. A repeat by the same person changes nothing.

    Raises as `approve`, and Invalid without a reason.
    """
    request = locked(request_id, actor)
    require_decide(actor, request)
    why = checked_reason(reason, required=True)
    if not repeats(request, _State.REFUSED, actor):
        end(request, _State.REFUSED, why, actor)
        tell(Refused, request, reason=why, actor=actor)
        tell_requester(request)
    return request


@operation
def bypass(request_id: int, *, reason: str, actor: Actor) -> ApprovalRequest:
    """Go on without an approval in an emergency; all who might have decided are told at once. A repeat changes nothing.

    Also for one's own request. Raises NotFound, Forbidden without `approvals.bypass_approvalrequest`, Invalid without
    a reason, Conflict once it is decided or has run out.
    """
    request = locked(request_id, actor)
    require_bypass(actor)
    why = checked_reason(reason, required=True)
    if not repeats(request, _State.BYPASSED, actor):
        end(request, _State.BYPASSED, why, actor)
        tell(Bypassed, request, reason=why, actor=actor)
        tell_requester(request, but=actor.user_id)
        tell_of_bypass(request, by=user_of(actor))
    return request


def expire_many(requests: Sequence[ApprovalRequest], *, actor: Actor) -> None:
    """End locked pending requests that nobody decided; a constant number of queries, and the messages of each."""
    rows, at = list(requests), now()
    if not rows:
        return
    for request in rows:
        request.state, request.decided_at, request.run = _State.EXPIRED, at, request.run + 1
    fields = ["state", "decided_at", "run"]
    signature = {"default_user": portal_user(), "default_change_reason": "nobody decided in time"}
    bulk_update_with_history(rows, ApprovalRequest, fields, batch_size=200, **signature)
    publish_many([(event_of(Expired, row, name="nobody", reason=""), subject_of(row), actor) for row in rows])
    for request in rows:
        tell_requester(request)
