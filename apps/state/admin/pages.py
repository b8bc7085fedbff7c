"""The pages of one config document: live against the baseline, edit, compare, baseline, capture, restore."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from typing import Any

from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseNotAllowed
from django.template.response import TemplateResponse
from django.urls import reverse

from apps.foundation.errors import DomainError
from apps.people.admin.base import PortalModelAdmin, request_actor
from apps.state import operations
from apps.state.admin.forms import ContentForm, ReasonForm, RestoreForm
from apps.state.admin.showing import Diff, diff_of, diff_rows, text_of, warnings_of
from apps.state.contents import check_content, unmasked
from apps.state.live import read_live
from apps.state.models import ConfigDocument, ConfigVersion
from apps.state.permissions import APPLY, CHANGE, SET_BASELINE, may
from apps.state.queries import preview_restore, target_problems
from apps.state.schemas import as_sentence, content_problems

SHOWN_VERSIONS = 50
Page = Callable[[HttpRequest, PortalModelAdmin, int], HttpResponse]


def bound(view: Page, page: PortalModelAdmin) -> Callable[..., HttpResponse]:
    """A page as a view of this admin."""

    def run(request: HttpRequest, object_id: int) -> HttpResponse:
        return view(request, page, object_id)

    return run


def _document(request: HttpRequest, page: PortalModelAdmin, object_id: Any, permission: str = "") -> ConfigDocument:
    """The document if the reader may know of it (404) and do this to it (403)."""
    if page.get_object(request, str(object_id)) is None:
        raise Http404
    rows = ConfigDocument.objects.select_related("service__owner", "environment", "head", "baseline")
    document = rows.get(pk=object_id)
    if permission and not may(request_actor(request), document, permission):
        raise PermissionDenied
    return document


def _context(request: HttpRequest, page: PortalModelAdmin, document: ConfigDocument, title: str) -> dict[str, Any]:
    return {
        **page.admin_site.each_context(request),
        "title": title,
        "opts": page.model._meta,
        "document": document,
        "back": reverse("admin:state_configdocument_change", args=[document.pk]),
    }


def _version(request: HttpRequest, document: ConfigDocument, name: str) -> ConfigVersion | None:
    """The version that the address names; None where it names none, 404 where there is no such one."""
    given = request.GET.get(name, "")
    if not given:
        return None
    if not (given.isascii() and given.isdecimal() and len(given) <= 18):  # noqa: PLR2004  # fits a bigint
        raise Http404
    found = ConfigVersion.objects.filter(document=document, pk=int(given)).first()
    if found is None:
        raise Http404
    return found


# --- the document ---------------------------------------------------------------------------------------------------


def document_page(request: HttpRequest, page: PortalModelAdmin, object_id: Any) -> HttpResponse:
    """What is known, at once; what is live is asked by the page itself afterwards."""
    if request.method not in {"GET", "HEAD"}:
        return HttpResponseNotAllowed(["GET", "HEAD"])
    document = _document(request, page, object_id)
    actor = request_actor(request)
    versions = document.versions.defer("content").select_related("restores")
    found = list(versions.order_by("-number")[: SHOWN_VERSIONS + 1])
    head = document.head
    context = {
        **_context(request, page, document, document.name),
        "versions": found[:SHOWN_VERSIONS],
        "more_versions": len(found) > SHOWN_VERSIONS,
        "text": text_of(head.content) if head else "",
        "warnings": warnings_of(head, document.schema) if head else [],
        "may_apply": may(actor, document, APPLY),
        "may_change": may(actor, document, CHANGE),
        "may_set_baseline": may(actor, document, SET_BASELINE),
        "live": _live(document) if document.is_held_here or "live" in request.GET else None,
    }
    return TemplateResponse(request, "state/document.html", context)


def live_part(request: HttpRequest, page: PortalModelAdmin, object_id: int) -> HttpResponse:
    """The box that says what is live; the page loads it by itself, since a source may take its time."""
    document = _document(request, page, object_id)
    context = {"document": document, "live": _live(document), "may_apply": may(request_actor(request), document, APPLY)}
    return TemplateResponse(request, "state/_live.html", context)


def _live(document: ConfigDocument) -> dict[str, Any]:
    """What is live and how it differs from the baseline; or why nobody knows."""
    try:
        live = read_live(document)
    except DomainError as error:
        return {"error": error.message}
    problems = [as_sentence(entry) for entry in content_problems(document.schema, live.content)]
    baseline = document.baseline
    return {
        "version": live.source_version,
        "author": live.author,
        "problems": problems,
        "is_new": document.head is None or document.head.checksum != live.checksum,
        "diff": diff_of(baseline.content, live.content) if baseline else None,
        "canary": live.canary,
        "canary_diff": diff_of(live.content, live.canary.content) if live.canary else None,
    }


def capture_page(request: HttpRequest, page: PortalModelAdmin, object_id: int) -> HttpResponse:
    """Capture now; posted by a button."""
    if request.method != "POST":
        return HttpResponseNotAllowed(["POST"])
    document = _document(request, page, object_id)
    before = document.head_id
    found = page.perform(request, operations.capture, document.pk)
    if found is not None:
        new = found.pk != before
        page.message_user(request, f"New: version {found.number}." if new else "Nothing new: the head is live.")
    return page.go_to_row(request, str(object_id))


def compare_page(request: HttpRequest, page: PortalModelAdmin, object_id: int) -> HttpResponse:
    """Any two versions of the document side by side; the baseline and the head unless others are named."""
    document = _document(request, page, object_id)
    before = _version(request, document, "before") or document.baseline
    after = _version(request, document, "after") or document.head
    context = {
        **_context(request, page, document, f"{document.name}: compare"),
        "before": before,
        "after": after,
        "choices": list(document.versions.defer("content").order_by("-number")[:500]),
        "diff": diff_of(before.content, after.content) if before and after else None,
    }
    return TemplateResponse(request, "state/compare.html", context)


# --- what changes something -------------------------------------------------------------------------------------------


def edit_page(request: HttpRequest, page: PortalModelAdmin, object_id: int) -> HttpResponse:
    """The whole content as JSON. `Check` shows what it would change; a stale page is refused, not merged."""
    document = _document(request, page, object_id, APPLY)
    initial = {"content": text_of(document.head.content) if document.head else "{}", "note": ""}
    initial["expected_revision"] = str(document.revision)
    form = ContentForm(request.POST) if request.method == "POST" else ContentForm(initial=initial)
    diff: Diff | None = None
    problems: list[str] = []
    if request.method == "POST" and form.is_valid():
        given = form.cleaned_data
        if "save" in request.POST:
            done = "It is live." if document.is_held_here else "It is live at the source, read back and verified."
            saved = page.perform(request, operations.edit_config, document.pk, done=done, **given)
            if saved is not None:
                return page.go_to_row(request, str(object_id))
            document.refresh_from_db()
        diff, problems = _checked(document, given["content"])
    context = {
        **_context(request, page, document, f"Edit {document.name}"),
        "form": form,
        "diff": diff,
        "problems": problems,
        "is_stale": form.is_bound and form.data.get("expected_revision") != str(document.revision),
    }
    return TemplateResponse(request, "state/edit.html", context)


def _checked(document: ConfigDocument, content: Any) -> tuple[Diff | None, list[str]]:
    """How a new content differs from the head, and what is wrong with it."""
    present = document.head.content if document.head else {}
    try:
        check_content(content)
        meant = unmasked(content, present)
    except DomainError as error:
        return None, [error.message]
    return diff_of(present, meant), [as_sentence(entry) for entry in content_problems(document.schema, meant)]


def baseline_page(request: HttpRequest, page: PortalModelAdmin, object_id: int) -> HttpResponse:
    """Vouch for a version (the head unless another is named), with the diff to the present baseline before it."""
    document = _document(request, page, object_id, SET_BASELINE)
    version = _version(request, document, "version") or document.head
    if version is None:
        raise Http404
    form = ReasonForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        done = f"Version {version.number} is the baseline: a rollback returns to it."
        reason = form.cleaned_data["reason"]
        if page.perform(request, operations.set_baseline, document.pk, version.pk, reason=reason, done=done):
            return page.go_to_row(request, str(object_id))
    present = document.baseline
    context = {
        **_context(request, page, document, f"Baseline of {document.name}"),
        "form": form,
        "version": version,
        "problems": target_problems(document, version, strict=True),
        "diff": diff_of(present.content, version.content) if present else None,
    }
    return TemplateResponse(request, "state/baseline.html", context)


def restore_page(request: HttpRequest, page: PortalModelAdmin, object_id: int) -> HttpResponse:
    """Put the baseline, or the version that is named, back: the exact diff first, then a reason, then the button."""
    document = _document(request, page, object_id, APPLY)
    version = _version(request, document, "version")
    form = RestoreForm(request.POST if request.method == "POST" else None)
    if request.method == "POST" and form.is_valid():
        given = form.cleaned_data
        target = version or document.baseline
        done = page.perform(
            request,
            operations.restore,
            document.pk,
            version_id=target.pk if target else None,
            expected_checksum=given["expected_checksum"],
            effect_key=f"page:{request.user.pk}:{given['effect_key']}",
            reason=given["reason"],
            done="Restored, read back and verified. What was live before is kept as a backup.",
        )
        if done is not None:
            return page.go_to_row(request, str(object_id))
    preview = preview_restore(document, version)
    fresh = {"expected_checksum": preview.live.checksum if preview.live else "", "effect_key": uuid.uuid4().hex}
    context = {
        **_context(request, page, document, f"Restore {document.name}"),
        "form": form,
        "fresh": fresh,
        "preview": preview,
        "diff": diff_rows(preview.changes),
        "may_go": preview.is_needed and not preview.problems,
    }
    return TemplateResponse(request, "state/restore.html", context)


PAGES: dict[str, Page] = {
    "live": live_part,
    "capture": capture_page,
    "compare": compare_page,
    "edit": edit_page,
    "baseline": baseline_page,
    "restore": restore_page,
}
