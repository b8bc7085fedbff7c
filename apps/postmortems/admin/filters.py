"""Narrowing the lists of action items and of reviews."""

from __future__ import annotations

from django.contrib.auth.models import AnonymousUser
from django.db.models import Q, QuerySet
from django.http import HttpRequest

from apps.catalog.queries import team_ids_of
from apps.foundation.clock import now
from apps.incidents.admin.filters import QuickChoice
from apps.people.models import User
from apps.postmortems.admin.showing import OPEN_ITEMS
from apps.postmortems.models import ActionItem
from apps.postmortems.queries import overdue_for_manager


class WhichItems(QuickChoice):
    title = "which"
    parameter_name = "show"
    options = (
        ("", "Open"),
        ("mine", "Mine"),
        ("overdue", "Overdue"),
        ("team", "My teams'"),
        ("people", "My people's"),
        ("finished", "Finished"),
        ("all", "All"),
    )

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
