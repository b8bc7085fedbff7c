"""Executions in the admin: the list, the page on which one is followed, and its buttons."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.db.models import Prefetch, QuerySet
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.template.loader import render_to_string
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.views.decorators.http import require_http_methods, require_safe

from apps.foundation.clock import now
from apps.incidents.admin.showing import ago_text, span_text
from apps.incidents.models import Incident
from apps.incidents.queries import visible_to as visible_incidents
from apps.people.admin.base import PortalModelAdmin, ReadOnlyAdmin
from apps.runbooks.admin.asking import fresh, is_key
from apps.runbooks.admin.deeds import IncidentDeeds
from apps.runbooks.admin.execution_page import execution_view
from apps.runbooks.admin.showing import chip_of_execution, progress_of
from apps.runbooks.admin.steering import ExecutionSteering
from apps.runbooks.models import Execution, Runbook, StepRun
from apps.runbooks.queries import visible_executions, visible_runbooks

_ASKING = ["GET", "HEAD", "POST"]


class StateFilter(admin.SimpleListFilter):
    title = "state"
    parameter_name = "state"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        single = [(str(value), str(label)) for value, label in Execution.State.choices]
        return [("open", "Not over yet"), *single]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Execution]) -> QuerySet[Execution]:
        if self.value() == "open":
            return queryset.exclude(state__in=Execution.FINAL)
        return queryset.filter(state=self.value()) if self.value() else queryset


class RunbookFilter(admin.SimpleListFilter):
    """Only runbooks that the reader may see are offered."""

    title = "runbook"
    parameter_name = "runbook"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        rows: QuerySet[Runbook] = visible_runbooks(request.user)
        return [(row.slug, row.name) for row in rows.order_by("name").only("slug", "name")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Execution]) -> QuerySet[Execution]:
        return queryset.filter(runbook__slug=self.value()) if self.value() else queryset


class MineFilter(admin.SimpleListFilter):
    title = "who"
    parameter_name = "mine"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("1", "Mine")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Execution]) -> QuerySet[Execution]:
        if self.value() != "1":
            return queryset
        return queryset.filter(requested_by_id=request.user.pk) | queryset.filter(started_by_id=request.user.pk)


class IncidentFilter(admin.SimpleListFilter):
    """Only reached by links from an incident; a hidden one filters everything away."""

    title = "incident"
    parameter_name = "incident"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        asked = request.GET.get("incident", "")
        rows: QuerySet[Incident] = visible_incidents(request.user)
        found = rows.filter(pk=int(asked)).first() if is_key(asked) else None
        return [(asked, found.number if found else "one that is not there")] if asked else []

    def queryset(self, request: HttpRequest, queryset: QuerySet[Execution]) -> QuerySet[Execution]:
        asked = self.value()
        if not asked:
            return queryset
        return queryset.filter(incident_id=int(asked)) if is_key(asked) else queryset.none()


@admin.register(Execution)
class ExecutionAdmin(ReadOnlyAdmin, ExecutionSteering, IncidentDeeds, PortalModelAdmin):
    """Executions are read here; what changes one are the buttons of its page."""

    list_display = ("title_column", "state_column", "progress_column", "incident_column", "by", "when")
    list_display_links = None
    list_filter = (StateFilter, RunbookFilter, MineFilter, IncidentFilter)
    list_filter_sheet = True
    list_per_page = 50
    search_fields = ("runbook__name", "runbook__slug", "incident__number", "requested_by_name", "reason")
    search_help_text = "Runbook, incident, person or reason"
    ordering = ("-requested_at", "-id")
    actions = None

    # --- who sees which ---

    def get_queryset(self, request: HttpRequest) -> QuerySet[Execution]:
        steps = Prefetch("steps", queryset=StepRun.objects.defer("intent", "outcome"))
        rows = visible_executions(request.user).order_by(*self.ordering)
        return rows.select_related("runbook", "incident").defer("targets", "parameters").prefetch_related(steps)

    def has_module_permission(self, request: HttpRequest) -> bool:
        return self.has_view_permission(request)

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        if not request.user.is_active:
            return False
        rows = visible_executions(request.user)
        if obj is not None:
            return rows.filter(pk=obj.pk).exists()
        return request.user.has_perm("runbooks.view_execution") or rows.exists()

    # --- the list ---

    @admin.display(description="Execution", ordering="runbook__name")
    def title_column(self, execution: Execution) -> SafeString:
        address = reverse("admin:runbooks_execution_change", args=[execution.pk])
        return format_html('<a class="ip-cell-title" href="{}">{}</a>', address, str(execution))

    @admin.display(description="State", ordering="state")
    def state_column(self, execution: Execution) -> SafeString:
        return render_to_string("runbooks/_chip.html", {"chip": chip_of_execution(execution)})

    @admin.display(description="Steps")
    def progress_column(self, execution: Execution) -> str:
        found = progress_of(execution.steps.all())
        return f"{found.done} of {found.total}" if found.total else "–"

    @admin.display(description="Incident", ordering="incident")
    def incident_column(self, execution: Execution) -> SafeString | str:
        if execution.incident is None:
            return "–"
        address = reverse("admin:incidents_incident_command", args=[execution.incident.pk])
        return format_html('<a class="p-runbooks-number" href="{}">{}</a>', address, execution.incident.number)

    @admin.display(description="Asked for by", ordering="requested_by_name")
    def by(self, execution: Execution) -> str:
        return execution.requested_by_name

    @admin.display(description="When", ordering="requested_at")
    def when(self, execution: Execution) -> SafeString:
        text = ago_text(now() - execution.requested_at)
        if execution.started_at and execution.finished_at:
            text += f", took {span_text((execution.finished_at - execution.started_at).total_seconds())}"
        at = execution.requested_at
        return format_html('<time datetime="{}" title="{}">{}</time>', at.isoformat(), f"{at:%Y-%m-%d %H:%M} UTC", text)

    # --- pages ---

    def get_urls(self) -> list[URLPattern]:
        def page(route: str, view: Any, name: str) -> URLPattern:
            found: URLPattern = path(route, self.admin_site.admin_view(view), name=f"runbooks_execution_{name}")
            return found

        asking = require_http_methods(_ASKING)
        own = [
            page("<int:object_id>/live/", require_safe(self.live_part), "live"),
            page("<int:object_id>/start/", asking(self.start_page), "start"),
            page("<int:object_id>/bypass/", asking(self.bypass_page), "bypass"),
            page("<int:object_id>/cancel/", asking(self.cancel_page), "cancel"),
            page("<int:object_id>/settle/<int:step_id>/", asking(self.settle_page), "settle"),
            page("<int:object_id>/finish/<int:step_id>/", asking(self.finish_page), "finish"),
        ]
        return [*own, *self.deed_urls(), *super().get_urls()]

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        shown = {"title": "Executions"}
        found: HttpResponse = super().changelist_view(request, {**shown, **(extra_context or {})})
        return found

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """The page on which one execution is followed."""
        if request.method not in {"GET", "HEAD"}:
            raise PermissionDenied
        execution = self.find(request, object_id)
        context = {
            **self.admin_site.each_context(request),
            "title": str(execution),
            "view": execution_view(execution, request),
        }
        return fresh(render(request, "runbooks/execution.html", context))

    def live_part(self, request: HttpRequest, object_id: int) -> HttpResponse:
        """What changes while it is at work, alone."""
        view = execution_view(self.find(request, str(object_id)), request)
        return fresh(render(request, "runbooks/_execution.html", {"view": view}))

    def find(self, request: HttpRequest, object_id: str) -> Execution:
        """The execution, or 404: for what does not exist and for what this person may not see alike."""
        if not is_key(object_id):
            raise Http404
        rows = visible_executions(request.user).select_related(
            "runbook", "runbook_version__runbook", "incident", "dry_run", "approval", "started_by"
        )
        found: Execution | None = rows.filter(pk=int(object_id)).first()
        if found is None:
            raise Http404("There is no such execution, or you may not see it.")
        return found
