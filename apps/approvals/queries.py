"""Reading approvals: which a person may see, which wait for their decision, whether one holds."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Iterable, Sequence
from typing import Any

from django.contrib.auth.models import AnonymousUser
from django.db.models import CharField, Q, QuerySet
from django.db.models.functions import Cast
from django.urls import reverse

from apps.approvals.models import ApprovalRequest
from apps.approvals.permissions import DECIDE, VIEW, holds_decision, same_hands
from apps.catalog.models import Membership
from apps.foundation.clock import now
from apps.foundation.errors import Conflict
from apps.foundation.subjects import Subject, visible_subjects
from apps.people.models import User

SUBJECT_KIND = "approval"
EXPIRE = "approvals.expire"  # the kind of the timer that ends what nobody decided
_State = ApprovalRequest.State

_WHY_NOT: dict[str, tuple[str, str]] = {
    _State.PENDING: ("approval_pending", "Its approval still waits for a decision."),
    _State.REFUSED: ("approval_refused", "Its approval was refused."),
    _State.EXPIRED: ("approval_expired", "Nobody decided about it in time: ask again."),
    _State.VOID: ("approval_void", "What was asked for has changed: ask again."),
    _State.WITHDRAWN: ("approval_withdrawn", "The request for its approval was withdrawn."),
}


def canonical(content: Any) -> str:
    """JSON with sorted keys and no spaces: one text for equal contents. ValueError for what is no JSON."""
    return json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def content_hash(content: Any) -> str:
    """The SHA-256 of `content` in canonical JSON, in hexadecimal."""
    return hashlib.sha256(canonical(content).encode("utf-8", "surrogatepass")).hexdigest()


def subject_of(request: ApprovalRequest) -> Subject:
    """How messages speak of a request itself."""
    return Subject(SUBJECT_KIND, str(request.pk))


def visible_requests(user: User | AnonymousUser, *, only: Collection[str] | None = None) -> QuerySet[ApprovalRequest]:
    """The requests that `user` may see, as one query: only those about things that they may see.

    All of these for holders of `approvals.view_approvalrequest` or `approvals.decide_approvalrequest`, else those of
    the teams that they lead and their own. `only` limits them to these kinds of subjects.
    """
    rows = ApprovalRequest.objects.select_related("team", "requested_by", "decided_by")
    if not isinstance(user, User) or not user.is_active:
        return rows.none()
    shown = visible_subjects(user, without=[SUBJECT_KIND], only=only)
    if not (user.has_perm(VIEW) or user.has_perm(DECIDE)):
        shown &= Q(team__in=_led_by(user)) | Q(requested_by__in=same_hands(user).values("pk"))
    return rows.filter(shown)


def _led_by(user: User) -> QuerySet[Any, Any]:
    return Membership.objects.filter(user_id=user.pk, role=Membership.Role.LEAD).values("team_id")


def waiting_for(user: User | AnonymousUser) -> QuerySet[ApprovalRequest]:
    """The pending requests of others that `user` may decide and that have not run out.

    Every page asks for it, so what they are about is looked at first: mostly nothing at all.
    """
    pending = ApprovalRequest.objects.filter(state=_State.PENDING, expires_at__gt=now())
    kinds = set(pending.order_by().values_list("subject_kind", flat=True).distinct())
    if not kinds or not isinstance(user, User) or not user.is_active:
        return pending.none()
    rows = visible_requests(user, only=kinds).filter(state=_State.PENDING, expires_at__gt=now())
    rows = rows.exclude(requested_by__in=same_hands(user).values("pk"))
    return rows if user.has_perm(DECIDE) else rows.filter(team__in=_led_by(user))


def deciders_of(request: ApprovalRequest) -> list[User]:
    """The people to ask: who may decide, sees what it is about and did not ask for it. By id."""
    holders = User.objects.with_perm(DECIDE, backend="django.contrib.auth.backends.ModelBackend")
    leads = Membership.objects.filter(team=request.team_id or 0, role=Membership.Role.LEAD).values("user_id")
    people = User.objects.filter(is_active=True, kind=User.Kind.PERSON)
    rows = people.filter(Q(pk__in=holders.values("pk")) | Q(pk__in=leads))
    if request.requested_by is not None:
        rows = rows.exclude(pk__in=same_hands(request.requested_by).values("pk"))
    one = ApprovalRequest.objects.filter(pk=request.pk)
    return [user for user in rows.order_by("pk") if one.filter(visible_subjects(user, without=[SUBJECT_KIND])).exists()]


def standing_ahead(subject: Subject | None = None) -> QuerySet[ApprovalRequest]:
    """What is approved ahead of time now, about `subject` or at all."""
    rows = ApprovalRequest.objects.filter(kind=ApprovalRequest.Kind.AHEAD, state=_State.APPROVED, expires_at__gt=now())
    return rows if subject is None else rows.filter(subject_kind=subject.kind, subject_key=subject.key)


def why_not_ahead(ahead: ApprovalRequest, user: User | None) -> str:
    """Why `user` can't go by what was approved ahead of time; empty when they can. Its content is not looked at."""
    if ahead.state != _State.APPROVED:
        return f"What was approved ahead is {ahead.get_state_display()}: {ahead.decision_reason}"
    if ahead.expires_at <= now():
        return "What was approved ahead has run out."
    giver = ahead.decided_by
    if giver is None or not holds_decision(giver, ahead.team_id):
        return f"{ahead.decided_by_name}, who approved it ahead, may no longer decide."
    if user is None or same_hands(user).filter(pk=giver.pk).exists():
        return "Nobody goes by what they have approved ahead themselves."
    return ""


