"""Asking for an approval, taking the question back, and voiding it when its content changes."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.conf import settings
from django.db import IntegrityError, transaction

from apps.approvals.events import Requested, Voided, Withdrawn
from apps.approvals.models import ApprovalRequest
from apps.approvals.operations.changing import MOST_NAME, checked_reason, end, locked, repeats, tell
from apps.approvals.permissions import require_withdraw
from apps.approvals.queries import EXPIRE, canonical, content_hash
from apps.approvals.texts import ask, tell_giver, tell_requester
from apps.engine.timers import NewTimer, schedule_many
from apps.foundation.actor import Actor
from apps.foundation.clock import now
from apps.foundation.errors import Invalid
from apps.foundation.operations import operation
from apps.foundation.subjects import Subject

MOST_MINUTES = 10080
_State = ApprovalRequest.State
_HOLDING = (_State.APPROVED, _State.BYPASSED)


@operation
def request_approval(
    subject: Subject,
    content: dict[str, Any],
    *,
    title: str,
    reason: str = "",
    team_id: int | None = None,
    minutes: int | None = None,
    actor: Actor,
) -> ApprovalRequest:
    """Ask a second person about exactly this `content`; those who may decide are told.

    It can be decided, and holds once it is, for `minutes` (default APPROVAL_MINUTES). The same content again while
    its request is pending, or approved and still holds, returns that; other content voids what is pending. The
    caller answers for whether the actor may ask. Raises Invalid for content that can't be kept.
    """
    why, text = checked_reason(reason, required=False), checked_title(title)
    digest = checked_content(content)
    standing = _standing(subject)
    for row in standing:
        if row.content_hash == digest and row.expires_at > now():
            return row
    for row in standing:
        if row.state == _State.PENDING:
            _void(row, "Something else is asked for now.", actor)
    at = now()
    row = ApprovalRequest(
        subject_kind=subject.kind,
        subject_key=subject.key,
        title=text,
        content=content,
        content_hash=digest,
        reason=why,
        team_id=team_id,
        requested_by_id=actor.user_id,
        requested_by_name=actor.name[:MOST_NAME],
        requested_at=at,
        expires_at=at + timedelta(minutes=_checked_minutes(minutes)),
    )
    try:
        with transaction.atomic():
            row.save()
    except IntegrityError:
        # Somebody else asked about it at the same instant; what they ask for stands.
        return request_approval(
            subject, content, title=title, reason=reason, team_id=team_id, minutes=minutes, actor=actor
        )
    schedule_many([NewTimer(kind=EXPIRE, key=str(row.pk), run=row.run, seq=0, due_at=row.expires_at)])
    tell(Requested, row, reason=why, actor=actor)
    ask(row)
    return row


def _standing(subject: Subject) -> list[ApprovalRequest]:
    """The requests about a subject that are pending or hold, locked, newest first."""
    rows = ApprovalRequest.objects.select_for_update(of=("self",)).select_related("team", "requested_by")
    rows = rows.filter(subject_kind=subject.kind, subject_key=subject.key, state__in=[_State.PENDING, *_HOLDING])
    return list(rows.order_by("-pk"))


def checked_content(content: dict[str, Any]) -> str:
    """The hash of a content that can be kept. Raises Invalid for any other."""
    try:
        text = canonical(content)
        text.encode()
    except (TypeError, ValueError, RecursionError) as error:
        raise Invalid("This can't be asked for: it can't be written as JSON.") from error
    if "\\u0000" in text.replace("\\\\", ""):  # an escaped backslash before u0000 is no NUL
        raise Invalid("This can't be asked for: it has a NUL character.")
    return content_hash(content)


def checked_title(title: str) -> str:
    """`title` as it is kept. Raises Invalid for an empty one."""
    text = " ".join(title.replace("\x00", "").split())[:300]
    if not text:
        raise Invalid("Give a title.", fields={"title": ["Say what is asked for."]})
    return text


def _checked_minutes(minutes: int | None) -> int:
    found = settings.APPROVAL_MINUTES if minutes is None else minutes
    if not 1 <= found <= MOST_MINUTES:
        sentence = f"From 1 to {MOST_MINUTES} minutes."
        raise Invalid(sentence, fields={"minutes": [sentence]})
    return int(found)


@operation
def withdraw(request_id: int, *, reason: str = "", actor: Actor) -> ApprovalRequest:
    """Take one's own pending request back, or what stands ahead of time. A repeat changes nothing.

    What stands ahead is taken back by those who may decide, and in an emergency by holders of the bypass, with a
    reason; whoever gave it is told. Raises NotFound, Forbidden for others than whoever asked, Invalid, Conflict once it
    is decided or has run out.
    """
    request = locked(request_id, actor)
    require_withdraw(actor, request)
    ahead = request.kind == ApprovalRequest.Kind.AHEAD
    why = checked_reason(reason, required=ahead)
    if ahead and request.state == _State.APPROVED and request.expires_at > now():
        giver = request.decided_by_id
        end(request, _State.WITHDRAWN, why, actor)
        tell(Withdrawn, request, reason=why, actor=actor)
        tell_giver(request, giver)
    elif not repeats(request, _State.WITHDRAWN, actor):
        end(request, _State.WITHDRAWN, why, actor)
        tell(Withdrawn, request, reason=why, actor=actor)
    return request


@operation
def void_for(subject: Subject, *, reason: str, only_pending: bool = False, actor: Actor) -> int:
    """Void what is asked or was allowed about `subject`, because it has changed; returns how many. For other apps.

    `only_pending` leaves what was allowed.

    The caller answers for whether the actor may change the subject. A repeat finds nothing and changes nothing.
    """
    rows = [row for row in _standing(subject) if not only_pending or row.state == _State.PENDING]
    for row in rows:
        _void(row, checked_reason(reason[:2000].replace("\x00", ""), required=False), actor)
    return len(rows)


def _void(request: ApprovalRequest, why: str, actor: Actor) -> None:
    end(request, _State.VOID, why, actor)
    tell(Voided, request, reason=why, actor=actor)
    tell_requester(request, but=actor.user_id)
