"""Pauses and holiday calendars."""

from __future__ import annotations

from typing import Any, ClassVar

from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from unfold.decorators import action, display
from unfold.enums import ActionVariant

from apps.foundation.clock import now
from apps.oncall import operations
from apps.oncall.admin.cover_forms import EditHolidayCalendarForm, NewHolidayCalendarForm
from apps.oncall.models import HolidayCalendar, Pause
from apps.oncall.permissions import may_edit
from apps.oncall.queries import holidays_of_year
from apps.people.admin.base import PortalModelAdmin, ReadOnlyAdmin, request_actor


@admin.register(Pause)
class PauseAdmin(ReadOnlyAdmin, PortalModelAdmin):
    """Pauses are made on the page of a rotation and ended here."""

    list_display = ("rotation", "who", "starts_at", "ends_at", "reason")
    list_filter = ("rotation",)
    list_select_related = ("rotation__team", "user")
    fields = ("rotation", "who", "starts_at", "ends_at", "reason")
    readonly_fields = fields
    actions_detail: ClassVar[Any] = ("end",)

    @display(description="Who pauses")
    def who(self, pause: Pause) -> str:
        return pause.user.name if pause.user else "everybody"

    def has_end_permission(self, request: HttpRequest, object_id: str | None = None) -> bool:
        found = self.get_object(request, str(object_id)) if object_id else None
        if found is None or (found.ends_at is not None and found.ends_at <= now()):
            return False
        return may_edit(request_actor(request), found.rotation.team_id, "oncall.change_pause")

    @action(
        description="End it now",
        icon="play_circle",
        permissions=["end"],
        dialog={"title": "End this pause now?", "description": "They take turns again, in their old place."},
    )
    def end(self, request: HttpRequest, form: Any, object_id: str) -> HttpResponse:
        pause = self.row(request, object_id)
        row = self.perform(request, operations.resume, pause.pk, done="The pause is over.")
        return self.go_to_row(request, object_id) if row else self.go_to_list(request)


@admin.register(HolidayCalendar)
class HolidayCalendarAdmin(ReadOnlyAdmin, PortalModelAdmin):
    """Holidays that layers skip, or work on only."""

    list_display = ("name", "country", "subdivision")
    search_fields = ("name", "slug", "country")
    fields = ("name", "slug", "country", "subdivision", "days")
    readonly_fields = fields
    actions_list: ClassVar[Any] = ("new",)
    actions_detail: ClassVar[Any] = ("edit", "remove")

    @display(description="Days of this year")
    def days(self, calendar: HolidayCalendar) -> str:
        return ", ".join(f"{day:%d %b}" for day in holidays_of_year(calendar, now().year)) or "none"

    def has_new_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("oncall.add_holidaycalendar")

    def has_edit_permission(self, request: HttpRequest, object_id: str | None = None) -> bool:
        return request.user.has_perm("oncall.change_holidaycalendar")

    @action(
        description="New calendar",
        icon="add",
        permissions=["new"],
        dialog={
            "title": "New holiday calendar",
            "description": "The public holidays of a country, and days of your own.",
            "form_class": NewHolidayCalendarForm,
            "form_submit_text": "Create",
        },
    )
    def new(self, request: HttpRequest, form: NewHolidayCalendarForm) -> HttpResponse:
        given = form.cleaned_data
        made = self.perform(
            request,
            operations.create_holiday_calendar,
            given["slug"],
            given["name"],
            country=given["country"],
            subdivision=given["subdivision"],
            own_days=given["own_days"],
            done="The calendar is there.",
        )
        return self.go_to_row(request, str(made.pk)) if made else self.go_to_list(request)

    @action(
        description="Edit",
        icon="edit",
        permissions=["edit"],
        dialog={
            "title": "Edit the calendar",
            "description": "It changes when the layers that heed it work.",
            "form_class": EditHolidayCalendarForm,
            "form_submit_text": "Save",
        },
    )
    def edit(self, request: HttpRequest, form: EditHolidayCalendarForm, object_id: str) -> HttpResponse:
        given, calendar = form.cleaned_data, self.row(request, object_id)
        given.pop("_form_submitted", None)
        self.perform(request, operations.update_holiday_calendar, calendar.pk, **given, done="The calendar is saved.")
        return self.go_to_row(request, object_id)

    @action(
        description="Delete",
        icon="delete",
        variant=ActionVariant.DANGER,
        permissions=["edit"],
        dialog={"title": "Delete this calendar?", "description": "No layer may heed it."},
    )
    def remove(self, request: HttpRequest, form: Any, object_id: str) -> HttpResponse:
        calendar = self.row(request, object_id)
        gone = self.perform(request, _deleted, calendar.pk, done="The calendar is deleted.")
        return self.go_to_list(request) if gone else self.go_to_row(request, object_id)


def _deleted(calendar_id: int, **kwargs: Any) -> bool:
    """Deleting returns nothing, which is also what a refusal looks like to a page."""
    operations.delete_holiday_calendar(calendar_id, **kwargs)
    return True