def holding(subject: Subject) -> ApprovalRequest | None:
    """The newest request about `subject`, whatever became of it."""
    rows = ApprovalRequest.objects.filter(subject_kind=subject.kind, subject_key=subject.key)
    return rows.order_by("-pk").first()


def require_approved(request: ApprovalRequest | None, expected_hash: str) -> None:
    """Pass when `request` is approved (or bypassed), has not run out, and speaks of exactly this content.

    Conflict otherwise; its code says why: approval_missing, _pending, _refused, _expired, _void, _withdrawn or
    _changed.
    """
    if request is None:
        raise Conflict("This needs the approval of a second person: ask for it first.", code="approval_missing")
    if request.state in _WHY_NOT:
        code, sentence = _WHY_NOT[request.state]
        if request.state == _State.PENDING and request.expires_at <= now():
            code, sentence = _WHY_NOT[_State.EXPIRED]
        raise Conflict(sentence, code=code, extra={"approval_id": request.pk})
    if request.content_hash != expected_hash:
        raise Conflict(
            "What was approved is not what would be done now: ask again.",
            code="approval_changed",
            extra={"approval_id": request.pk},
        )
    if request.expires_at <= now():
        raise Conflict(
            "Its approval has run out: ask again.", code="approval_expired", extra={"approval_id": request.pk}
        )


# --- for `Subject("approval", …)`, and the guard of its messages ------------------------------------------------------


def _numbers(keys: Iterable[str]) -> list[int]:
    return [int(key) for key in keys if key.isdecimal()]


def titles(keys: Iterable[str]) -> dict[str, str]:
    """Titles of requests by their text keys, in one query."""
    rows = ApprovalRequest.objects.filter(pk__in=_numbers(keys)).values_list("pk", "title")
    return {str(pk): f"Approval: {title}" for pk, title in rows}


def url(key: str) -> str:
    """Where a request's page is."""
    return reverse("admin:approvals_approvalrequest_change", args=[key])


def visible_keys(user: Any) -> QuerySet[Any, Any]:
    """Text keys of the requests that `user` may see, for `visible_subjects`."""
    rows = visible_requests(user).select_related(None).annotate(text_key=Cast("pk", CharField()))
    return rows.order_by().values_list("text_key", flat=True)


def current_runs(keys: Sequence[str]) -> dict[str, int]:
    """For the guard of messages: the present run of each request; a decision raises it."""
    rows = ApprovalRequest.objects.filter(pk__in=_numbers(keys)).values_list("pk", "run")
    return {str(pk): run for pk, run in rows}
