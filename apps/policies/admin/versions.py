"""One version: its tables, its text, what it changes, and the button that activates it."""

from __future__ import annotations

from typing import Any

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseNotAllowed, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.views.decorators.http import require_safe
from pydantic import ValidationError
from unfold.decorators import display

from apps.people.admin.base import PortalModelAdmin, ReadOnlyAdmin
from apps.policies import diffs, operations
from apps.policies.activation import outlook
from apps.policies.admin.forms import ReasonForm
from apps.policies.models import PolicyVersion
from apps.policies.queries import summary_table, version_tables
from apps.policies.sections import Table


@admin.register(PolicyVersion)
class VersionAdmin(ReadOnlyAdmin, PortalModelAdmin):
    """Versions are immutable: there is nothing to edit here."""

    list_display = ("shown", "pack", "state", "note", "author", "created_at")
    list_filter = ("pack",)
    search_fields = ("note", "pack__name", "pack__slug")
    list_select_related = ("pack", "author")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        rows: QuerySet[Any] = super().get_queryset(request)
        return rows.select_related("pack", "author").defer("text", "document")

    @display(description="Version")
    def shown(self, version: PolicyVersion) -> str:
        return str(version)

    @display(description="State", label={"active": "success"})
    def state(self, version: PolicyVersion) -> str:
        return "active" if version.pack.active_version_id == version.pk else "stored"

    def get_urls(self) -> list[URLPattern]:
        activate = self.admin_site.admin_view(self.activate_view)
        mine = [path("<int:version_id>/activate/", activate, name="policies_policyversion_activate")]
        return [*mine, *super().get_urls()]

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        """One version, as people read it."""
        return _safe_version_view(request, self, object_id)

    def history_view(self, request: HttpRequest, object_id: str, extra_context: Any = None) -> HttpResponse:
        raise Http404("A version never changes: it has no history.")

    def history_form_view(
        self, request: HttpRequest, object_id: str, version_id: str, extra_context: Any = None
    ) -> HttpResponse:
        raise Http404("A version never changes: it has no history.")

    def activate_view(self, request: HttpRequest, version_id: int) -> HttpResponse:
        """Activate for the reason that was posted; the operation checks the permission."""
        if request.method != "POST":
            return HttpResponseNotAllowed(["POST"])
        if not request.user.has_perm("policies.change_policypack"):
            raise PermissionDenied
        form = ReasonForm(request.POST)
        reason = form.cleaned_data["reason"] if form.is_valid() else ""
        done = "Active: incidents declared from now on follow this version."
        if self.perform(request, operations.activate, version_id, reason=reason, done=done) is not None:
            version = PolicyVersion.objects.select_related("pack").get(pk=version_id)
            for caution in outlook(version, request.user).cautions:
                messages.warning(request, caution.message)
        return HttpResponseRedirect(reverse("admin:policies_policyversion_change", args=[version_id]))


@require_safe
def _safe_version_view(request: HttpRequest, page: VersionAdmin, object_id: str) -> HttpResponse:
    version = page.get_object(request, object_id)
    if version is None:
        raise Http404
    if not page.has_view_permission(request, version):
        raise PermissionDenied
    active = version.pack.active_version
    summary, tables, outdated = _tables(version)
    may_activate = request.user.has_perm("policies.change_policypack")
    is_active = active is not None and active.pk == version.pk
    context = {
        **page.admin_site.each_context(request),
        "title": f"{version.pack.name}, version {version.number}",
        "opts": page.model._meta,
        "version": version,
        "active": active,
        "is_active": is_active,
        "notes": version.document.get("pack", {}).get("notes", []),
        "summary": summary,
        "tables": tables,
        "outdated": outdated,
        "form": ReasonForm(),
        "may_activate": may_activate,
        "outlook": outlook(version, request.user) if may_activate and not outdated else None,
        "may_edit": request.user.has_perm("policies.add_policyversion"),
    }
    if active is not None and not is_active:
        names = (f"version {active.number} (active)", f"version {version.number}")
        context["differences"] = diffs.structural(active.document, version.document)
        context["lines"] = diffs.lines(active.text, version.text, names=names)
    return TemplateResponse(request, "policies/version.html", context)


def _tables(version: PolicyVersion) -> tuple[Table | None, list[tuple[str, list[Table]]], bool]:
    """The summary, the tables, and whether the text no longer fits the rules of this release (then there are none)."""
    try:
        return summary_table(version), version_tables(version), False
    except ValidationError:
        return None, [], True
