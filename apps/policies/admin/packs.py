"""The list of packs, one pack with its versions, and the editor."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import Count, QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html
from django.views.decorators.http import require_http_methods, require_safe
from unfold.decorators import display

from apps.foundation.errors import DomainError
from apps.people.admin.base import PortalModelAdmin, request_actor
from apps.policies import diffs, operations
from apps.policies.activation import followers_of
from apps.policies.admin.forms import EditorForm
from apps.policies.models import PolicyPack, PolicyVersion
from apps.policies.sections import Problem

_AROUND = 2
_LONGEST_LINE = 160


@dataclass(frozen=True, slots=True)
class NumberedLine:
    """A line of a text. `pointer` is as many spaces as stand before the mistake; None on lines without one."""

    number: int
    text: str
    pointer: str | None = None


@dataclass(frozen=True, slots=True)
class ShownProblem:
    """A problem with the line of text that it is in, and the lines around it."""

    problem: Problem
    excerpt: str
    around: tuple[NumberedLine, ...] = ()


def shown_problems(text: str, problems: list[Problem]) -> list[ShownProblem]:
    """Problems for the page, with their lines; at most `MOST_SHOWN`."""
    rows = text.replace("\r\n", "\n").split("\n")
    return [
        ShownProblem(
            problem,
            rows[problem.line - 1].strip()[:_LONGEST_LINE] if 0 < problem.line <= len(rows) else "",
            _around(rows, problem),
        )
        for problem in problems[: operations.MOST_SHOWN]
    ]


def _around(rows: list[str], problem: Problem) -> tuple[NumberedLine, ...]:
    """The line of a problem with two before and two after; none where it is about the text as a whole."""
    if not 0 < problem.line <= len(rows):
        return ()
    first, last = max(1, problem.line - _AROUND), min(len(rows), problem.line + _AROUND)
    pointed = " " * (problem.column - 1) if 0 < problem.column <= _LONGEST_LINE else None
    return tuple(
        NumberedLine(number, rows[number - 1][:_LONGEST_LINE], pointed if number == problem.line else None)
        for number in range(first, last + 1)
    )


@admin.register(PolicyPack)
class PackAdmin(PortalModelAdmin):
    """Packs change only by importing and activating versions."""

    list_display = ("name", "slug", "active", "version_count")
    search_fields = ("name", "slug")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        rows: QuerySet[Any] = super().get_queryset(request)
        found: QuerySet[Any] = (
            rows.select_related("active_version")
            .defer("active_version__text", "active_version__document")
            .annotate(version_count=Count("versions"))
        )
        return found

    @display(description="Active version")
    def active(self, pack: PolicyPack) -> str:
        if pack.active_version is None:
            return "none"
        url = reverse("admin:policies_policyversion_change", args=[pack.active_version.pk])
        return format_html('<a href="{}">version {}</a>', url, pack.active_version.number)

    @display(description="Versions", ordering="version_count")
    def version_count(self, pack: Any) -> int:
        return int(pack.version_count)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view
        mine = [
            path("import/", view(self.import_view), name="policies_policypack_import"),
            path("<int:pack_id>/edit/", view(self.edit_view), name="policies_policypack_edit"),
        ]
        return [*mine, *super().get_urls()]

    def add_view(self, request: HttpRequest, form_url: str = "", extra_context: Any = None) -> HttpResponse:
        return HttpResponseRedirect(reverse("admin:policies_policypack_import"))

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        """One pack: what it is, its notes, and its versions. There is nothing to post here."""
        return _safe_pack_view(request, self, object_id)

    def import_view(self, request: HttpRequest) -> HttpResponse:
        """The editor with an empty text."""
        return _editor(request, self, None, "")

    def edit_view(self, request: HttpRequest, pack_id: int) -> HttpResponse:
        """The editor with the text of the active version, or of the one that `?from=` names."""
        pack = get_object_or_404(self.get_queryset(request), pk=pack_id)
        named = request.GET.get("from", "")
        if named and not (named.isascii() and named.isdecimal() and len(named) <= 18):  # noqa: PLR2004  # fits a bigint
            raise Http404
        versions = PolicyVersion.objects.filter(pack=pack)
        base = versions.filter(pk=int(named) if named else pack.active_version_id).first()
        if base is None and named:
            raise Http404
        base = base or versions.order_by("-number").first()
        return _editor(request, self, pack, base.text if base else "")


@require_safe
def _safe_pack_view(request: HttpRequest, page: PackAdmin, object_id: str) -> HttpResponse:
    pack = page.get_object(request, object_id)
    if pack is None:
        raise Http404
    if not page.has_view_permission(request, pack):
        raise PermissionDenied
    active = pack.active_version
    versions = pack.versions.select_related("author").defer("text", "document")
    head = PolicyVersion.objects.filter(pk=active.pk).values_list("document__pack", flat=True).first() if active else {}
    context = {
        **page.admin_site.each_context(request),
        "title": pack.name,
        "opts": page.model._meta,
        "pack": pack,
        "notes": (head or {}).get("notes", []),
        "versions": versions,
        "followers": followers_of(pack, request.user),
        "may_edit": request.user.has_perm("policies.add_policyversion"),
    }
    return TemplateResponse(request, "policies/pack.html", context)


@require_http_methods(["GET", "HEAD", "POST"])
def _editor(request: HttpRequest, page: PackAdmin, pack: PolicyPack | None, text: str) -> HttpResponse:
    """Check and store a text. `Check` shows the problems, or the diff against the active version, no more."""
    if not request.user.has_perm("policies.add_policyversion"):
        raise PermissionDenied
    form = EditorForm(request.POST) if request.method == "POST" else EditorForm(initial={"text": text})
    problems: list[Problem] = []
    checked = False
    if request.method == "POST" and form.is_valid():
        given = form.cleaned_data
        problems, checked = operations.validate(given["text"]), True
        if "save" in request.POST and not problems:
            try:
                version = operations.import_pack(**given, actor=request_actor(request))
            except DomainError as error:
                messages.error(request, error.message)
            else:
                messages.success(request, f"{version} is stored{' and active' if given['activate'] else ''}.")
                return HttpResponseRedirect(reverse("admin:policies_policyversion_change", args=[version.pk]))
        text = given["text"]
    context = {
        **page.admin_site.each_context(request),
        "title": f"Edit {pack.name}" if pack else "Import a pack",
        "opts": page.model._meta,
        "pack": pack,
        "form": form,
        "checked": checked,
        "problems": shown_problems(text, problems),
        "problem_count": len(problems),
        **(_comparison(text) if checked and not problems else {}),
    }
    return TemplateResponse(request, "policies/editor.html", context)


def _comparison(text: str) -> dict[str, Any]:
    """How a valid text differs from the active version of the pack that it names."""
    document = operations.checked_document(text)
    active = operations.active_of(document)
    if active is None:
        return {"compared_with": None}
    return {
        "compared_with": active,
        "differences": diffs.structural(active.document, document),
        "lines": diffs.lines(active.text, operations.normalized(text), names=(f"version {active.number}", "your text")),
    }
