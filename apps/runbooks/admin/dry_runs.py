"""Dry runs in the admin: choose a runbook, fill in its parameters, see everything it would do, then ask for it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import URLPattern, path, reverse
from django.views.decorators.http import require_http_methods

from apps.foundation.errors import DomainError, Forbidden, NotFound
from apps.incidents.models import Incident
from apps.incidents.queries import visible_to as visible_incidents
from apps.people.admin.base import PortalModelAdmin, ReadOnlyAdmin, request_actor
from apps.people.models import User
from apps.runbooks.admin.asking import Ask, Given, ask_or_do, fresh, is_key
from apps.runbooks.admin.desk import runbook_rows, suggested
from apps.runbooks.admin.dry_run_page import dry_run_view
from apps.runbooks.admin.schema_form import form_of, read_parameters
from apps.runbooks.documents import InvalidRunbook, read_document
from apps.runbooks.models import DryRun, Execution, Runbook
from apps.runbooks.operations.executing import start
from apps.runbooks.permissions import user_may_execute, user_may_look
from apps.runbooks.planning import make_dry_run
from apps.runbooks.queries import visible_dry_runs, visible_runbooks

MOST_OFFERED = 100
_ASKING = ["GET", "HEAD", "POST"]


@admin.register(DryRun)
class DryRunAdmin(ReadOnlyAdmin, PortalModelAdmin):
    """Read only, and reached by links: from incidents, runbooks and executions."""

    list_display = ("runbook", "incident", "requested_by_name", "made_at")
    list_filter = ()
    list_per_page = 50
    search_fields = ("runbook__name", "incident__number", "requested_by_name")
    ordering = ("-made_at", "-id")
    actions = None

    def get_queryset(self, request: HttpRequest) -> QuerySet[DryRun]:
        rows = visible_dry_runs(request.user).order_by(*self.ordering)
        return rows.select_related("runbook", "incident").defer("steps", "targets")

    def has_module_permission(self, request: HttpRequest) -> bool:
        return self.has_view_permission(request)

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        if not request.user.is_active:
            return False
        rows = visible_dry_runs(request.user)
        if obj is not None:
            return rows.filter(pk=obj.pk).exists()
        return request.user.has_perm("runbooks.view_dryrun") or rows.exists()

    def get_urls(self) -> list[URLPattern]:
        def page(route: str, view: Any, name: str) -> URLPattern:
            allowed = require_http_methods(_ASKING)(view)
            found: URLPattern = path(route, self.admin_site.admin_view(allowed), name=f"runbooks_dryrun_{name}")
            return found

        own = [
            page("new/", self.new_page, "new"),
            page("<int:object_id>/start/", self.start_page, "start"),
        ]
        return [*own, *super().get_urls()]

    # --- choosing and looking ---

    def new_page(self, request: HttpRequest) -> HttpResponse:
        """Which runbook, with which parameters; a POST looks and leads to what was found."""
        incident = self._incident(request)
        if not request.GET.get("runbook"):
            return self._offer(request, incident)
        runbook = self._runbook(request)
        schema = _schema(runbook)
        if request.method != "POST":
            return self._form(request, runbook, incident, schema, {})
        parameters, errors = read_parameters(schema, request.POST)
        if errors:
            return self._form(request, runbook, incident, schema, errors, status=400)
        try:
            found = make_dry_run(
                runbook.pk,
                parameters,
                incident_id=incident.pk if incident is not None else None,
                actor=request_actor(request),
            )
        except NotFound as error:
            raise Http404 from error
        except Forbidden as error:
            raise PermissionDenied(error.message) from error
        except DomainError as error:
            told = {"": error.message} | _by_field(error.fields)
            return self._form(request, runbook, incident, schema, told, status=error.http_status)
        return HttpResponseRedirect(reverse("admin:runbooks_dryrun_change", args=[found.pk]))

    def _offer(self, request: HttpRequest, incident: Incident | None) -> HttpResponse:
        rows = runbook_rows(suggested(incident, request.user)[:MOST_OFFERED], incident, request.user)
        context = {
            **self.admin_site.each_context(request),
            "title": "Which runbook?",
            "runbooks": rows,
            "incident": incident,
        }
        return fresh(render(request, "runbooks/choose.html", context))

    def _form(
        self,
        request: HttpRequest,
        runbook: Runbook,
        incident: Incident | None,
        schema: Any,
        errors: Mapping[str, str],
        *,
        status: int = 200,
    ) -> HttpResponse:
        sent = request.POST if request.method == "POST" else None
        context = {
            **self.admin_site.each_context(request),
            "title": f"Dry run: {runbook.name}",
            "runbook": runbook,
            "incident": incident,
            "fields": form_of(schema, sent, errors),
            "error": errors.get("", ""),
            "action": request.get_full_path(),
        }
        return fresh(render(request, "runbooks/parameters.html", context, status=status))

    # --- what was found ---

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Everything that an execution would do, problems first."""
        if request.method not in {"GET", "HEAD"}:
            raise PermissionDenied
        dry_run = self._find(request, object_id)
        context = {
            **self.admin_site.each_context(request),
            "title": f"Dry run of {dry_run.runbook.name}",
            "view": dry_run_view(dry_run, request),
        }
        return fresh(render(request, "runbooks/dry_run.html", context))

    def start_page(self, request: HttpRequest, object_id: int) -> HttpResponse:
        """Ask for exactly what this dry run showed."""
        dry_run = self._find(request, str(object_id))
        if not isinstance(request.user, User) or not user_may_execute(request.user, dry_run.runbook):
            raise PermissionDenied
        view = dry_run_view(dry_run, request)
        lead = (
            "A second person sees exactly these steps and this difference, and approves or refuses. If anything has "
            "changed by the start, the approval is void."
            if view.needs_approval
            else "No approval is needed. Nothing changes before you start it on the next page."
        )
        ask = Ask(
            title=f"Ask for an approval of {view.title}?" if view.needs_approval else f"Go on with {view.title}?",
            action=reverse("admin:runbooks_dryrun_start", args=[dry_run.pk]),
            back=reverse("admin:runbooks_dryrun_change", args=[dry_run.pk]),
            submit="Request approval" if view.needs_approval else "Go on",
            icon="how_to_reg" if view.needs_approval else "play_arrow",
            lead=lead,
            reason_hint="Purchases fail since the drop rates were changed at 02:40",
        )

        def do(given: Given) -> Execution:
            return start(dry_run.pk, reason=given.reason, actor=request_actor(request))

        return ask_or_do(
            request,
            ask,
            do,
            done=lambda execution: f"{execution}: {execution.get_state_display().lower()}.",
            to=lambda execution: reverse("admin:runbooks_execution_change", args=[execution.pk]),
        )

    # --- rows ---

    def _find(self, request: HttpRequest, object_id: str) -> DryRun:
        """The dry run, or 404: for what does not exist and for what this person may not see alike."""
        if not is_key(object_id):
            raise Http404
        rows = visible_dry_runs(request.user).select_related("runbook", "runbook_version__runbook", "incident")
        found = rows.filter(pk=int(object_id)).first()
        if found is None:
            raise Http404("There is no such dry run, or you may not see it.")
        return found

    def _incident(self, request: HttpRequest) -> Incident | None:
        asked = request.GET.get("incident", "")
        if not asked:
            return None
        found = visible_incidents(request.user).filter(pk=int(asked)).first() if is_key(asked) else None
        if found is None:
            raise Http404("There is no such incident, or you may not see it.")
        return found

    def _runbook(self, request: HttpRequest) -> Runbook:
        """A runbook that can be looked at: 404 where it is hidden or has no version, 403 for who only sees it."""
        asked = request.GET["runbook"]
        rows = visible_runbooks(request.user).filter(active_version__isnull=False).exclude(state=Runbook.State.RETIRED)
        found: Runbook | None = (
            rows.select_related("active_version", "owner").filter(pk=int(asked)).first() if is_key(asked) else None
        )
        if found is None:
            raise Http404("There is no such runbook, or it has no active version.")
        if not isinstance(request.user, User) or not user_may_look(request.user, found):
            raise PermissionDenied
        return found


def _schema(runbook: Runbook) -> Any:
    """The parameters in their author's order, which only the text keeps."""
    version = runbook.active_version
    if version is None:
        return {}
    try:
        return read_document(version.text).parameters
    except InvalidRunbook:
        return version.content.get("parameters")


def _by_field(fields: Mapping[str, list[str]]) -> dict[str, str]:
    """Messages by the name of the parameter that the form shows: `parameters.limits[2].name` belongs to `limits`."""
    found: dict[str, str] = {}
    for place, lines in fields.items():
        name = place.removeprefix("parameters").lstrip(".").split(".", maxsplit=1)[0].split("[", maxsplit=1)[0]
        found.setdefault(name, " ".join(lines))
    return found
