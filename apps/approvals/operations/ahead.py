"""Approving ahead of time: an answer to a question that nobody has asked yet, for one content and until an instant."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from django.conf import settings

from apps.approvals.events import Approved
from apps.approvals.models import ApprovalRequest
from apps.approvals.operations.asking import checked_content, checked_title
from apps.approvals.operations.changing import MOST_NAME, MOST_REASON, checked_reason, end, tell
from apps.approvals.permissions import require_decision
from apps.approvals.queries import standing_ahead, why_not_ahead
from apps.foundation.actor import Actor
from apps.foundation.clock import now
from apps.foundation.errors import Invalid
from apps.foundation.operations import operation
from apps.foundation.subjects import Subject
from apps.people.queries import user_of

DAYS, MOST_DAYS = 90, 366
_State, _Kind = ApprovalRequest.State, ApprovalRequest.Kind


@operation
def approve_ahead(
    subject: Subject,
    content: dict[str, Any],
    *,
    title: str,
    reason: str,
    team_id: int | None = None,
    until: datetime | None = None,
    actor: Actor,
) -> ApprovalRequest:
    """Say yes ahead of time to exactly this `content`, until an instant (default 90 days, at most 366).

    Whoever says it can't be the one who uses it. The same person again about the same subject replaces what they said.
    The caller answers for whether the actor may see the subject, and holds a lock on it. Raises Forbidden without the
    right to decide, Invalid without a reason or for an end that is none.
    """
    require_decision(actor, team_id)
    why, text, digest = checked_reason(reason, required=True), checked_title(title), checked_content(content)
    at = now()
    ends = _checked_end(until, at)
    for row in standing_ahead(subject).select_for_update(of=("self",)).filter(decided_by_id=actor.user_id):
        end(row, _State.VOID, "Approved ahead anew.", actor)
    row = ApprovalRequest.objects.create(
        kind=_Kind.AHEAD,
        subject_kind=subject.kind,
        subject_key=subject.key,
        title=text,
        content=content,
        content_hash=digest,
        reason=why,
        team_id=team_id,
        requested_by_name="nobody yet",
        requested_at=at,
        expires_at=ends,
        state=_State.APPROVED,
        decided_by_id=actor.user_id,
        decided_by_name=actor.name[:MOST_NAME],
        decided_at=at,
        decision_reason=why,
    )
    tell(Approved, row, reason=why, actor=actor)
    return row


def _checked_end(until: datetime | None, at: datetime) -> datetime:
    ends = until or at + timedelta(days=DAYS)
    if not at < ends <= at + timedelta(days=MOST_DAYS):
        sentence = f"It must lie ahead, at most {MOST_DAYS} days."
        raise Invalid(sentence, fields={"until": [sentence]})
    return ends


@operation
def answer_ahead(
    subject: Subject,
    content: dict[str, Any],
    *,
    by: Subject,
    by_hash: str,
    title: str,
    reason: str = "",
    team_id: int | None = None,
    actor: Actor,
) -> ApprovalRequest | None:
    """Ask about `content`, and have it answered at once by what stands ahead about `by` with the hash `by_hash`.

    None where nothing stands that somebody else than the actor has said: then ask as usual. Nobody is written to. The
    answer holds as long as a usual one, and only while what it was answered by stands: see `standing_answer`.
    """
    user = user_of(actor)
    if user is None:
        return None
    rows = standing_ahead(by).filter(content_hash=by_hash).select_for_update(of=("self",)).select_related("decided_by")
    ahead = next((row for row in rows.order_by("pk") if not why_not_ahead(row, user)), None)
    if ahead is None:
        return None
    at = now()
    row = ApprovalRequest.objects.create(
        answered_by=ahead,
        subject_kind=subject.kind,
        subject_key=subject.key,
        title=checked_title(title),
        content=content,
        content_hash=checked_content(content),
        reason=checked_reason(reason, required=False),
        team_id=team_id,
        requested_by_id=actor.user_id,
        requested_by_name=actor.name[:MOST_NAME],
        requested_at=at,
        expires_at=min(ahead.expires_at, at + timedelta(minutes=settings.APPROVAL_MINUTES)),
        state=_State.APPROVED,
        decided_by_id=ahead.decided_by_id,
        decided_by_name=ahead.decided_by_name,
        decided_at=at,
        decision_reason=f"Approved ahead until {ahead.expires_at:%Y-%m-%d} ({ahead.pk}): {ahead.reason}"[:MOST_REASON],
    )
    tell(Approved, row, reason=row.decision_reason, name=row.decided_by_name, actor=actor)
    return row


def no_longer_ahead(request: ApprovalRequest, *, actor: Actor) -> str:
    """Why an answer given ahead no longer holds for `actor`; empty while it does, and for what was answered as usual.

    Locks what it was answered by until the transaction ends: a withdrawal comes before or after.
    """
    if request.answered_by_id is None:
        return ""
    rows = ApprovalRequest.objects.select_for_update(of=("self",)).select_related("decided_by")
    return why_not_ahead(rows.get(pk=request.answered_by_id), user_of(actor))
