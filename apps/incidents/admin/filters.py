"""Narrowing the incident list: open ones unless another state is asked for."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from django.contrib import admin
from django.contrib.admin.views.main import ChangeList
from django.db.models import QuerySet
from django.http import HttpRequest

from apps.catalog.models import Team
from apps.incidents.models import Incident
from apps.incidents.queries import visible_to

Choices = list[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class QuickFilter:
    label: str
    url: str
    is_current: bool


class QuickChoice(admin.SimpleListFilter):
    """A filter whose `options`, words of the address and labels, also stand as links above the list.

    The first has no word: it is what one comes for, and what is shown without a choice.
    """

    parameter_name: str  # of each child
    options: tuple[tuple[str, str], ...] = ()

    @classmethod
    def links(cls, request: HttpRequest, address: str) -> tuple[QuickFilter, ...]:
        """The options as links to the list at `address`; the other filters stay as they are."""
        chosen = request.GET.get(cls.parameter_name, "")
        return tuple(
            QuickFilter(label, f"{address}{_query(request, cls.parameter_name, value)}", chosen == value)
            for value, label in cls.options
        )

    def lookups(self, request: HttpRequest, model_admin: Any) -> Choices:
        return [(value, label) for value, label in self.options if value]

    def choices(self, changelist: ChangeList) -> Iterator[Any]:
        for value, label in self.options:
            query = {self.parameter_name: value} if value else {}
            remove = [] if value else [self.parameter_name]
            yield {
                "selected": (self.value() or "") == value,
                "query_string": changelist.get_query_string(query, remove),
                "display": label,
            }


def _query(request: HttpRequest, name: str, value: str) -> str:
    query = request.GET.copy()
    query.pop("p", None)
    query.pop(name, None)
    if value:
        query[name] = value
    return f"?{query.urlencode()}" if query else ""


class StateFilter(QuickChoice):
    title = "state"
    parameter_name = "state"
    options = (
        ("", "Open"),
        ("unanswered", "Not acknowledged"),
        ("mine", "Mine"),
        ("resolved", "Resolved"),
        ("all", "All"),
    )

    def queryset(self, request: HttpRequest, queryset: QuerySet[Incident]) -> QuerySet[Incident]:
        still_open = queryset.exclude(phase=Incident.Phase.RESOLVED)
        match self.value():
            case "all":
                return queryset
            case "resolved":
                return queryset.filter(phase=Incident.Phase.RESOLVED)
            case "unanswered":
                return still_open.filter(acknowledged_at__isnull=True)
            case "mine":
                held = {"roles__user_id": request.user.pk, "roles__until__isnull": True}
                return (still_open.filter(**held) | still_open.filter(declared_by_id=request.user.pk)).distinct()
            case _:
                return still_open


class SeverityFilter(admin.SimpleListFilter):
    title = "severity"
    parameter_name = "severity"

    def lookups(self, request: HttpRequest, model_admin: Any) -> Choices:
        rows = visible_to(request.user).order_by("severity_rank", "severity")
        found = rows.values_list("severity", flat=True).distinct()
        return [(value, value) for value in dict.fromkeys(found)]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Incident]) -> QuerySet[Incident]:
        return queryset.filter(severity=self.value()) if self.value() else queryset


class PhaseFilter(admin.SimpleListFilter):
    title = "phase"
    parameter_name = "phase"

    def lookups(self, request: HttpRequest, model_admin: Any) -> Choices:
        return [(str(value), str(label)) for value, label in Incident.Phase.choices]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Incident]) -> QuerySet[Incident]:
        return queryset.filter(phase=self.value()) if self.value() else queryset


class TeamFilter(admin.SimpleListFilter):
    title = "team"
    parameter_name = "team"

    def lookups(self, request: HttpRequest, model_admin: Any) -> Choices:
        return [(team.slug, team.name) for team in Team.objects.order_by("name")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Incident]) -> QuerySet[Incident]:
        return queryset.filter(team__slug=self.value()) if self.value() else queryset
