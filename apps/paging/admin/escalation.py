"""Pages and escalation, for reading, as far as the reader may see what they are about; maintenance windows."""

from __future__ import annotations

from typing import Any, ClassVar

from django.contrib import admin
from django.contrib.admin.views.main import ChangeList
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.template.loader import render_to_string
from django.urls import URLPattern, path
from django.utils.html import format_html
from django.views.decorators.http import require_safe
from unfold.decorators import action, display
from unfold.enums import ActionVariant

from apps.catalog.permissions import leads_any_team
from apps.foundation.clock import now
from apps.foundation.subjects import Subject, is_visible, subject_titles, subject_url
from apps.paging import operations
from apps.paging.explaining import explain
from apps.paging.forms import EndMaintenanceForm, MaintenanceForm
from apps.paging.models import Acknowledgement, EscalationRun, MaintenanceWindow, Page
from apps.paging.operations.maintaining import ADD, may_maintain
from apps.paging.queries import upcoming_of, visible_pages, visible_runs, visible_windows
from apps.people.admin.base import PortalModelAdmin, ReadOnlyAdmin, ReadOnlyInline, request_actor

_PAGE_COLOURS = {Page.State.OPEN: "warning", Page.State.ACKNOWLEDGED: "success", Page.State.CLOSED: ""}
_RUN_COLOURS = {
    EscalationRun.State.RUNNING: "warning",
    EscalationRun.State.ACKNOWLEDGED: "success",
    EscalationRun.State.WAITING: "",
    EscalationRun.State.EXHAUSTED: "danger",
    EscalationRun.State.SNOOZED: "info",
    EscalationRun.State.HELD: "info",
    EscalationRun.State.STOPPED: "",
}


def _subject(row: Any) -> Subject:
    return Subject(row.subject_kind, row.subject_key)


class TitledList(ChangeList):
    """The list with the titles of its subjects, asked once for all its rows."""

    def get_results(self, request: HttpRequest) -> None:
        super().get_results(request)
        rows = list(self.result_list)
        titles = subject_titles(_subject(row) for row in rows)
        for row in rows:
            row.subject_title = titles[_subject(row)]
        self.result_list = rows


class SubjectAdmin(ReadOnlyAdmin, PortalModelAdmin):
    """Rows about a subject: linked to it, and hidden with it."""

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        base = super().get_changelist(request, **kwargs)
        return type("TitledList", (TitledList, base), {})

    @display(description="About")
    def about(self, row: Any) -> str:
        subject = _subject(row)
        title = getattr(row, "subject_title", None) or subject_titles([subject])[subject]
        url = subject_url(subject)
        return format_html('<a href="{}">{}</a>', url, title) if url else title


