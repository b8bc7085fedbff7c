"""What changed: read-only, newest first."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db.models import Q, QuerySet
from django.http import Http404, HttpRequest, HttpResponse

from apps.catalog.models import Change
from apps.catalog.queries import visible_services
from apps.people.admin.base import PortalModelAdmin, ReadOnlyAdmin


@admin.register(Change)
class ChangeAdmin(ReadOnlyAdmin, PortalModelAdmin):
    """Recorded over the API or an integration; nobody edits it by hand."""

    list_display = ("title", "kind", "service", "environment", "version", "author", "source", "occurred_at")
    list_filter = ("kind", "service", "environment")
    search_fields = ("title", "version", "author", "service__name")
    list_select_related = ("service", "environment")
    date_hierarchy = "occurred_at"
    fields = (
        ("title", "kind"),
        ("service", "environment"),
        ("version", "author"),
        ("source", "dedup_key"),
        "link",
        "labels",
        ("occurred_at", "received_at"),
    )

    def visible_to(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        shown = visible_services(request.user).values("pk")
        return queryset.filter(Q(service__isnull=True) | Q(service__in=shown))

    def history_view(self, request: HttpRequest, object_id: str, extra_context: Any = None) -> HttpResponse:
        raise Http404("A change is append-only: it has no history.")

    def history_form_view(
        self, request: HttpRequest, object_id: str, version_id: str, extra_context: Any = None
    ) -> HttpResponse:
        raise Http404("A change is append-only: it has no history.")
