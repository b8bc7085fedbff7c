"""Reviews in the admin: the board, the list, the page of one, its sections, its buttons, and its export."""

from __future__ import annotations

import json
from typing import Any

from django.contrib import admin
from django.contrib.messages import get_messages
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import URLPattern, path, reverse
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from apps.foundation.clock import now
from apps.people.admin.base import PortalModelAdmin, ReadOnlyAdmin, request_actor
from apps.postmortems.admin import acting
from apps.postmortems.admin.actions import REVIEW_VERBS
from apps.postmortems.admin.board import board, with_counts
from apps.postmortems.admin.listing import ReviewColumns
from apps.postmortems.admin.opening import OPEN_VERB, find_incident
from apps.postmortems.admin.page import find_review, review_view
from apps.postmortems.admin.sections import Editing, both, preview_html, saved
from apps.postmortems.export import filename, markdown
from apps.postmortems.models import Review, Section
from apps.postmortems.queries import visible_reviews

_ASKS_WITH_LACKS = {"submit", "mark-reviewed", "close"}


@admin.register(Review)
class ReviewAdmin(ReviewColumns, ReadOnlyAdmin, PortalModelAdmin):
    """Everything here is read; what changes a review are the sections and buttons of its page."""

    list_display = ("severity_column", "title_column", "state_column", "due_column", "owner", "items_column")
    list_display_links = None
    list_filter = ("state",)
    list_filter_sheet = True
    list_before_template = "postmortems/list_before.html"
    list_per_page = 50
    search_fields = ("title", "incident__number", "owner__username", "owner__display_name", "sections__text")
    search_help_text = "Title, number, owner or text"
    ordering = ("-opened_at", "-id")
    actions = None

    def get_queryset(self, request: HttpRequest) -> QuerySet[Review]:
        return with_counts(visible_reviews(request.user), now()).select_related("incident__team", "owner")

    def has_module_permission(self, request: HttpRequest) -> bool:
        return self.has_view_permission(request)

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        if obj is None and request.user.has_perm("postmortems.view_review"):
            return True
        rows = visible_reviews(request.user)
        return rows.filter(pk=obj.pk).exists() if obj is not None else rows.exists()

    # --- pages ---

    def get_urls(self) -> list[URLPattern]:
        def page(route: str, view: Any, name: str) -> URLPattern:
            found: URLPattern = path(route, self.admin_site.admin_view(view), name=f"postmortems_review_{name}")
            return found

        both_ways = require_http_methods(["GET", "HEAD", "POST"])
        own = [
            page("list/", self.list_page, "list"),
            page("open/<int:incident_id>/", both_ways(self.open_page), "open"),
            page("<int:object_id>/section/<int:section_id>/", both_ways(self.section_part), "section"),
            page("<int:object_id>/preview/", require_POST(self.preview_part), "preview"),
            page("<int:object_id>/export/", require_safe(self.export_file), "export"),
            page("<int:object_id>/do/<slug:verb>/", both_ways(self.act), "act"),
        ]
        return [*own, *super().get_urls()]

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        """The board."""
        self._require_view(request)
        found: HttpResponse = require_safe(self._board_page)(request)
        return found

    def _board_page(self, request: HttpRequest) -> HttpResponse:
        context = {**self.admin_site.each_context(request), "title": "Reviews", "board": board(request)}
        return acting.fresh(render(request, "postmortems/board.html", context))

    def list_page(self, request: HttpRequest) -> HttpResponse:
        """All reviews as a list, with search."""
        found: HttpResponse = super().changelist_view(request, {"title": "Reviews"})
        return found

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Everything about one review; with `?edit=` a section stands open for browsers without scripts."""
        if not (object_id.isascii() and object_id.isdecimal() and len(object_id) < 19):  # noqa: PLR2004  # fits a bigint
            raise Http404
        found: HttpResponse = require_safe(self._page)(request, int(object_id))
        return found

    def _page(
        self, request: HttpRequest, review_id: int, editing: Editing | None = None, status: int = 200
    ) -> HttpResponse:
        given = request.GET.get("edit", "")
        edit = int(given) if given.isascii() and given.isdecimal() and len(given) < 19 else None  # noqa: PLR2004  # the same
        view = review_view(review_id, request, edit=edit, editing=editing)
        context = {**self.admin_site.each_context(request), "title": f"Review of {view.header.number}", "view": view}
        return acting.fresh(render(request, "postmortems/review/page.html", context, status=status))

    # --- sections ---

    def section_part(self, request: HttpRequest, object_id: int, section_id: int) -> HttpResponse:
        """One section: read, opened for writing with `?edit`, or saved by a POST."""
        review = find_review(object_id, request)
        section = Section.objects.select_related("edited_by").filter(pk=section_id, review=review).first()
        if section is None:
            raise Http404("There is no such section.")
        if request.method != "POST":
            if not acting.by_htmx(request):
                page = reverse("admin:postmortems_review_change", args=[review.pk])
                return HttpResponseRedirect(f"{page}?edit={section.pk}#section-{section.slug}")
            edit = section.pk if "edit" in request.GET else None
            return self._section(request, review, section, edit=edit)
        editing = self._written(request, section)
        if acting.by_htmx(request):
            return self._section(request, review, section, editing=editing, was_saved=editing is None)
        if editing is not None:
            return self._page(request, review.pk, editing)
        page = reverse("admin:postmortems_review_change", args=[review.pk])
        return HttpResponseRedirect(f"{page}#section-{section.slug}")

    def _written(self, request: HttpRequest, section: Section) -> Editing | None:
        """What a POST makes of a section: None once it is saved, else how it stands open."""
        text, given = request.POST.get("text", ""), request.POST.get("version", "")
        version = int(given) if given.isascii() and given.isdecimal() and len(given) < 10 else 0  # noqa: PLR2004  # fits
        match request.POST.get("only", ""):
            case "preview":
                return Editing(section.pk, text, version)
            case "both":
                return Editing(section.pk, both(text, request.POST.get("theirs", "")), version)
            case _:
                return saved(section, text, version, request_actor(request))

    def _section(
        self,
        request: HttpRequest,
        review: Review,
        section: Section,
        *,
        edit: int | None = None,
        editing: Editing | None = None,
        was_saved: bool = False,
    ) -> HttpResponse:
        """The section alone, and what its saving changed elsewhere on the page."""
        view = review_view(review.pk, request, edit=edit, editing=editing)
        shown = next(part.section for part in view.parts if part.section and part.section.id == section.pk)
        context = {"view": view, "section": shown, "was_saved": was_saved, "toasts": list(get_messages(request))}
        answer = render(request, "postmortems/review/_section_answer.html", context)
        if was_saved:
            answer["HX-Trigger"] = json.dumps({"portal:saved": {"section": section.pk}})
        return acting.fresh(answer)

    def preview_part(self, request: HttpRequest, object_id: int) -> HttpResponse:
        """What is being typed, as it will look."""
        find_review(object_id, request)
        return acting.fresh(HttpResponse(preview_html(request.POST.get("text", ""))))

    # --- buttons ---

    def act(self, request: HttpRequest, object_id: int, verb: str) -> HttpResponse:
        """A button: GET asks, and says what is still missing; POST acts."""
        if verb not in REVIEW_VERBS:
            raise Http404
        review = find_review(object_id, request)
        page = reverse("admin:postmortems_review_change", args=[review.pk])
        chosen, site = REVIEW_VERBS[verb], self.admin_site
        if request.method != "POST":
            lacks = review_view(review.pk, request).next.lacks if verb in _ASKS_WITH_LACKS else ()
            return acting.ask(request, site, chosen, review, back=page, lacks=lacks)
        refused = acting.act(request, site, chosen, review, acting.sent_by(request, review, review.pk), back=page)
        if refused is not None:
            return refused
        if verb in {"add-item", "set-people"} and acting.by_htmx(request):
            return acting.changed(request, review_view(review.pk, request))
        return acting.leave(request, f"{page}#items" if verb == "add-item" else page)

    def open_page(self, request: HttpRequest, incident_id: int) -> HttpResponse:
        """Open the review of an incident that needs none by its policy."""
        incident = find_incident(incident_id, request)
        back = reverse("admin:incidents_incident_command", args=[incident.pk])
        if request.method != "POST":
            return acting.ask(request, self.admin_site, OPEN_VERB, incident, back=back)
        sent = acting.sent_about(request, incident.pk)
        refused = acting.act(request, self.admin_site, OPEN_VERB, incident, sent, back=back)
        if refused is not None:
            return refused
        return acting.leave(request, reverse("admin:postmortems_review_change", args=[incident.review.pk]))

    def export_file(self, request: HttpRequest, object_id: int) -> HttpResponse:
        """The whole review as a Markdown file; with `?anonymised=1` without names."""
        review = find_review(object_id, request)
        text = markdown(review, anonymised=request.GET.get("anonymised") == "1")
        answer = HttpResponse(text, content_type="text/markdown; charset=utf-8")
        answer["Content-Disposition"] = f'attachment; filename="{filename(review)}"'
        return acting.fresh(answer)

    # --- parts ---

    def _require_view(self, request: HttpRequest) -> None:
        if not self.has_view_permission(request):
            raise PermissionDenied
