"""One version of a runbook: its steps in words, its text, what it changes, and the button that activates it."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseNotAllowed, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.views.decorators.http import require_safe
from unfold.decorators import display

from apps.approvals.models import ApprovalRequest
from apps.approvals.operations.ahead import DAYS
from apps.approvals.permissions import holds_decision
from apps.approvals.queries import standing_ahead
from apps.foundation.clock import now
from apps.people.admin.base import PortalModelAdmin, ReadOnlyAdmin, request_actor
from apps.people.models import User
from apps.runbooks import operations
from apps.runbooks.admin.asking import Ask, Choice, Given, ask_or_do
from apps.runbooks.admin.authoring_forms import ActivateForm
from apps.runbooks.admin.editor import comparison
from apps.runbooks.admin.readable import readable
from apps.runbooks.authorship import user_may_edit
from apps.runbooks.documents import Document
from apps.runbooks.models import Runbook, RunbookVersion
from apps.runbooks.nesting import runs_others
from apps.runbooks.queries import version_subject, visible_runbooks


@admin.register(RunbookVersion)
class RunbookVersionAdmin(ReadOnlyAdmin, PortalModelAdmin):
    """Versions never change: there is nothing to edit here."""

    list_display = ("shown", "state", "note", "author_name", "created_at")
    list_filter = ("runbook",)
    search_fields = ("note", "runbook__name", "runbook__slug", "author_name")

    def visible_to(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        return queryset.filter(runbook__in=visible_runbooks(request.user).order_by().values("pk"))

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        rows: QuerySet[Any] = super().get_queryset(request)
        return rows.select_related("runbook").defer("text", "content")

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        rows = visible_runbooks(request.user)
        return rows.filter(pk=obj.runbook_id).exists() if obj is not None else rows.exists()

    def has_module_permission(self, request: HttpRequest) -> bool:
        return self.has_view_permission(request)

    @display(description="Version")
    def shown(self, version: RunbookVersion) -> str:
        return str(version)

    @display(description="State", label={"active": "success"})
    def state(self, version: RunbookVersion) -> str:
        return "active" if _is_active(version) else "saved"

    def get_urls(self) -> list[URLPattern]:
        activate = self.admin_site.admin_view(self.activate_view)
        ahead = self.admin_site.admin_view(self.approve_ahead_view)
        mine = [
            path("<int:version_id>/activate/", activate, name="runbooks_runbookversion_activate"),
            path("<int:version_id>/approve-ahead/", ahead, name="runbooks_runbookversion_approve_ahead"),
        ]
        return [*mine, *super().get_urls()]

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        """One version, as people read it."""
        return _version_page(request, self, object_id)

    def history_view(self, request: HttpRequest, object_id: str, extra_context: Any = None) -> HttpResponse:
        raise Http404("A version never changes: it has no history.")

    def activate_view(self, request: HttpRequest, version_id: int) -> HttpResponse:
        """Activate; the operation checks who may."""
        if request.method != "POST":
            return HttpResponseNotAllowed(["POST"])
        version: RunbookVersion = self.row(request, str(version_id))
        if not _may_edit(request, version.runbook):
            raise PermissionDenied
        form = ActivateForm(request.POST)
        reason = form.cleaned_data["reason"] if form.is_valid() else ""
        done = "Active: dry runs and executions follow this version from now on."
        self.perform(request, operations.activate_version, version_id, reason=reason, done=done)
        return HttpResponseRedirect(reverse("admin:runbooks_runbookversion_change", args=[version_id]))

    def approve_ahead_view(self, request: HttpRequest, version_id: int) -> HttpResponse:
        """Ask for the reason and the end, then approve it ahead of time; the operation checks who may."""
        version: RunbookVersion = self.row(request, str(version_id))
        if not _may_decide(request, version):
            raise PermissionDenied
        here = reverse("admin:runbooks_runbookversion_change", args=[version_id])
        ask = Ask(
            title=f"Approve {version} ahead?",
            action=reverse("admin:runbooks_runbookversion_approve_ahead", args=[version_id]),
            back=here,
            submit="Approve ahead",
            icon="verified",
            lead=_AHEAD,
            choices=tuple(Choice(str(days), f"For {days} days", text) for days, text in _TERMS),
            chosen=str(DAYS),
            reason_hint="What you have looked at, and what it is meant for",
        )

        def do(given: Given) -> ApprovalRequest:
            until = now() + timedelta(days=int(given.choice))
            return operations.approve_version_ahead(
                version_id, reason=given.reason, until=until, actor=request_actor(request)
            )

        return ask_or_do(
            request,
            ask,
            do,
            done=lambda row: f"Approved ahead until {row.expires_at:%Y-%m-%d}.",
            to=lambda _: here,
        )


_AHEAD = (
    "Whoever may execute this runbook then does so without asking, with any parameters that this version allows: not "
    "you yourself, and no other version. It can be taken back at any time."
)
_TERMS = ((30, "About a month."), (DAYS, "About a quarter of a year."), (180, "About half a year."))


def _may_decide(request: HttpRequest, version: RunbookVersion) -> bool:
    return isinstance(request.user, User) and holds_decision(request.user, version.runbook.owner_id)


def _is_active(version: RunbookVersion) -> bool:
    return version.runbook.active_version_id == version.pk and version.runbook.state == Runbook.State.ACTIVE


def _can_be_ahead(document: Document | None) -> bool:
    return document is not None and document.approval == "required" and not runs_others(document)


def _may_edit(request: HttpRequest, runbook: Runbook) -> bool:
    return isinstance(request.user, User) and user_may_edit(request.user, runbook)


@require_safe
def _version_page(request: HttpRequest, page: RunbookVersionAdmin, object_id: str) -> HttpResponse:
    version = page.get_object(request, object_id)
    if version is None:
        raise Http404
    is_active, seen = _is_active(version), readable(version)
    context = {
        **page.admin_site.each_context(request),
        "title": f"{version.runbook.name}, version {version.number}",
        "opts": page.model._meta,
        "version": version,
        "runbook": version.runbook,
        "is_active": is_active,
        "readable": seen,
        "may_edit": _may_edit(request, version.runbook),
        "form": ActivateForm(),
        "ahead": standing_ahead(version_subject(version.pk)).order_by("expires_at"),
        "may_approve_ahead": _may_decide(request, version) and _can_be_ahead(seen.document),
    }
    if version.runbook.active_version_id not in {None, version.pk}:
        context |= comparison(version.runbook, version.text)
    return TemplateResponse(request, "runbooks/authoring/version.html", context)
