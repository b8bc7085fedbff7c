"""One version of a config document: what it holds, what it changed, and whether it verifies."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseNotAllowed
from django.template.response import TemplateResponse
from unfold.decorators import display

from apps.people.admin.base import PortalModelAdmin, ReadOnlyAdmin, request_actor
from apps.state.admin.showing import diff_of, text_of, warnings_of
from apps.state.models import ConfigVersion
from apps.state.permissions import APPLY, SET_BASELINE, may
from apps.state.queries import visible_versions


@admin.register(ConfigVersion)
class ConfigVersionAdmin(ReadOnlyAdmin, PortalModelAdmin):
    """Versions are append-only: there is nothing to edit here."""

    list_display = ("shown", "document", "came", "note", "author_name", "source_author", "created_at")
    list_filter = ("document", "origin")
    search_fields = ("note", "document__name", "document__slug", "checksum")
    ordering = ("-id",)

    def visible_to(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        rows = visible_versions(request.user).select_related("document__service__owner")
        return rows.defer("content", "document__schema")

    @display(description="Version", ordering="number")
    def shown(self, version: ConfigVersion) -> str:
        return str(version)

    @display(
        description="How",
        ordering="origin",
        label={"edited": "info", "applied": "info", "observed": "", "backup": "warning", "restored": "success"},
    )
    def came(self, version: ConfigVersion) -> tuple[str, str]:
        return version.origin, version.get_origin_display()

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        """One version, as people read it; its secrets are masked."""
        if request.method not in {"GET", "HEAD"}:
            return HttpResponseNotAllowed(["GET", "HEAD"])
        version = self.get_object(request, object_id)
        if version is None:
            raise Http404
        if not self.has_view_permission(request, version):
            raise PermissionDenied
        document, actor = version.document, request_actor(request)
        before = ConfigVersion.objects.filter(document=document, number__lt=version.number).order_by("-number").first()
        context = {
            **self.admin_site.each_context(request),
            "title": str(version),
            "opts": self.model._meta,
            "version": version,
            "document": document,
            "before": before,
            "diff": diff_of(before.content, version.content) if before else None,
            "text": text_of(version.content),
            "warnings": warnings_of(version, document.schema),
            "is_head": document.head_id == version.pk,
            "is_baseline": document.baseline_id == version.pk,
            "may_apply": may(actor, document, APPLY),
            "may_set_baseline": may(actor, document, SET_BASELINE),
        }
        return TemplateResponse(request, "state/version.html", context)

    def history_view(self, request: HttpRequest, object_id: str, extra_context: Any = None) -> HttpResponse:
        raise Http404("A version never changes: it has no history.")

    def history_form_view(
        self, request: HttpRequest, object_id: str, version_id: str, extra_context: Any = None
    ) -> HttpResponse:
        raise Http404("A version never changes: it has no history.")
