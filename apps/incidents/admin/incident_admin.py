"""Incidents in the admin: the list, the read-only record, the command page and its buttons, and declaring."""

from __future__ import annotations

import json
from typing import Any, ClassVar

from django.contrib import admin, messages
from django.contrib.messages import get_messages
from django.core.exceptions import PermissionDenied
from django.db.models import Prefetch, QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import URLPattern, path, reverse
from django.utils.cache import patch_vary_headers
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from apps.foundation.clock import now
from apps.foundation.errors import DomainError, NotFound
from apps.incidents.admin import declaring
from apps.incidents.admin.actions import VERBS, Form
from apps.incidents.admin.choices import command_choices, severity_options, type_options
from apps.incidents.admin.command import command_view
from apps.incidents.admin.filters import PhaseFilter, SeverityFilter, StateFilter, TeamFilter
from apps.incidents.admin.home import home
from apps.incidents.admin.listing import ListColumns
from apps.incidents.models import Incident, Milestone, RoleAssignment, TimelineEntry
from apps.incidents.permissions import DECLARE, VIEW, authorize
from apps.incidents.queries import search, visible_to
from apps.people.admin.base import PortalModelAdmin, ReadOnlyAdmin, ReadOnlyInline, request_actor
from apps.people.permissions import user_allowed
from apps.people.zones import zone_of


class RoleInline(ReadOnlyInline):
    model = RoleAssignment
    fields = ("role", "user", "since", "until")


class MilestoneInline(ReadOnlyInline):
    model = Milestone
    fields = ("name", "at", "cycle", "marked_by")


class TimelineInline(ReadOnlyInline):
    model = TimelineEntry
    fields = ("seq", "at", "kind", "text", "author_name")
    ordering = ("seq",)


