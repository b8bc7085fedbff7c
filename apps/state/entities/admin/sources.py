"""Sources of entities: what is said about them, and their snapshots."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from unfold.decorators import display
from unfold.widgets import UnfoldAdminURLInputWidget

from apps.catalog.admin.saving import OperatingAdmin, changed_fields, given_reason
from apps.catalog.models import Service
from apps.catalog.permissions import leads_any_team
from apps.catalog.queries import led_team_ids
from apps.people.admin.base import request_actor
from apps.state.entities import operations
from apps.state.entities.models import EntitySource, Snapshot
from apps.state.entities.permissions import CHANGE, RESTORE, SNAPSHOT, may
from apps.state.entities.queries import visible_snapshots, visible_sources

_FIELDS = {
    "name": "name",
    "slug": "slug",
    "kind": "kind",
    "description": "description",
    "service": "service_id",
    "environment": "environment_id",
    "base_url": "base_url",
    "snapshot_every_seconds": "snapshot_every_seconds",
    "keep_count": "keep_count",
    "keep_days": "keep_days",
}
_SHOWN = 50


class SourceForm(forms.ModelForm):  # type: ignore[type-arg]  # Django can't subscript it at run time
    """What is said about a source."""

    base_url = forms.URLField(
        max_length=500,
        assume_scheme="https",
        widget=UnfoldAdminURLInputWidget,
        help_text="its pages are at <address>/entities; no passwords or tokens in it",
    )

    class Meta:
        model = EntitySource
        fields = tuple(_FIELDS)


@admin.register(EntitySource)
class EntitySourceAdmin(OperatingAdmin):
    """Where players, accounts or villages live."""

    form = SourceForm
    list_display = ("name", "kind", "service", "environment", "cadence", "keep_count", "keep_days")
    list_filter = ("kind", "service", "environment")
    search_fields = ("name", "slug", "kind", "description")
    ordering = ("name",)
    prepopulated_fields = {"slug": ("name",)}  # as Django declares it

    def visible_to(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        return visible_sources(request.user).select_related("service__owner", "environment")

    def get_prepopulated_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        return {} if obj is not None else super().get_prepopulated_fields(request, obj)

    def formfield_for_foreignkey(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        """A lead may only choose among the services of the teams that they lead."""
        if db_field.name == "service" and not request.user.has_perm(CHANGE):
            kwargs["queryset"] = Service.objects.filter(owner__in=led_team_ids(request.user.pk or 0))
        return super().formfield_for_foreignkey(db_field, request, **kwargs)

    @display(description="Snapshots", ordering="snapshot_every_seconds")
    def cadence(self, source: EntitySource) -> str:
        return cadence_of(source)

    # --- who may ---

    def has_add_permission(self, request: HttpRequest) -> bool:
        mine = leads_any_team(request.user) and self.has_view_permission(request)
        return super().has_add_permission(request) or mine

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        if super().has_change_permission(request, obj):
            return True
        return obj is not None and may(request_actor(request), obj, CHANGE)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    # --- what they do ---

    def create(self, request: HttpRequest, form: Any) -> EntitySource:
        given: Any = {name: _plain(form.cleaned_data[field]) for field, name in _FIELDS.items()}
        return operations.create_source(**given, actor=request_actor(request))

    def update(self, request: HttpRequest, obj: Any, form: Any) -> EntitySource:
        given: Any = changed_fields(form, _FIELDS)
        return operations.edit_source(obj.pk, reason=given_reason(request), actor=request_actor(request), **given)

    def response_post_save_add(self, request: HttpRequest, obj: Any) -> HttpResponse:
        return self.go_to_row(request, str(obj.pk))

    def response_post_save_change(self, request: HttpRequest, obj: Any) -> HttpResponse:
        return self.go_to_row(request, str(obj.pk))

    # --- the pages ---

    def get_urls(self) -> list[URLPattern]:
        views = {"settings": self.settings_view, "take": self.take_view, "compare": self.compare_view}
        mine = [
            path(f"<int:object_id>/{name}/", self.admin_site.admin_view(view), name=f"state_entitysource_{name}")
            for name, view in views.items()
        ]
        return [*mine, *super().get_urls()]

    def settings_view(self, request: HttpRequest, object_id: int) -> HttpResponse:
        """What is said about a source; who may not change it reads it."""
        return self.changeform_view(request, str(object_id))

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        """One source: its snapshots, and the way to compare two of them. Nothing is posted here."""
        if request.method not in {"GET", "HEAD"}:
            return HttpResponseNotAllowed(["GET", "HEAD"])
        source, actor = self.row(request, object_id), request_actor(request)
        found = list(visible_snapshots(request.user).filter(source=source).order_by("-number")[:_SHOWN])
        done = [snapshot for snapshot in found if snapshot.state == Snapshot.State.DONE]
        context = {
            **self.admin_site.each_context(request),
            "title": source.name,
            "opts": self.model._meta,
            "source": source,
            "cadence": cadence_of(source),
            "snapshots": found,
            "done": done,
            "is_busy": any(snapshot.is_open for snapshot in found),
            "restores": source.restores.select_related("snapshot").order_by("-pk")[:10],
            "may_change": may(actor, source, CHANGE),
            "may_snapshot": may(actor, source, SNAPSHOT),
            "may_restore": may(actor, source, RESTORE),
        }
        return TemplateResponse(request, "state/entities/source.html", context)

    def take_view(self, request: HttpRequest, object_id: int) -> HttpResponse:
        """Ask for a snapshot; posted by a button."""
        if request.method != "POST":
            return HttpResponseNotAllowed(["POST"])
        reason = request.POST.get("reason", "")
        done = "A worker takes it: its progress shows below."
        return self.press(request, operations.take_snapshot, str(object_id), reason=reason, done=done)

    def compare_view(self, request: HttpRequest, object_id: int) -> HttpResponse:
        """Ask what differs between two snapshots; posted by a form."""
        if request.method != "POST":
            return HttpResponseNotAllowed(["POST"])
        source = self.row(request, str(object_id))
        if not may(request_actor(request), source, SNAPSHOT):
            raise PermissionDenied
        known = dict(source.snapshots.values_list("number", "pk"))
        pair = [known.get(_number(request.POST.get(name, "")), 0) for name in ("before", "after")]
        diff = self.perform(request, operations.compare, pair[0], pair[1])
        if diff is None:
            return self.go_to_row(request, str(object_id))
        return HttpResponseRedirect(reverse("admin:state_snapshotdiff_change", args=[diff.pk]))


def cadence_of(source: EntitySource) -> str:
    """How often a snapshot is taken, in words."""
    seconds = source.snapshot_every_seconds
    for length, word in ((86_400, "day"), (3600, "hour"), (60, "minute")):
        if seconds and seconds % length == 0:
            count = seconds // length
            return f"every {word}" if count == 1 else f"every {count} {word}s"
    return f"every {seconds} s" if seconds else "when asked for"


def _number(text: str) -> int:
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 10 else 0  # noqa: PLR2004  # fits the column


def _plain(value: Any) -> Any:
    return getattr(value, "pk", value)
