"""Pages and escalation, for reading, as far as the reader may see what they are about."""

from __future__ import annotations

from typing import Any, ClassVar

from django.contrib import admin
from django.contrib.admin.views.main import ChangeList
from django.db.models import QuerySet
from django.http import HttpRequest
from django.template.loader import render_to_string
from django.utils.html import format_html
from unfold.decorators import display

from apps.foundation.subjects import Subject, subject_titles, subject_url
from apps.paging.models import Acknowledgement, EscalationRun, Page
from apps.paging.queries import upcoming_of, visible_pages, visible_runs
from apps.people.admin.base import PortalModelAdmin, ReadOnlyAdmin, ReadOnlyInline

_PAGE_COLOURS = {Page.State.OPEN: "warning", Page.State.ACKNOWLEDGED: "success", Page.State.CLOSED: ""}
_RUN_COLOURS = {
    EscalationRun.State.RUNNING: "warning",
    EscalationRun.State.ACKNOWLEDGED: "success",
    EscalationRun.State.EXHAUSTED: "danger",
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
        "steps",
    )
    readonly_fields = fields

    def visible_to(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        return visible_runs(request.user)

    @display(description="State", ordering="state", label=_RUN_COLOURS)
    def shown_state(self, run: EscalationRun) -> tuple[str, str]:
        return run.state, run.get_state_display()

    @display(description="What comes next")
    def steps(self, run: EscalationRun) -> str:
        return render_to_string("paging/steps.html", {"steps": upcoming_of([run])[run.pk]})
