"""The board: reviews in four columns, the most urgent first."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from django.contrib.auth.models import AnonymousUser
from django.db.models import Count, F, OuterRef, Q, QuerySet, Subquery
from django.db.models.functions import Coalesce
from django.http import HttpRequest
from django.urls import reverse

from apps.catalog.queries import team_ids_of
from apps.foundation.clock import now
from apps.incidents.admin.filters import QuickFilter
from apps.incidents.admin.showing import SeverityChip, chip_of
from apps.incidents.models import Incident
from apps.people.models import User
from apps.people.zones import zone_of
from apps.postmortems.admin.showing import OPEN_ITEMS, Due, age_text, due_of
from apps.postmortems.models import ActionItem, Review, Section
from apps.postmortems.queries import visible_reviews

CLOSED_DAYS = 30
MOST_CARDS = 200

_FILTERS = (("", "All"), ("mine", "Mine"), ("team", "My teams'"), ("overdue", "Overdue"))
_EMPTY = {
    Review.State.DRAFT: "Nothing is being written. When an incident is resolved, its review opens here.",
    Review.State.IN_REVIEW: "Nothing waits to be read.",
    Review.State.REVIEWED: "Nothing waits to be closed.",
    Review.State.CLOSED: f"None was closed in the last {CLOSED_DAYS} days.",
}


@dataclass(frozen=True, slots=True)
class Card:
    id: int
    url: str
    title: str
    number: str
    chip: SeverityChip
    team: str
    age: str
    due: Due | None
    owner: str
    reviewer: str
    open_items: int
    overdue_items: int
    missing: int
    is_private: bool
    reopened: bool
    asks: str


@dataclass(frozen=True, slots=True)
class Column:
    state: str
    title: str
    cards: tuple[Card, ...]
    empty: str


@dataclass(frozen=True, slots=True)
class Board:
    columns: tuple[Column, ...]
    filters: tuple[QuickFilter, ...]
    left_out: bool


def with_counts(rows: QuerySet[Review], at: datetime) -> QuerySet[Review]:
    """Reviews with `open_items`, `overdue_items` and `missing` (required sections without a text)."""
    items = ActionItem.objects.filter(review=OuterRef("pk"), state__in=OPEN_ITEMS)
    empty = Section.objects.filter(review=OuterRef("pk"), required=True, text="")
    return rows.annotate(
        open_items=_counted(items), overdue_items=_counted(items.filter(due_at__lte=at)), missing=_counted(empty)
    )


def _counted(rows: QuerySet[Any]) -> Coalesce:
    counts = rows.order_by().values("review").annotate(number=Count("pk")).values("number")
    return Coalesce(Subquery(counts), 0)


def narrowed(rows: QuerySet[Review], which: str, user: User | AnonymousUser, at: datetime) -> QuerySet[Review]:
    """Those of `rows` that one of the board's filters keeps; all for a word that is none of them."""
    match which:
        case "mine":
            return rows.filter(Q(owner_id=user.pk) | Q(reviewer_id=user.pk))
        case "team":
            return rows.filter(incident__team_id__in=team_ids_of(user.pk or 0))
        case "overdue":
            waiting = rows.filter(state__in=[Review.State.DRAFT, Review.State.IN_REVIEW])
            return waiting.filter(due_at__lte=at)
        case _:
            return rows


def board(request: HttpRequest) -> Board:
    """What the person of `request` may see; closed ones of the last 30 days only. A constant number of queries."""
    user, at = request.user, now()
    zone, which = zone_of(user), request.GET.get("show", "")
    rows = with_counts(visible_reviews(user), at).select_related("incident__team", "owner", "reviewer")
    rows = narrowed(rows, which, user, at)
    closed = rows.filter(state=Review.State.CLOSED, closed_at__gte=at - timedelta(days=CLOSED_DAYS))
    found = [
        *rows.exclude(state=Review.State.CLOSED).order_by(F("due_at").asc(nulls_last=True), "pk")[: MOST_CARDS + 1],
        *closed.order_by("-closed_at", "-pk")[: MOST_CARDS + 1],
    ]
    return Board(
        columns=tuple(_column(state, found, user, zone, at) for state in Review.State),
        filters=_links(which),
        left_out=len(found) > MOST_CARDS,
    )


def _links(which: str) -> tuple[QuickFilter, ...]:
    address = reverse("admin:postmortems_review_changelist")
    return tuple(
        QuickFilter(label, f"{address}?show={value}" if value else address, which == value) for value, label in _FILTERS
    )


def _column(
    state: Review.State, found: Sequence[Review], user: User | AnonymousUser, zone: ZoneInfo, at: datetime
) -> Column:
    cards = tuple(card_of(review, user, zone, at) for review in found if review.state == state)
    return Column(str(state.value), str(state.label), cards, _EMPTY[state])


def card_of(review: Any, user: User | AnonymousUser, zone: ZoneInfo, at: datetime) -> Card:
    """One card; `review` comes from `with_counts` and knows its incident and people."""
    incident = review.incident
    closed = review.state == Review.State.CLOSED
    due_at = None if review.state in {Review.State.REVIEWED, Review.State.CLOSED} else review.due_at
    return Card(
        id=review.pk,
        url=reverse("admin:postmortems_review_change", args=[review.pk]),
        title=review.title,
        number=incident.number,
        chip=chip_of(incident),
        team=incident.team.name if incident.team else "",
        age=age_text(review.closed_at if closed else review.opened_at, at),
        due=due_of(due_at, zone, at) if due_at else None,
        owner=review.owner.name if review.owner else "",
        reviewer=review.reviewer.name if review.reviewer else "",
        open_items=review.open_items,
        overdue_items=review.overdue_items,
        missing=review.missing if review.state == Review.State.DRAFT else 0,
        is_private=incident.visibility == Incident.Visibility.PRIVATE,
        reopened=incident.is_open,
        asks=_asks(review, user),
    )


def _asks(review: Review, user: User | AnonymousUser) -> str:
    """What the card wants of the person who looks at it; empty where it waits for somebody else."""
    if review.state == Review.State.DRAFT and review.owner_id == user.pk:
        return "Yours to write"
    if review.state == Review.State.IN_REVIEW and review.reviewer_id == user.pk:
        return "Yours to read"
    return ""
