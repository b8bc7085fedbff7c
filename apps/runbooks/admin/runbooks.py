"""Runbooks in the admin: the list with how they fared, one runbook with its active text, and what is said about it."""

from __future__ import annotations

from typing import Any, ClassVar

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.db.models import Count, Max, OuterRef, Q, QuerySet, Subquery
from django.db.models.functions import Coalesce
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html
from django.views.decorators.http import require_safe
from unfold.decorators import display

from apps.catalog.admin.grants import save_grants
from apps.catalog.admin.saving import OperatingAdmin, changed_fields
from apps.catalog.permissions import leads_any_team
from apps.catalog.queries import led_team_ids
from apps.people.admin.base import request_actor
from apps.people.models import User
from apps.runbooks import operations
from apps.runbooks.admin.authoring_forms import ReasonForm, RunbookForm
from apps.runbooks.admin.editor import editor_view
from apps.runbooks.admin.grants import RunbookGroupGrants, RunbookUserGrants
from apps.runbooks.admin.readable import readable
from apps.runbooks.authorship import ADD, CHANGE, user_may_edit
from apps.runbooks.models import DryRun, Execution, Runbook, RunbookVersion
from apps.runbooks.operations.grants import grant_runbook, revoke_runbook
from apps.runbooks.permissions import user_may_look
from apps.runbooks.queries import visible_executions, visible_runbooks
from apps.runbooks.statistics import checklist_of, review_due_at, statistics_of

_FIELDS = {
    "name": "name",
    "description": "description",
    "category": "category",
    "owner": "owner_id",
    "services": "service_ids",
}
LATEST_SHOWN = 8


def _latest(model: Any, field: str) -> Subquery:
    rows = model.objects.filter(runbook=OuterRef("pk")).order_by().values("runbook")
    return Subquery(rows.annotate(latest=Max(field)).values("latest"))


def _counted(condition: Q) -> Coalesce:
    rows = Execution.objects.filter(condition, runbook=OuterRef("pk")).order_by().values("runbook")
    return Coalesce(Subquery(rows.annotate(found=Count("pk")).values("found")), 0)


