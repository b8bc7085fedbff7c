"""Covers and extra people: all of them, newest first."""

from __future__ import annotations

from typing import Any, ClassVar

from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from unfold.decorators import action, display
from unfold.enums import ActionVariant

from apps.foundation.clock import now
from apps.oncall import operations
from apps.oncall.admin.cover_forms import CoverSomewhereForm
from apps.oncall.models import Coverage, Override
from apps.oncall.permissions import may_cover
from apps.people.admin.base import PortalModelAdmin, ReadOnlyAdmin, request_actor

_COLOURS = {"now": "success", "to come": "info", "over": "", "cancelled": ""}


def state_of(row: Override | Coverage) -> str:
    """Where it stands on the clock."""
    if row.cancelled_at is not None:
        return "cancelled"
    if row.ends_at <= now():
        return "over"
    return "now" if row.starts_at <= now() else "to come"


@admin.register(Override)
class OverrideAdmin(ReadOnlyAdmin, PortalModelAdmin):
    """A cover is added and cancelled by buttons, never edited."""

    list_display = ("rotation", "user", "replaces", "starts_at", "ends_at", "state", "reason")
    list_filter = ("rotation",)
    list_select_related = ("rotation__team", "user", "replaces")
    search_fields = ("rotation__name", "user__username", "user__display_name", "reason")
    fields = ("rotation", "user", "replaces", "starts_at", "ends_at", "state", "reason", "created_at", "cancelled_at")
    readonly_fields = fields
    actions_list: ClassVar[Any] = ("cover",)
    actions_detail: ClassVar[Any] = ("cancel",)

    @display(description="State", label=_COLOURS)
    def state(self, override: Override) -> str:
        return state_of(override)

    def has_cover_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("oncall.add_override")

    def has_cancel_permission(self, request: HttpRequest, object_id: str | None = None) -> bool:
        found = self.get_object(request, str(object_id)) if object_id else None
        if found is None or found.cancelled_at is not None or found.ends_at <= now():
            return False
        return may_cover(request_actor(request), found.rotation, found.user_id)

    @action(
        description="Cover",
        icon="swap_horiz",
        permissions=["cover"],
        dialog={
            "title": "Put somebody on call instead",
            "description": "Instead of whoever has the duty, or only where one person would be on.",
            "form_class": CoverSomewhereForm,
            "form_submit_text": "Cover",
        },
    )
    def cover(self, request: HttpRequest, form: CoverSomewhereForm) -> HttpResponse:
        given = form.cleaned_data
        self.perform(
            request,
            operations.add_override,
            given["rotation"].pk,
            given["user"].pk,
            given["starts_at"],
            given["ends_at"],
            replaces_id=given["replaces"].pk if given["replaces"] else None,
            reason=given["reason"],
            done=f"{given['user'].name} covers.",
        )
        return self.go_to_list(request)

    @action(
        description="Cancel",
        icon="event_busy",
        variant=ActionVariant.DANGER,
        permissions=["cancel"],
        dialog={"title": "Cancel this cover?", "description": "What it covered until now stays true."},
    )
    def cancel(self, request: HttpRequest, form: Any, object_id: str) -> HttpResponse:
        return self.press(request, operations.cancel_override, object_id, done="The cover is cancelled.")


@admin.register(Coverage)
class CoverageAdmin(ReadOnlyAdmin, PortalModelAdmin):
    """Extra people are added on the page of a rotation and cancelled here."""

    list_display = ("rotation", "user", "starts_at", "ends_at", "state", "reason")
    list_filter = ("rotation",)
    list_select_related = ("rotation__team", "user")
    search_fields = ("rotation__name", "user__username", "user__display_name", "reason")
    fields = ("rotation", "user", "starts_at", "ends_at", "state", "reason", "created_at", "cancelled_at")
    readonly_fields = fields
    actions_detail: ClassVar[Any] = ("cancel",)

    @display(description="State", label=_COLOURS)
    def state(self, coverage: Coverage) -> str:
        return state_of(coverage)

    def has_cancel_permission(self, request: HttpRequest, object_id: str | None = None) -> bool:
        found = self.get_object(request, str(object_id)) if object_id else None
        if found is None or found.cancelled_at is not None or found.ends_at <= now():
            return False
        return may_cover(request_actor(request), found.rotation, found.user_id, "oncall.add_coverage")

    @action(
        description="Cancel",
        icon="event_busy",
        variant=ActionVariant.DANGER,
        permissions=["cancel"],
        dialog={"title": "Take this person off?", "description": "What was until now stays true."},
    )
    def cancel(self, request: HttpRequest, form: Any, object_id: str) -> HttpResponse:
        done = "They are not on call besides any more."
        return self.press(request, operations.cancel_coverage, object_id, done=done)
