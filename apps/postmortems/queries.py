"""Reading reviews and action items, and who may see which: both follow their incident."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django.contrib.auth.models import AnonymousUser
from django.db.models import CharField, Exists, OuterRef, Q, QuerySet
from django.db.models.functions import Cast
from django.urls import NoReverseMatch, reverse

from apps.catalog.models import Membership
from apps.foundation.clock import now
from apps.incidents.queries import visible_related
from apps.oncall.queries import people_for_many
from apps.people.models import User
from apps.people.permissions import user_allowed
from apps.postmortems.models import ActionItem, Review
from apps.postmortems.permissions import REVIEW, VIEW, VIEW_ITEM

REVIEW_SUBJECT, ITEM_SUBJECT = "review", "action_item"
MANAGER_ROLE = "manager"
OPEN_ITEM = (ActionItem.State.OPEN, ActionItem.State.IN_PROGRESS)


def visible_reviews(user: User | AnonymousUser) -> QuerySet[Review]:
    """The reviews of incidents that `user` sees: all with `view_review`, else those they own or are asked to review."""
    if not isinstance(user, User) or not user.is_active:
        return Review.objects.none()
    rows = visible_related(Review.objects.all(), user)
    return rows if user.has_perm(VIEW) else rows.filter(Q(owner=user) | Q(reviewer=user))


def visible_items(user: User | AnonymousUser) -> QuerySet[ActionItem]:
    """The action items of incidents that `user` sees: all with `view_actionitem`, else their own."""
    if not isinstance(user, User) or not user.is_active:
        return ActionItem.objects.none()
    rows = visible_related(ActionItem.objects.all(), user, field="review__incident_id")
    return rows if user.has_perm(VIEW_ITEM) else rows.filter(owner=user)


def overdue_items() -> QuerySet[ActionItem]:
    """Open action items whose due date has passed, the oldest first."""
    return ActionItem.objects.filter(state__in=OPEN_ITEM, due_at__lte=now()).order_by("due_at", "pk")


def overdue_items_of(user: User | AnonymousUser) -> QuerySet[ActionItem]:
    """Open action items of `user` whose due date has passed, and whose incident they see."""
    if not isinstance(user, User):
        return ActionItem.objects.none()
    return overdue_items().filter(pk__in=visible_items(user).filter(owner=user).values("pk"))


def reviews_awaiting(user: User | AnonymousUser) -> QuerySet[Review]:
    """What `user` could review now: in review, neither owned nor submitted by them, and either asked of them or of
    nobody. The longest waiting first; empty without `review_review`."""
    if not isinstance(user, User) or not user_allowed(user, REVIEW):
        return Review.objects.none()
    theirs = [pk for pk in (user.pk, user.owner_id) if pk is not None]
    own = Q(owner_id__in=theirs) | Q(submitted_by_id__in=theirs) | Q(submitted_by__owner_id__in=theirs)
    rows = visible_reviews(user).filter(state=Review.State.IN_REVIEW).exclude(own)
    return rows.filter(Q(reviewer=user) | Q(reviewer__isnull=True)).order_by("submitted_at", "pk")


def drafts_of(user: User | AnonymousUser) -> QuerySet[Review]:
    """The drafts that `user` owns, the next due first."""
    if not isinstance(user, User):
        return Review.objects.none()
    return visible_reviews(user).filter(state=Review.State.DRAFT, owner=user).order_by("due_at", "pk")


def manager_of(user_id: int) -> User | None:
    """The person's manager, as their account says; None where nobody is named, or the account is closed."""
    return User.objects.filter(reports__pk=user_id, is_active=True).first()


def overdue_for_manager(user: User | AnonymousUser) -> QuerySet[ActionItem]:
    """Overdue action items for which `user` answers: those of their reports, else of teams they lead, else those of
    incidents whose team they are the manager of now. Whether they see them is another question: `visible_items`."""
    if not isinstance(user, User):
        return ActionItem.objects.none()
    managed = Exists(User.objects.filter(pk=OuterRef("owner__manager_id"), is_active=True))
    led = Membership.objects.filter(role=Membership.Role.LEAD, user__is_active=True, team_id=OuterRef("team_id"))
    someone_leads = Exists(led.exclude(user_id=OuterRef("owner_id")))
    rows = overdue_items().annotate(managed=managed, led=someone_leads).exclude(owner=user)
    rest = rows.filter(managed=False, led=False)
    by_role = _answered_by(user, rest)
    return rows.filter(
        Q(owner__manager=user)
        | Q(
            managed=False, team_id__in=Membership.objects.filter(user=user, role=Membership.Role.LEAD).values("team_id")
        )
        | Q(pk__in=by_role)
    )


