"""The editor of a runbook's text: problems with their lines, the diff to the active version, then saving."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.views.decorators.http import require_http_methods

from apps.foundation.errors import DomainError
from apps.people.admin.base import PortalModelAdmin, request_actor
from apps.policies import diffs
from apps.policies.admin.packs import shown_problems
from apps.policies.sections import Problem
from apps.runbooks import operations
from apps.runbooks.admin.authoring_forms import TextForm
from apps.runbooks.documents import InvalidRunbook, normalized, problems_of, read_content
from apps.runbooks.models import Runbook, RunbookVersion

STARTER = """title: {name}
approval: required

parameters:
  type: object
  properties: {{}}

steps:
  - slug: look
    name: Look at the service
    kind: manual
    with:
      instructions: Say here what a person does.
"""


@require_http_methods(["GET", "HEAD", "POST"])
def editor_view(request: HttpRequest, page: PortalModelAdmin, runbook: Runbook) -> HttpResponse:
    """Check and save a text. `Check` shows the problems, or the diff to the active version, and saves nothing."""
    text = _base_text(request, runbook)
    initial = {"text": text, "version": runbook.version}
    form = TextForm(request.POST) if request.method == "POST" else TextForm(initial=initial)
    problems: list[Problem] = []
    checked = False
    if request.method == "POST" and form.is_valid():
        text = form.cleaned_data["text"]
        problems, checked = problems_of(text), True
        if "save" in request.POST and not problems:
            version = _save(request, runbook, form.cleaned_data)
            if version is not None:
                url = reverse("admin:runbooks_runbookversion_change", args=[version.pk])
                return HttpResponseRedirect(url)
    context = {
        **page.admin_site.each_context(request),
        "title": f"Edit {runbook.name}",
        "opts": page.model._meta,
        "runbook": runbook,
        "form": form,
        "checked": checked,
        "problems": shown_problems(normalized(text), problems),
        "problem_count": len(problems),
        **(comparison(runbook, text) if checked and not problems else {}),
    }
    return TemplateResponse(request, "runbooks/authoring/editor.html", context, status=400 if problems else 200)


def _save(request: HttpRequest, runbook: Runbook, given: dict[str, Any]) -> RunbookVersion | None:
    try:
        version = operations.save_version(
            runbook.pk,
            given["text"],
            note=given["note"],
            activate=given["activate"],
            expected_version=given["version"],
            actor=request_actor(request),
        )
    except DomainError as error:
        messages.error(request, error.message)
        return None
    messages.success(request, f"Version {version.number} is saved{' and active' if given['activate'] else ''}.")
    return version


def _base_text(request: HttpRequest, runbook: Runbook) -> str:
    named = request.GET.get("from", "")
    versions = RunbookVersion.objects.filter(runbook=runbook)
    if named:
        if not (named.isascii() and named.isdecimal() and len(named) <= 18):  # noqa: PLR2004  # fits a bigint
            raise Http404
        found = versions.filter(pk=int(named)).first()
        if found is None:
            raise Http404
        return found.text
    base = versions.filter(pk=runbook.active_version_id or 0).first() or versions.order_by("-number").first()
    return base.text if base else STARTER.format(name=runbook.name)


def comparison(runbook: Runbook, text: str) -> dict[str, Any]:
    """How a valid text differs from the active version."""
    active = RunbookVersion.objects.filter(pk=runbook.active_version_id or 0).first()
    if active is None:
        return {"compared_with": None}
    try:
        content = read_content(text)[1]
    except InvalidRunbook:
        return {"compared_with": None}
    return {
        "compared_with": active,
        "differences": diffs.structural(active.content, content),
        "lines": diffs.lines(active.text, normalized(text), names=(f"version {active.number}", "this text")),
    }
