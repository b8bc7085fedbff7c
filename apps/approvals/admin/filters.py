"""Which requests the list shows."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest

from apps.approvals.permissions import same_hands
from apps.approvals.queries import standing_ahead, waiting_for
from apps.people.models import User


class WaitsFilter(admin.SimpleListFilter):
    """What waits for one's own decision, and what one asked for."""

    title = "whose turn it is"
    parameter_name = "waits"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("you", "waits for you"), ("others", "asked by you"), ("ahead", "approved ahead")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        user = request.user
        if self.value() == "you":
            return queryset.filter(pk__in=waiting_for(user).values("pk"))
        if self.value() == "others" and isinstance(user, User):
            return queryset.filter(requested_by__in=same_hands(user).values("pk"))
        if self.value() == "ahead":
            return queryset.filter(pk__in=standing_ahead().values("pk"))
        return queryset