def _answered_by(user: User, items: QuerySet[ActionItem]) -> list[int]:
    """Those of `items` for whose incident's team `user` answers as manager now."""
    teams = list(items.order_by().values_list("pk", "review__incident__team_id"))
    answering = people_for_many({(team_id, MANAGER_ROLE) for _, team_id in teams}, now()) if teams else {}
    return [pk for pk, team_id in teams if user.pk in answering[(team_id, MANAGER_ROLE)]]


class Answering:
    """Who answers for owners, of many at once: their managers, else the leads of a team, else who holds the role
    `manager` for an incident's team. Three groups of queries for any number."""

    def __init__(self, asked: Iterable[tuple[User | None, int | None, int | None]]) -> None:
        """`asked`: owner (with `manager` loaded), the team whose leads are looked up, the incident's team; by id."""
        wanted = list(asked)
        team_ids = {team_id for _, team_id, _ in wanted if team_id is not None}
        self._leads: dict[int, list[User]] = {}
        rows = Membership.objects.filter(team_id__in=team_ids, role=Membership.Role.LEAD, user__is_active=True)
        for row in rows.select_related("user").order_by("pk"):
            self._leads.setdefault(row.team_id, []).append(row.user)
        by_role = people_for_many({(team_id, MANAGER_ROLE) for _, _, team_id in wanted}, now())
        self._users = User.objects.in_bulk({pk for people in by_role.values() for pk in people})
        self._by_role = {team_id: people for (team_id, _), people in by_role.items()}

    def people(self, owner: User | None, team_id: int | None, incident_team_id: int | None) -> list[User]:
        """Whom to tell; never the owner."""
        if owner is not None and owner.manager is not None and owner.manager.is_active:
            return [owner.manager]
        leads = [user for user in self._leads.get(team_id or 0, ()) if user != owner]
        if leads:
            return leads
        found = [self._users[pk] for pk in self._by_role.get(incident_team_id, ()) if pk in self._users]
        return [user for user in found if user != owner]


# --- for `Subject("review", …)` and `Subject("action_item", …)` -----------------------------------------------------


def _numbers(keys: Iterable[str]) -> list[int]:
    return [int(key) for key in keys if key.isdecimal()]


def _address(name: str, key: str) -> str:
    try:
        return reverse(f"admin:{name}_change", args=[key])
    except NoReverseMatch:
        return ""


def review_titles(keys: Iterable[str]) -> dict[str, str]:
    """`Review of INC-2025-11-10-001 Title` by text key, in one query."""
    rows = Review.objects.filter(pk__in=_numbers(keys)).values_list("pk", "incident__number", "title")
    return {str(pk): f"Review of {number} {title}" for pk, number, title in rows}


def item_titles(keys: Iterable[str]) -> dict[str, str]:
    """Titles of action items by their text keys, in one query."""
    return {str(pk): title for pk, title in ActionItem.objects.filter(pk__in=_numbers(keys)).values_list("pk", "title")}


def review_url(key: str) -> str:
    """Where a review's page is."""
    return _address("postmortems_review", key)


def item_url(key: str) -> str:
    """Where an action item's page is."""
    return _address("postmortems_actionitem", key)


def visible_review_keys(user: Any) -> QuerySet[Any, Any]:
    """Text keys of the reviews that `user` may see, for `visible_subjects`."""
    return visible_reviews(user).order_by().annotate(key=Cast("pk", CharField())).values_list("key", flat=True)


def visible_item_keys(user: Any) -> QuerySet[Any, Any]:
    """Text keys of the action items that `user` may see, for `visible_subjects`."""
    return visible_items(user).order_by().annotate(key=Cast("pk", CharField())).values_list("key", flat=True)


def current_item_runs(keys: Iterable[str]) -> dict[str, int]:
    """For the guard of reminders: the present run of each item."""
    return {str(pk): run for pk, run in ActionItem.objects.filter(pk__in=_numbers(keys)).values_list("pk", "run")}


def current_review_runs(keys: Iterable[str]) -> dict[str, int]:
    """For the guard of messages about reviews: the present run of each."""
    return {str(pk): run for pk, run in Review.objects.filter(pk__in=_numbers(keys)).values_list("pk", "run")}