@admin.register(Incident)
class IncidentAdmin(ReadOnlyAdmin, ListColumns, PortalModelAdmin):
    """Everything here is read; what changes an incident are the buttons of its command page."""

    list_display = ("severity_column", "title_column", "phase_column", "commander_column", "since_column", "team")
    list_display_links = None
    list_filter = (StateFilter, SeverityFilter, PhaseFilter, TeamFilter)
    list_filter_sheet = True
    list_before_template = "incidents/list_before.html"
    list_per_page = 50
    search_fields = ("number", "title", "summary")
    search_help_text = "Number, title, summary or service"
    ordering = ("severity_rank", "-declared_at", "-id")
    actions = None
    inlines: ClassVar = [RoleInline, MilestoneInline, TimelineInline]
    fieldsets: ClassVar = [
        (
            None,
            {"fields": ["number", "title", "summary", "kind", "severity", "type", "subtype", "phase", "visibility"]},
        ),
        ("Where", {"fields": ["team", "services", "environment", "policy_version", "source", "declared_by"]}),
        (
            "When",
            {
                "fields": [
                    "detected_at",
                    "declared_at",
                    "acknowledged_at",
                    "resolve_proposed_at",
                    "resolved_at",
                    "reopened_count",
                ]
            },
        ),
    ]
    change_form_before_template = "incidents/record_before.html"

    # --- who sees which ---

    def get_queryset(self, request: HttpRequest) -> QuerySet[Incident]:
        held = RoleAssignment.objects.filter(until__isnull=True).select_related("user")
        return visible_to(request.user).select_related("team").prefetch_related(
            Prefetch("roles", queryset=held, to_attr="held_roles")
        )  # fmt: skip

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Incident], search_term: str
    ) -> tuple[QuerySet[Incident], bool]:
        return search(queryset, search_term), False

    def has_module_permission(self, request: HttpRequest) -> bool:
        return self.has_view_permission(request)

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        if not request.user.is_active:
            return False
        if obj is None and request.user.has_perm("incidents.view_incident"):
            return True
        rows = visible_to(request.user)
        return rows.filter(pk=obj.pk).exists() if obj is not None else rows.exists()

    # --- pages ---

    def get_urls(self) -> list[URLPattern]:
        def page(route: str, view: Any, name: str) -> URLPattern:
            found: URLPattern = path(route, self.admin_site.admin_view(view), name=f"incidents_incident_{name}")
            return found

        own = [
            page("home/", require_safe(self.home_page), "home"),
            page("declare/", require_http_methods(["GET", "HEAD", "POST"])(self.declare_page), "declare"),
            page("declare/alike/", require_safe(self.alike_part), "alike"),
            page("declare/severities/", require_safe(self.severities_part), "severities"),
            page("<int:object_id>/command/", require_safe(self.command_page), "command"),
            page("<int:object_id>/command/live/", require_safe(self.live_part), "live"),
            page("<int:object_id>/command/<slug:verb>/", require_POST(self.act), "act"),
        ]
        return [*own, *super().get_urls()]

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        shown = {
            "title": "Incidents",
            "quick_filters": StateFilter.links(request, reverse("admin:incidents_incident_changelist")),
            "declare_url": reverse("admin:incidents_incident_declare"),
            "may_declare": user_allowed(request.user, DECLARE),
        }
        return super().changelist_view(request, {**shown, **(extra_context or {})})

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        shown = {"command_url": f"{reverse('admin:incidents_incident_changelist')}{object_id}/command/"}
        found: HttpResponse = super().change_view(request, object_id, form_url, {**shown, **(extra_context or {})})
        return found

    def home_page(self, request: HttpRequest) -> HttpResponse:
        """The live part of the home page, alone."""
        return _fresh(render(request, "incidents/home/_live.html", {"home": home(request)}))

    def command_page(self, request: HttpRequest, object_id: int) -> HttpResponse:
        """Everything about one incident; with `?open=` a dialog stands open for browsers without scripts."""
        incident = self._find(request, object_id)
        at, zone = now(), zone_of(request.user)
        context = {
            **self.admin_site.each_context(request),
            "title": incident.number,
            "view": command_view(incident, request, list(VERBS)),
            "choices": command_choices(incident, request.user, zone, at),
            "dialog": request.GET.get("open", ""),
            "dialog_role": request.GET.get("role", ""),
        }
        return _fresh(render(request, "incidents/command/page.html", context))

    def live_part(self, request: HttpRequest, object_id: int) -> HttpResponse:
        """What changed: every region of the page, and the timeline after `?after=`."""
        return self._live(request, self._find(request, object_id))

    def act(self, request: HttpRequest, object_id: int, verb: str) -> HttpResponse:
        """One button. Calls one operation, then shows the page anew, or only its changed regions for htmx."""
        if verb not in VERBS:
            raise Http404
        found = self._find(request, object_id)
        form = Form(object_id, request.POST, request_actor(request), zone_of(request.user))
        done = False
        try:
            if VERBS[verb].needs != VIEW:
                authorize(form.actor, found, VERBS[verb].needs)
            text = VERBS[verb].done(VERBS[verb].run(form))
        except NotFound as error:
            if not error.fields:
                raise Http404 from error
            _tell(request, error)
        except DomainError as error:
            _tell(request, error)
        else:
            done = True
            if text:
                messages.success(request, text)
        if not _by_htmx(request):
            return HttpResponseRedirect(self._after(request, object_id))
        incident = visible_to(request.user).filter(pk=object_id).first()
        if incident is None:
            answer = HttpResponse()
            answer["HX-Redirect"] = reverse("admin:incidents_incident_changelist")
            return answer
        answer = self._live(request, self._find(request, object_id))
        answer["HX-Trigger"] = json.dumps({"portal:acted": {"verb": verb, "done": done}})
        return answer

    def declare_page(self, request: HttpRequest) -> HttpResponse:
        """The form, and what it sends."""
        self._require_declare(request)
        errors: dict[str, str] = {}
        if request.method == "POST":
            try:
                incident = declaring.declare(request.POST, request_actor(request))
            except DomainError as error:
                errors = {"": error.message} | {name: lines[0] for name, lines in error.fields.items()}
            else:
                messages.success(request, f"{incident.number} is open.")
                return HttpResponseRedirect(reverse("admin:incidents_incident_command", args=[incident.pk]))
        data = request.POST if request.method == "POST" else request.GET
        context = {
            **self.admin_site.each_context(request),
            "title": "Declare an incident",
            "view": declaring.declare_view(data, request.user, errors=errors),
        }
        return _fresh(render(request, "incidents/declare/page.html", context, status=400 if errors else 200))

    def alike_part(self, request: HttpRequest) -> HttpResponse:
        """Open incidents like the one being typed."""
        self._require_declare(request)
        return _fresh(
            render(request, "incidents/declare/_alike.html", {"alike": declaring.alike(request.GET, request.user)})
        )

    def severities_part(self, request: HttpRequest) -> HttpResponse:
        """The severities of the pack that the chosen team or service follows."""
        self._require_declare(request)
        version = declaring.version_for(request.GET, request.user)
        options = severity_options(version.pk, request.GET.get("severity", ""))
        types = type_options(version.pk, request.GET.get("type", ""))
        context = {"severities": options, "types": types, "pack": str(version)}
        return _fresh(render(request, "incidents/declare/_severities.html", context))

    # --- parts ---

    def _find(self, request: HttpRequest, object_id: int) -> Incident:
        """The incident, or 404: for what does not exist and for what this person may not see alike."""
        rows = visible_to(request.user).select_related("team", "environment", "policy_version__pack", "declared_by")
        incident = rows.prefetch_related("services").filter(pk=object_id).first()
        if incident is None:
            raise Http404("There is no such incident, or you may not see it.")
        return incident

    def _live(self, request: HttpRequest, incident: Incident) -> HttpResponse:
        given = request.POST.get("after") or request.GET.get("after") or "0"
        after = int(given) if given.isascii() and given.isdecimal() and len(given) < 10 else 0  # noqa: PLR2004  # fits
        context = {
            "view": command_view(incident, request, list(VERBS), after=after),
            "toasts": list(get_messages(request)),
            "oob": True,
        }
        return _fresh(render(request, "incidents/command/_live.html", context))

    def _after(self, request: HttpRequest, object_id: int) -> str:
        """Back to home for buttons that stand there, else to the command page."""
        if request.POST.get("next") == "home":
            return reverse("admin:index")
        return reverse("admin:incidents_incident_command", args=[object_id])

    def _require_declare(self, request: HttpRequest) -> None:
        if not user_allowed(request.user, DECLARE):
            raise PermissionDenied


def _tell(request: HttpRequest, error: DomainError) -> None:
    messages.error(request, error.message)


def _by_htmx(request: HttpRequest) -> bool:
    return request.headers.get("HX-Request") == "true"


def _fresh(response: HttpResponse) -> HttpResponse:
    """These pages are never kept: they tell of now, and of what this person may see."""
    response["Cache-Control"] = "no-store"
    patch_vary_headers(response, ["HX-Request"])
    return response
