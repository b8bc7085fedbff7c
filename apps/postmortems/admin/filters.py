"""Narrowing the lists of action items and of reviews."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from django.contrib import admin
from django.contrib.admin.views.main import ChangeList
from django.contrib.auth.models import AnonymousUser
from django.db.models import Q, QuerySet
from django.http import HttpRequest
from django.urls import reverse

from apps.catalog.queries import team_ids_of
from apps.foundation.clock import now
from apps.incidents.admin.filters import QuickFilter
from apps.people.models import User
from apps.postmortems.admin.showing import OPEN_ITEMS
from apps.postmortems.models import ActionItem
from apps.postmortems.queries import overdue_for_manager

Choices = list[tuple[str, str]]

_WHICH = (
    ("", "Open"),
    ("mine", "Mine"),
    ("overdue", "Overdue"),
    ("team", "My teams'"),
    ("people", "My people's"),
    ("finished", "Finished"),
    ("all", "All"),
)


def item_filters(request: HttpRequest) -> tuple[QuickFilter, ...]:
    """The choices as links above the list; the other filters stay as they are."""
    links: list[QuickFilter] = []
    for value, label in _WHICH:
        query = request.GET.copy()
        query.pop("p", None)
        query.pop("show", None)
        if value:
            query["show"] = value
        address = reverse("admin:postmortems_actionitem_changelist") + (f"?{query.urlencode()}" if query else "")
        links.append(QuickFilter(label, address, request.GET.get("show", "") == value))
    return tuple(links)


class WhichItems(admin.SimpleListFilter):
    """Open ones are what one comes for; without a choice they are shown."""

    title = "which"
    parameter_name = "show"

    def lookups(self, request: HttpRequest, model_admin: Any) -> Choices:
        return [(value, label) for value, label in _WHICH if value]

    def choices(self, changelist: ChangeList) -> Iterator[Any]:
        for value, label in _WHICH:
            query = {self.parameter_name: value} if value else {}
            yield {
                "selected": (self.value() or "") == value,
                "query_string": changelist.get_query_string(query, [] if value else [self.parameter_name]),
                "display": label,
            }

    def queryset(self, request: HttpRequest, queryset: QuerySet[ActionItem]) -> QuerySet[ActionItem]:
        which = self.value() or ""
        if which == "all":
            return queryset
        if which == "finished":
            return queryset.exclude(state__in=OPEN_ITEMS)
        return queryset.filter(_narrowing(which, request.user), state__in=OPEN_ITEMS)


def _narrowing(which: str, user: User | AnonymousUser) -> Q:
    """Which of the open items a filter keeps; all for a word that is none of the filters."""
    match which:
        case "mine":
            return Q(owner_id=user.pk)
        case "overdue":
            return Q(due_at__lte=now())
        case "people":
            return Q(owner__manager_id=user.pk) | Q(pk__in=overdue_for_manager(user).values("pk"))
        case "team":
            teams = team_ids_of(user.pk or 0)
            return Q(team_id__in=teams) | Q(team__isnull=True, review__incident__team_id__in=teams)
        case _:
            return Q()
