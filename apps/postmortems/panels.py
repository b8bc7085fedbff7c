"""The boxes of reviews: on the command page of an incident, and on home."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.http import HttpRequest

from apps.foundation.clock import now
from apps.incidents.home_panels import HomePanel, register_home_panel
from apps.incidents.models import Incident
from apps.incidents.panels import Panel, register_panel
from apps.people.models import User
from apps.people.permissions import user_allowed
from apps.people.zones import zone_of
from apps.postmortems.admin.board import Card, card_of, with_counts
from apps.postmortems.admin.items import ItemRow, item_rows
from apps.postmortems.models import ActionItem, Review
from apps.postmortems.permissions import REVIEW, VIEW_ITEM, WRITE
from apps.postmortems.policy import rules
from apps.postmortems.queries import (
    drafts_of,
    overdue_for_manager,
    overdue_items_of,
    reviews_awaiting,
    visible_items,
    visible_reviews,
)

SHOWN_AT_HOME = 6


@dataclass(frozen=True, slots=True)
class ItemLine:
    """An action item at home: with whose it is and which incident it is of."""

    item: ItemRow
    number: str


def review_context(incident: Incident, request: HttpRequest) -> dict[str, Any]:
    """The review of this incident as far as the reader may see it, or what becomes of it; two queries."""
    user, at = request.user, now()
    rows = with_counts(visible_reviews(user).filter(incident_id=incident.pk), at)
    found = rows.select_related("incident__team", "owner", "reviewer").first()
    if found is not None:
        return {"card": card_of(found, user, zone_of(user), at), "state": found.get_state_display()}
    may_open = not incident.is_open and isinstance(user, User) and user_allowed(user, WRITE)
    return {"card": None, "is_open": incident.is_open, "will_open": _will_open(incident), "may_open": may_open}


def _will_open(incident: Incident) -> str:
    """Whether one opens by itself once it is resolved: surely, after a while, or not."""
    found = rules(incident.policy_version_id)
    if found is None or incident.kind == Incident.Kind.DRILL:
        return "never"
    mine = [rule for rule in found.required if incident.severity in rule.severities]
    if any(rule.over_seconds is None for rule in mine):
        return "always"
    return min((rule.text() for rule in mine), default="never")


def awaiting_context(request: HttpRequest) -> dict[str, Any] | None:
    """Reviews that wait for the reader: to be read, and drafts of theirs. No box for those who never have any."""
    user, at = request.user, now()
    loaded = ("incident__team", "owner", "reviewer")
    waiting = list(with_counts(reviews_awaiting(user), at).select_related(*loaded)[: SHOWN_AT_HOME + 1])
    drafts = list(with_counts(drafts_of(user), at).select_related(*loaded)[: SHOWN_AT_HOME + 1])
    if not waiting and not drafts and not user_allowed(user, REVIEW):
        return None

    def cards(rows: list[Review]) -> list[Card]:
        return [card_of(row, user, zone_of(user), at) for row in rows[:SHOWN_AT_HOME]]

    more = len(waiting) > SHOWN_AT_HOME or len(drafts) > SHOWN_AT_HOME
    return {"waiting": cards(waiting), "drafts": cards(drafts), "more": more}


def overdue_context(request: HttpRequest) -> dict[str, Any] | None:
    """Overdue action items: the reader's own, and those of the people they answer for. No box where there is none."""
    user = request.user
    if not isinstance(user, User) or not (user.has_perm(VIEW_ITEM) or overdue_items_of(user).exists()):
        return None
    own = list(_loaded(overdue_items_of(user))[: SHOWN_AT_HOME + 1])
    answered = visible_items(user).filter(pk__in=overdue_for_manager(user).values("pk"))
    theirs = list(_loaded(answered).order_by("due_at", "pk")[: SHOWN_AT_HOME + 1])
    return {
        "own": _lines(own[:SHOWN_AT_HOME], request),
        "theirs": _lines(theirs[:SHOWN_AT_HOME], request),
        "more_own": len(own) > SHOWN_AT_HOME,
        "more_theirs": len(theirs) > SHOWN_AT_HOME,
    }


def _loaded(rows: Any) -> Any:
    return rows.select_related("owner", "team", "review__incident")


def _lines(items: list[ActionItem], request: HttpRequest) -> list[ItemLine]:
    if not items:
        return []
    rows = item_rows(items, request.user, zone_of(request.user), now())
    return [ItemLine(row, item.review.incident.number) for row, item in zip(rows, items, strict=True)]


_REVIEW = Panel("review", "Review", "postmortems/panel_review.html", review_context, position=60, position_resolved=1)
_AWAITING = HomePanel("reviews", "Reviews awaiting me", "postmortems/home_reviews.html", awaiting_context, position=40)
_OVERDUE = HomePanel(
    "overdue-items", "Overdue action items", "postmortems/home_items.html", overdue_context, position=45
)


def register_panels() -> None:
    """Put one box on the command page and two on home. Called from `ready()`."""
    register_panel(_REVIEW)
    register_home_panel(_AWAITING)
    register_home_panel(_OVERDUE)
