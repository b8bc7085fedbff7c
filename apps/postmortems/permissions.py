"""Who may do what to a review and its action items. Seeing comes first: it follows the incident.

Writers hold `write_review`, reviewers `review_review`. Besides, whoever owns a review writes it, and whoever owns an
action item, or leads its team, says how far it is. Nobody reviews what they own or submitted, and no service account
of theirs does, whatever token it has.
"""

from __future__ import annotations

from apps.catalog.queries import is_lead
from apps.foundation.actor import Actor
from apps.foundation.errors import Forbidden, NotFound
from apps.incidents.queries import visible_to
from apps.people.models import User
from apps.people.permissions import user_allowed
from apps.people.queries import user_of
from apps.postmortems.models import ActionItem, Review

VIEW = "postmortems.view_review"
VIEW_ITEM = "postmortems.view_actionitem"
WRITE = "postmortems.write_review"
REVIEW = "postmortems.review_review"


def may_write(user: User, review: Review) -> bool:
    """Whether `user`, who sees it, may write, submit and plan in it."""
    return user.is_active and (review.owner_id == user.pk or user_allowed(user, WRITE))


def may_review(user: User, review: Review) -> bool:
    """Whether `user`, who sees it, may review it: never one's own."""
    return user_allowed(user, REVIEW) and not is_own(user, review)


def is_own(user: User, review: Review) -> bool:
    """Whether `user` owns it or submitted it, in person or by a service account of theirs."""
    theirs = {user.pk, user.owner_id}
    submitter = review.submitted_by
    owners = {review.owner_id, review.submitted_by_id, submitter.owner_id if submitter else None}
    return bool((theirs & owners) - {None})


def may_plan_item(user: User, item: ActionItem) -> bool:
    """Whether `user`, who sees it, may edit, drop and reopen it: writers, reviewers, leads of its team."""
    if may_write(user, item.review) or user_allowed(user, REVIEW):
        return True
    return user.is_active and item.team_id is not None and is_lead(user.pk, item.team_id)


def may_follow_item(user: User, item: ActionItem) -> bool:
    """Whether `user`, who sees it, may start and finish it: its owner, and whoever may plan it."""
    return (user.is_active and item.owner_id == user.pk) or may_plan_item(user, item)


def seeing(actor: Actor, incident_id: int, what: str) -> User | None:
    """The account behind `actor`, which sees the incident; None for the portal itself. NotFound where it is hidden."""
    if actor.is_system:
        return None
    user = user_of(actor)
    if user is None or not visible_to(user).filter(pk=incident_id).exists():
        raise NotFound(f"There is no such {what}, or you may not see it.")
    return user


def require_write(actor: Actor, review: Review) -> User | None:
    """NotFound where it is hidden from `actor`, Forbidden where it may not write; else its account."""
    user = seeing(actor, review.incident_id, "review")
    if user is not None and not may_write(user, review):
        raise _forbidden(actor, "write this review", WRITE)
    return user


def require_review(actor: Actor, review: Review, *, own: bool = False) -> User | None:
    """NotFound where it is hidden, Forbidden without `review_review`, or (unless `own`) where it is one's own."""
    user = seeing(actor, review.incident_id, "review")
    if user is None:
        return None
    if not user_allowed(user, REVIEW):
        raise _forbidden(actor, "review", REVIEW)
    if not own and is_own(user, review):
        raise Forbidden(
            f"{actor.name} may not review it: nobody reviews what they own or submitted.", code="own_review"
        )
    return user


def require_plan_item(actor: Actor, item: ActionItem) -> User | None:
    """NotFound where it is hidden, Forbidden where `actor` may not edit it; else its account."""
    user = seeing(actor, item.review.incident_id, "action item")
    if user is not None and not may_plan_item(user, item):
        raise _forbidden(actor, "edit this action item", WRITE)
    return user


def require_follow_item(actor: Actor, item: ActionItem) -> User | None:
    """NotFound where it is hidden, Forbidden where `actor` may not say how far it is; else its account."""
    user = seeing(actor, item.review.incident_id, "action item")
    if user is not None and not may_follow_item(user, item):
        raise _forbidden(actor, "work on this action item", WRITE)
    return user


def _forbidden(actor: Actor, doing: str, permission: str) -> Forbidden:
    return Forbidden(
        f"{actor.name} may not {doing}: it needs the permission {permission}.", extra={"permission": permission}
    )
