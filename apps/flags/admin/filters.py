"""Filters of the list of flags."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest

from apps.flags.staleness import is_stale


class StaleFilter(admin.SimpleListFilter):
    """Those that the code could be rid of."""

    title = "stale"
    parameter_name = "stale"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("yes", "Expired, of one answer, or unasked for")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        return queryset.filter(is_stale()) if self.value() == "yes" else queryset
