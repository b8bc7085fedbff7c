"""Config documents in the admin: the list with its drift mark, the settings, and the way to the pages."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.urls import URLPattern, path
from unfold.decorators import display

from apps.catalog.admin.saving import OperatingAdmin, changed_fields, given_reason
from apps.catalog.models import Service
from apps.catalog.permissions import leads_any_team
from apps.catalog.queries import led_team_ids
from apps.people.admin.base import request_actor
from apps.state import operations
from apps.state.admin import pages
from apps.state.admin.forms import DocumentForm
from apps.state.models import ConfigDocument
from apps.state.permissions import CHANGE, may
from apps.state.queries import drifted, visible_documents

_FIELDS = {
    "slug": "slug",
    "name": "name",
    "description": "description",
    "service": "service_id",
    "environment": "environment_id",
    "schema": "schema",
    "source_url": "source_url",
    "capture_every_seconds": "capture_every_seconds",
}


class DriftFilter(admin.SimpleListFilter):
    """Documents whose last known live content differs from the baseline."""

    title = "baseline"
    parameter_name = "drift"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("yes", "differs"), ("failing", "capture fails")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        if self.value() == "failing":
            return queryset.exclude(capture_error="")
        return drifted(queryset) if self.value() == "yes" else queryset


@admin.register(ConfigDocument)
class ConfigDocumentAdmin(OperatingAdmin):
    """Documents: what is live changes only by the pages' buttons, each of which calls one operation."""

    form = DocumentForm
    list_display = ("name", "service", "environment", "held", "drift", "capturing", "last_captured_at")
    list_filter = (DriftFilter, "service", "environment")
    search_fields = ("name", "slug", "description")
    ordering = ("name",)
    prepopulated_fields = {"slug": ("name",)}  # as Django declares it

    def visible_to(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        rows = visible_documents(request.user).select_related("service__owner", "environment", "head", "baseline")
        return rows.defer("head__content", "baseline__content")

    def get_prepopulated_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        return {} if obj is not None else super().get_prepopulated_fields(request, obj)

    def formfield_for_foreignkey(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        """A lead may only choose among the services of the teams that they lead."""
        if db_field.name == "service" and not request.user.has_perm(CHANGE):
            kwargs["queryset"] = Service.objects.filter(owner__in=led_team_ids(request.user.pk or 0))
        return super().formfield_for_foreignkey(db_field, request, **kwargs)

    # --- what is shown ---

    @display(description="Held", label={"here": "info", "at a source": ""})
    def held(self, document: ConfigDocument) -> str:
        return "here" if document.is_held_here else "at a source"

    @display(
        description="Against the baseline",
        label={"differs": "danger", "the same": "success", "no baseline": "warning", "empty": ""},
    )
    def drift(self, document: ConfigDocument) -> str:
        return drift_of(document)

    @display(description="Capture", label={"fails": "danger", "works": "success", "on demand": "", "–": ""})
    def capturing(self, document: ConfigDocument) -> str:
        if document.is_held_here:
            return "–"
        if document.capture_error:
            return "fails"
        return "works" if document.capture_every_seconds else "on demand"

    # --- who may ---

    def has_add_permission(self, request: HttpRequest) -> bool:
        return super().has_add_permission(request) or (
            leads_any_team(request.user) and self.has_view_permission(request)
        )

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        if super().has_change_permission(request, obj):
            return True
        return obj is not None and may(request_actor(request), obj, CHANGE)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    # --- what they do ---

    def create(self, request: HttpRequest, form: Any) -> ConfigDocument:
        given = {name: _plain(form.cleaned_data[field]) for field, name in _FIELDS.items()}
        return operations.create_document(**{**given, "schema": given["schema"] or {}}, actor=request_actor(request))

    def update(self, request: HttpRequest, obj: Any, form: Any) -> ConfigDocument:
        fields = changed_fields(form, _FIELDS)
        if "schema" in fields:
            fields["schema"] = fields["schema"] or {}
        given: Any = fields
        return operations.edit_document(obj.pk, reason=given_reason(request), actor=request_actor(request), **given)

    def response_post_save_add(self, request: HttpRequest, obj: Any) -> HttpResponse:
        return self.go_to_row(request, str(obj.pk))

    def response_post_save_change(self, request: HttpRequest, obj: Any) -> HttpResponse:
        return self.go_to_row(request, str(obj.pk))

    # --- the pages ---

    def get_urls(self) -> list[URLPattern]:
        mine = []
        for name, view in pages.PAGES.items():
            wrapped = self.admin_site.admin_view(pages.bound(view, self))
            mine.append(path(f"<int:object_id>/{name}/", wrapped, name=f"state_configdocument_{name}"))
        settings = self.admin_site.admin_view(self.settings_view)
        mine.append(path("<int:object_id>/settings/", settings, name="state_configdocument_settings"))
        return [*mine, *super().get_urls()]

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        """One document: what is live, what differs from the baseline, and all versions. Nothing is posted here."""
        return pages.document_page(request, self, object_id)

    def settings_view(self, request: HttpRequest, object_id: int) -> HttpResponse:
        """What is said about a document; who may not change it reads it."""
        return self.changeform_view(request, str(object_id))


def drift_of(document: ConfigDocument) -> str:
    """How what is known to be live compares with the baseline."""
    if document.head is None:
        return "empty"
    if document.baseline is None:
        return "no baseline"
    return "the same" if document.head.checksum == document.baseline.checksum else "differs"


def _plain(value: Any) -> Any:
    return getattr(value, "pk", value)
