"""Who may decide, who may withdraw, who may go on without an approval."""

from __future__ import annotations

from django.contrib.auth.models import AnonymousUser
from django.db.models import Q, QuerySet

from apps.approvals.models import ApprovalRequest
from apps.catalog.models import Team
from apps.catalog.queries import is_lead
from apps.foundation.actor import Actor
from apps.foundation.errors import Forbidden
from apps.foundation.subjects import Subject, is_visible
from apps.people.models import User
from apps.people.permissions import require
from apps.people.queries import user_of

DECIDE = "approvals.decide_approvalrequest"
BYPASS = "approvals.bypass_approvalrequest"
VIEW = "approvals.view_approvalrequest"
_LONGEST_CHAIN = 3


def same_hands(user: User) -> QuerySet[User]:
    """The accounts behind which the same person stands: the owner of a service account and all that they own, also
    where a service account owns another."""
    person = user
    for _ in range(_LONGEST_CHAIN):
        if person.owner is None:
            break
        person = person.owner
    mine = Q(pk=person.pk) | Q(owner=person) | Q(owner__owner=person) | Q(owner__owner__owner=person)
    return User.objects.filter(mine | Q(pk=user.pk) | Q(owner=user))


def is_own(user: User, request: ApprovalRequest) -> bool:
    """Whether `user`, or an account in the same hands, asked for it."""
    return request.requested_by_id is not None and same_hands(user).filter(pk=request.requested_by_id).exists()


def subject_of(request: ApprovalRequest) -> Subject:
    """What is asked about."""
    return Subject(request.subject_kind, request.subject_key)


def holds_decision(user: User, team_id: int | None) -> bool:
    """Whether an active `user` decides for this team: by the permission for all, or as its lead."""
    if not user.is_active or user.kind == User.Kind.PORTAL:
        return False
    return user.has_perm(DECIDE) or (team_id is not None and is_lead(user.pk, team_id))


def may_decide(user: User | AnonymousUser, request: ApprovalRequest) -> bool:
    """Whether `user` may approve or refuse it: others' requests only, about what they may see."""
    if not isinstance(user, User) or not holds_decision(user, request.team_id):
        return False
    return not is_own(user, request) and is_visible(subject_of(request), user)


def require_decide(actor: Actor, request: ApprovalRequest) -> None:
    """Raise Forbidden unless `may_decide`. The portal itself never decides: an approval is a person's word."""
    user = user_of(actor)
    if user is None:
        raise Forbidden("Only somebody with an account decides about approvals.")
    require_decision(actor, request.team_id)
    if is_own(user, request):
        raise Forbidden(
            "Nobody decides about their own request, nor does an account of theirs: ask a second person.",
            code="own_approval",
        )


def require_decision(actor: Actor, team_id: int | None) -> None:
    """Raise Forbidden unless the actor is somebody who decides for this team."""
    user = user_of(actor)
    if user is None:
        raise Forbidden("Only somebody with an account decides about approvals.")
    if not holds_decision(user, team_id):
        team = Team.objects.filter(pk=team_id).first() if team_id is not None else None
        whom = f", or to lead {team.name}" if team else ""
        raise Forbidden(f"{actor.name} may not do this: it needs the permission {DECIDE}{whom}.",
                        extra={"permission": DECIDE})  # fmt: skip


def may_withdraw(user: User | AnonymousUser, request: ApprovalRequest) -> bool:
    """Whoever asked, or the owner of the account that did; what stands ahead: who may decide, and who may bypass."""
    if not isinstance(user, User) or not user.is_active:
        return False
    if request.kind == ApprovalRequest.Kind.AHEAD:
        return holds_decision(user, request.team_id) or may_bypass(user)
    return is_own(user, request)


def require_withdraw(actor: Actor, request: ApprovalRequest) -> None:
    """Raise Forbidden unless `may_withdraw`; the portal itself may."""
    user = user_of(actor)
    if not actor.is_system and (user is None or not may_withdraw(user, request)):
        if request.kind == ApprovalRequest.Kind.AHEAD:
            raise Forbidden("Only those who may decide or bypass take back what is approved ahead.")
        raise Forbidden("Only whoever asked can withdraw the request.")


def may_bypass(user: User | AnonymousUser) -> bool:
    """Whether `user` may go on without an approval in an emergency."""
    return isinstance(user, User) and user.is_active and user.has_perm(BYPASS)


def require_bypass(actor: Actor) -> None:
    """Raise Forbidden unless `may_bypass`: somebody must answer for it, so the portal itself may not."""
    if actor.user_id is None:
        raise Forbidden("Only somebody with an account may bypass an approval.")
    require(actor, BYPASS)