@admin.register(Runbook)
class RunbookAdmin(OperatingAdmin):
    """Managers write all of them, leads those of their team. Its text changes only by a new version."""

    form = RunbookForm
    list_display = ("name", "category", "owner", "shown_state", "active", "last_used", "last_dry_run", "success")
    list_filter = ("state", "owner", "category")
    search_fields = ("name", "slug", "description", "category")
    ordering = ("name",)
    inlines: ClassVar[list[Any]] = [RunbookUserGrants, RunbookGroupGrants]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        rows = visible_runbooks(request.user).select_related("owner", "active_version").order_by(*self.ordering)
        found: QuerySet[Any] = rows.defer("active_version__text", "active_version__content").annotate(
            used_at=_latest(Execution, "started_at"),
            looked_at=_latest(DryRun, "made_at"),
            ended_count=_counted(Q(state__in=["succeeded", "undone", "failed"])),
            succeeded_count=_counted(Q(state="succeeded")),
        )
        return found

    # --- the list ---

    @display(description="State", ordering="state", label={"active": "success", "draft": "info", "retired": "warning"})
    def shown_state(self, runbook: Runbook) -> str:
        return runbook.state

    @display(description="Active version")
    def active(self, runbook: Runbook) -> str:
        if runbook.active_version is None:
            return "–"
        url = reverse("admin:runbooks_runbookversion_change", args=[runbook.active_version.pk])
        return format_html('<a href="{}">version {}</a>', url, runbook.active_version.number)

    @display(description="Last used", ordering="used_at")
    def last_used(self, runbook: Any) -> Any:
        return runbook.used_at or "never"

    @display(description="Last dry run", ordering="looked_at")
    def last_dry_run(self, runbook: Any) -> Any:
        return runbook.looked_at or "never"

    @display(description="Succeeded")
    def success(self, runbook: Any) -> str:
        if not runbook.ended_count:
            return "–"
        percent = round(100 * runbook.succeeded_count / runbook.ended_count)
        return f"{percent} % of {runbook.ended_count}"

    # --- who ---

    def has_module_permission(self, request: HttpRequest) -> bool:
        return self.has_view_permission(request)

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        rows = visible_runbooks(request.user)
        if obj is not None:
            return rows.filter(pk=obj.pk).exists()
        return request.user.has_perm("runbooks.view_runbook") or rows.exists()

    def has_add_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm(ADD) or leads_any_team(request.user)

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        if obj is None:
            return self.has_add_permission(request)
        return isinstance(request.user, User) and user_may_edit(request.user, obj)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    # --- forms ---

    def get_prepopulated_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        return {"slug": ("name",)} if obj is None else {}

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> list[str]:
        found = super().get_readonly_fields(request, obj)
        if obj is None:
            return found
        # To another team only with the permission for all.
        return [*found, "slug", *([] if request.user.has_perm(CHANGE) else ["owner"])]

    def formfield_for_foreignkey(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        if db_field.name == "owner" and isinstance(request.user, User) and not request.user.has_perm(ADD):
            teams = db_field.related_model._default_manager
            kwargs["queryset"] = teams.filter(pk__in=led_team_ids(request.user.pk))
        return super().formfield_for_foreignkey(db_field, request, **kwargs)

    def create(self, request: HttpRequest, form: Any) -> Runbook:
        given = form.cleaned_data
        return operations.create_runbook(
            given["slug"],
            given["name"],
            owner_id=given["owner"].pk,
            description=given["description"],
            category=given["category"],
            service_ids=[row.pk for row in given["services"]],
            actor=request_actor(request),
        )

    def update(self, request: HttpRequest, obj: Any, form: Any) -> Runbook:
        changes = changed_fields(form, _FIELDS)
        if "service_ids" in changes:
            changes["service_ids"] = [row.pk for row in changes["service_ids"]]
        return operations.edit_runbook(obj.pk, **changes, actor=request_actor(request)) if changes else obj

    def save_children(self, request: HttpRequest, parent: Any, formset: Any) -> None:
        save_grants(request, parent, formset, grant_runbook, revoke_runbook)

    def response_post_save_add(self, request: HttpRequest, obj: Any) -> HttpResponse:
        return HttpResponseRedirect(reverse("admin:runbooks_runbook_text", args=[obj.pk]))

    def response_post_save_change(self, request: HttpRequest, obj: Any) -> HttpResponse:
        return self.go_to_row(request, str(obj.pk))

    # --- pages ---

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view
        mine = [
            path("<int:object_id>/details/", view(self.details_view), name="runbooks_runbook_details"),
            path("<int:object_id>/text/", view(self.text_view), name="runbooks_runbook_text"),
            path("<int:object_id>/retire/", view(self.retire_view), name="runbooks_runbook_retire"),
            path("<int:object_id>/review/", view(self.review_view), name="runbooks_runbook_review"),
        ]
        return [*mine, *super().get_urls()]

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        """One runbook: what it does now, how it fared, its versions. There is nothing to post here."""
        return _runbook_page(request, self, object_id)

    def details_view(self, request: HttpRequest, object_id: int) -> HttpResponse:
        """The form of what is said about it."""
        self._editable(request, object_id)
        found: HttpResponse = super().change_view(request, str(object_id))
        return found

    def text_view(self, request: HttpRequest, object_id: int) -> HttpResponse:
        """The editor with the text of the active version, or of the one that `?from=` names."""
        return editor_view(request, self, self._editable(request, object_id))

    def retire_view(self, request: HttpRequest, object_id: int) -> HttpResponse:
        """Take it out of use for the reason that was posted."""
        runbook = self._editable(request, object_id)
        form = ReasonForm(request.POST)
        reason = form.cleaned_data["reason"] if request.method == "POST" and form.is_valid() else ""
        if request.method == "POST":
            self.perform(request, operations.retire, runbook.pk, reason=reason, done="Retired: nobody can execute it.")
        return self.go_to_row(request, str(object_id))

    def review_view(self, request: HttpRequest, object_id: int) -> HttpResponse:
        """Somebody has read it and says that it is right."""
        runbook = self._editable(request, object_id)
        if request.method == "POST":
            self.perform(request, operations.review, runbook.pk, done="Reviewed: it is right.")
        return self.go_to_row(request, str(object_id))

    def _editable(self, request: HttpRequest, object_id: int) -> Runbook:
        runbook: Runbook = self.row(request, str(object_id))
        if not self.has_change_permission(request, runbook):
            raise PermissionDenied
        return runbook


@require_safe
def _runbook_page(request: HttpRequest, page: RunbookAdmin, object_id: str) -> HttpResponse:
    runbook = page.get_object(request, object_id)
    if runbook is None:
        raise Http404
    user: Any = request.user
    active = RunbookVersion.objects.filter(pk=runbook.active_version_id or 0).first()
    versions = RunbookVersion.objects.filter(runbook=runbook).defer("text", "content").order_by("-number")
    executions = visible_executions(user).filter(runbook=runbook).select_related("incident", "runbook_version")
    seen = readable(active) if active else None
    fared = statistics_of(runbook)
    context = {
        **page.admin_site.each_context(request),
        "title": runbook.name,
        "opts": page.model._meta,
        "runbook": runbook,
        "active": active,
        "readable": seen,
        "statistics": fared.rows(),
        "paces": fared.steps,
        "checklist": checklist_of(runbook, seen.document) if seen and seen.document else [],
        "review_due_at": review_due_at(runbook, seen.document) if seen else None,
        "versions": versions,
        "executions": executions.order_by("-requested_at")[:LATEST_SHOWN],
        "services": runbook.services.order_by("name"),
        "may_edit": page.has_change_permission(request, runbook),
        "may_look": isinstance(user, User) and user_may_look(user, runbook),
        "form": ReasonForm(),
    }
    return TemplateResponse(request, "runbooks/authoring/runbook.html", context)