@admin.register(Page)
class PageAdmin(SubjectAdmin):
    """Who was called for what, newest first."""

    list_display = ("person", "about", "level", "role", "shown_state", "created_at", "acknowledged_at")
    list_display_links = ("person",)
    list_filter = ("state", "role")
    search_fields = ("user__username", "user__display_name", "role", "reason")
    fields = (
        "person",
        "about",
        "escalation",
        "run",
        "step",
        "level",
        "role",
        "reason",
        "shown_state",
        "due_at",
        "created_at",
        "acknowledged_at",
        "link_used_at",
    )
    readonly_fields = fields

    def visible_to(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        return visible_pages(request.user)

    @display(description="Person", ordering="user__display_name")
    def person(self, page: Page) -> str:
        return page.user.name

    @display(description="State", ordering="state", label=_PAGE_COLOURS)
    def shown_state(self, page: Page) -> tuple[str, str]:
        return page.state, page.get_state_display()


class PageInline(ReadOnlyInline):
    """The pages that a track made."""

    model = Page
    fields = ("user", "level", "role", "state", "created_at", "acknowledged_at")
    ordering = ("id",)
    show_change_link = True


class AcknowledgementInline(ReadOnlyInline):
    """Who took notice, in which run."""

    model = Acknowledgement
    fields = ("run", "user", "via", "at")
    ordering = ("run",)


@admin.register(EscalationRun)
class EscalationRunAdmin(SubjectAdmin):
    """Where each track stands and what comes next."""

    list_display = ("about", "track", "severity", "shown_state", "level", "next_due_at", "started_at")
    list_display_links = ("track",)
    list_filter = ("track", "state", "severity", "team")
    search_fields = ("title",)
    ordering = ("-started_at",)
    inlines: ClassVar[list[Any]] = [PageInline, AcknowledgementInline]
    fields = (
        "about",
        "track",
        "severity",
        "team",
        "policy_version",
        "shown_state",
        "run",
        "step",
        "level",
        "detected_at",
        "started_at",
        "next_due_at",
        "ended_at",
        "response_at",
        "target_at",
        "answered_at",
        "maintenance",
        "steps",
    )
    readonly_fields = fields

    def visible_to(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        return visible_runs(request.user)

    def get_urls(self) -> list[URLPattern]:
        page = self.admin_site.admin_view(require_safe(self.why_page))
        own: list[URLPattern] = [path("why/<slug:kind>/<str:key>/", page, name="paging_escalationrun_why")]
        return [*own, *super().get_urls()]

    def why_page(self, request: HttpRequest, kind: str, key: str) -> HttpResponse:
        """Why people were paged for a subject, and why nobody was; for whoever sees the subject."""
        subject = Subject(kind, key)
        if not key.isdecimal() or not is_visible(subject, request.user):
            raise Http404("There is no such thing, or you may not see it.")
        title = subject_titles([subject])[subject]
        context = {
            **self.admin_site.each_context(request),
            "title": f"Why was I paged? {title}",
            "about": title,
            "back_url": subject_url(subject),
            "why": explain(subject, user=request.user),
        }
        answer = render(request, "paging/why.html", context)
        answer["Cache-Control"] = "no-store"
        return answer

    @display(description="State", ordering="state", label=_RUN_COLOURS)
    def shown_state(self, run: EscalationRun) -> tuple[str, str]:
        return run.state, run.get_state_display()

    @display(description="What comes next")
    def steps(self, run: EscalationRun) -> str:
        return render_to_string("paging/steps.html", {"steps": upcoming_of([run])[run.pk]})


_WINDOW_COLOURS = {"now": "warning", "to come": "info", "over": ""}


@admin.register(MaintenanceWindow)
class MaintenanceWindowAdmin(ReadOnlyAdmin, PortalModelAdmin):
    """When nobody is paged. Windows are planned and ended by buttons, never edited."""

    list_display = ("of", "starts_at", "ends_at", "shown_state", "reason", "created_by")
    list_display_links = ("of",)
    list_filter = ("team", "service")
    list_select_related = ("team", "service", "created_by")
    search_fields = ("reason", "team__name", "service__name")
    ordering = ("-starts_at", "-id")
    fields = ("of", "starts_at", "ends_at", "shown_state", "reason", "created_by", "created_at", "holds")
    readonly_fields = fields
    actions_list: ClassVar[Any] = ("plan",)
    actions_detail: ClassVar[Any] = ("end",)

    def visible_to(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        return visible_windows(request.user)

    @display(description="Of")
    def of(self, window: MaintenanceWindow) -> str:
        return str(window.service or window.team or "everything")

    @display(description="State", label=_WINDOW_COLOURS)
    def shown_state(self, window: MaintenanceWindow) -> str:
        if window.ends_at <= now():
            return "over"
        return "now" if window.starts_at <= now() else "to come"

    @display(description="Held back now")
    def holds(self, window: MaintenanceWindow) -> str:
        held = window.held.filter(state=EscalationRun.State.HELD, track=EscalationRun.Track.PAGE)
        return f"{held.count()} that opened in it and are still open"

    def has_plan_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm(ADD) or leads_any_team(request.user)

    def has_end_permission(self, request: HttpRequest, object_id: str | None = None) -> bool:
        found = self.get_object(request, str(object_id)) if object_id else None
        return found is not None and found.ends_at > now() and may_maintain(request_actor(request), found)

    @action(
        description="Plan maintenance",
        icon="engineering",
        permissions=["plan"],
        dialog={
            "title": "When is nobody to be paged?",
            "description": "Incidents of this time are stored and shown. What is still open at the end pages.",
            "form_class": MaintenanceForm,
            "form_submit_text": "Plan",
        },
    )
    def plan(self, request: HttpRequest, form: MaintenanceForm) -> HttpResponse:
        given = form.cleaned_data
        self.perform(
            request,
            operations.plan_maintenance,
            team_id=given["team"].pk if given["team"] else None,
            service_id=given["service"].pk if given["service"] else None,
            starts_at=given["starts_at"],
            ends_at=given["ends_at"],
            reason=given["reason"],
            done="Nobody is paged in this time.",
        )
        return self.go_to_list(request)

    @action(
        description="Move its end",
        icon="event_busy",
        variant=ActionVariant.WARNING,
        permissions=["end"],
        dialog={
            "title": "When does it end?",
            "description": "What it holds back pages then. Leave the time empty to end it now.",
            "form_class": EndMaintenanceForm,
            "form_submit_text": "Save",
        },
    )
    def end(self, request: HttpRequest, form: EndMaintenanceForm, object_id: str) -> HttpResponse:
        window = self.row(request, object_id)
        self.perform(
            request, operations.move_maintenance_end, window.pk, form.cleaned_data["ends_at"], done="Its end is set."
        )
        return self.go_to_row(request, object_id)
