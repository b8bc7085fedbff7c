"""Rotations: who is on call now, who follows, and the weeks to come."""

from __future__ import annotations

from datetime import timedelta
from typing import Any, ClassVar
from zoneinfo import ZoneInfo

from django.contrib import admin
from django.contrib.admin.views.main import ChangeList
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.template.loader import render_to_string
from unfold.decorators import action, display
from unfold.enums import ActionVariant

from apps.catalog.permissions import leads_any_team
from apps.foundation.clock import now
from apps.oncall import operations
from apps.oncall.admin.forms import WEEKDAYS, CoverForm, EditRotationForm, EndMemberForm, MemberForm, NewRotationForm
from apps.oncall.models import Layer, Override, Rotation
from apps.oncall.permissions import may_edit
from apps.oncall.queries import OnCallNow, on_call_now, shifts_of, visible_rotations
from apps.oncall.schedule import gaps
from apps.people.admin.base import PortalModelAdmin, ReadOnlyAdmin, ReadOnlyInline, request_actor
from apps.people.models import User

SHOWN = timedelta(weeks=8)
_MANAGE: Any = {"permissions": ["edit"]}


class OnCallList(ChangeList):
    """The list with who is on call, asked once for all its rows."""

    def get_results(self, request: HttpRequest) -> None:
        super().get_results(request)
        rows = list(self.result_list)
        for row, found in zip(rows, on_call_now(rows), strict=True):
            row.on_call = found
        self.result_list = rows


class MemberInline(ReadOnlyInline):
    """The places, in their order."""

    model = Layer
    fields = ("name", "priority", "cadence")
    verbose_name_plural = "layers"


class OverrideInline(ReadOnlyInline):
    """Covers that are not over yet."""

    model = Override
    fk_name = "rotation"
    fields = ("user", "starts_at", "ends_at", "reason")
    verbose_name_plural = "covers to come"

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        rows: QuerySet[Any] = super().get_queryset(request)
        return rows.filter(ends_at__gt=now(), cancelled_at__isnull=True).order_by("starts_at")


@admin.register(Rotation)
class RotationAdmin(ReadOnlyAdmin, PortalModelAdmin):
    """A rotation's page is for reading; its buttons call operations."""

    list_display = ("name", "team", "on_call", "until", "next_up", "handoff")
    list_filter = ("team",)
    search_fields = ("name", "slug", "team__name")
    ordering = ("team__name", "name")
    fields = ("name", "slug", "team", "handoff", "on_call", "until", "next_up", "weeks")
    readonly_fields = fields
    inlines: ClassVar[list[Any]] = [MemberInline, OverrideInline]
    actions_list = ("new",)
    actions_detail = ("cover", "add_member", "end_member", "edit", "remove")

    def visible_to(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        return visible_rotations(request.user)

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        base = super().get_changelist(request, **kwargs)
        return type("OnCallList", (OnCallList, base), {})

    # --- what is shown ---

    def _now(self, rotation: Any) -> OnCallNow:
        if not hasattr(rotation, "on_call"):
            (rotation.on_call,) = on_call_now([rotation])
        found: OnCallNow = rotation.on_call
        return found

    @display(description="On call now")
    def on_call(self, rotation: Rotation) -> str:
        found = self._now(rotation)
        return found.user.name if found.user else "NOBODY"

    @display(description="Until")
    def until(self, rotation: Rotation) -> str:
        until = self._now(rotation).until
        return f"{until.astimezone(ZoneInfo(rotation.team.time_zone)):%a %d %b %H:%M}" if until else "–"

    @display(description="Then")
    def next_up(self, rotation: Rotation) -> str:
        found = self._now(rotation)
        return found.next_user.name if found.next_user else "–"

    @display(description="Handoff")
    def handoff(self, rotation: Rotation) -> str:
        layer = rotation.layers.first()
        return f"{WEEKDAYS[layer.handoff_weekday]} {layer.handoff_time:%H:%M} {layer.time_zone}" if layer else "–"

    @display(description="The next eight weeks")
    def weeks(self, rotation: Rotation) -> str:
        start = now()
        found = shifts_of(rotation.pk, start, start + SHOWN)
        names = {user.pk: user.name for user in User.objects.filter(pk__in={shift.user_id for shift in found})}
        zone = ZoneInfo(rotation.team.time_zone)
        rows = [(shift.starts_at, shift.ends_at, names.get(shift.user_id, ""), shift.cover_id) for shift in found]
        rows += [(begins, ends, "", None) for begins, ends in gaps(found, start, start + SHOWN)]
        shown = [
            {"starts_at": begins.astimezone(zone), "ends_at": ends.astimezone(zone), "name": name, "covers": cover}
            for begins, ends, name, cover in sorted(rows, key=lambda row: row[0])
        ]
        return render_to_string("oncall/weeks.html", {"rows": shown, "zone": rotation.team.time_zone})

    # --- what can be done ---

    def has_edit_permission(self, request: HttpRequest, object_id: str | None = None) -> bool:
        rotation = self.get_object(request, str(object_id)) if object_id else None
        return rotation is not None and may_edit(request_actor(request), rotation.team_id, "oncall.change_rotation")

    def has_new_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("oncall.add_rotation") or leads_any_team(request.user)

    def has_cover_permission(self, request: HttpRequest, object_id: str | None = None) -> bool:
        return request.user.has_perm("oncall.add_override") or self.has_edit_permission(request, object_id)

    @action(
        description="New rotation",
        icon="add",
        permissions=["new"],
        dialog={
            "title": "New rotation",
            "description": "It holds at once; add people on its page.",
            "form_class": NewRotationForm,
            "form_submit_text": "Create",
        },
    )
    def new(self, request: HttpRequest, form: NewRotationForm) -> HttpResponse:
        given = form.cleaned_data
        made = self.perform(
            request,
            operations.create_rotation,
            given["team"].pk,
            given["slug"],
            given["name"],
            time_zone=given["time_zone"],
            handoff_weekday=given["handoff_weekday"],
            handoff_time=given["handoff_time"],
            done="The rotation is there. Now add its people.",
        )
        return self.go_to_row(request, str(made.pk)) if made else self.go_to_list(request)

    @action(
        description="Cover",
        icon="swap_horiz",
        permissions=["cover"],
        dialog={
            "title": "Put somebody on call instead",
            "description": "It beats the rotation and older covers.",
            "form_class": CoverForm,
            "form_submit_text": "Cover",
        },
    )
    def cover(self, request: HttpRequest, form: CoverForm, object_id: str) -> HttpResponse:
        given, rotation = form.cleaned_data, self.row(request, object_id)
        self.perform(
            request,
            operations.add_override,
            rotation.pk,
            given["user"].pk,
            given["starts_at"],
            given["ends_at"],
            reason=given["reason"],
            done=f"{given['user'].name} covers.",
        )
        return self.go_to_row(request, object_id)

    @action(
        description="Add a person",
        icon="person_add",
        **_MANAGE,
        dialog={
            "title": "Add a person",
            "description": "They come last in the order; the turns of the others stay.",
            "form_class": MemberForm,
            "form_submit_text": "Add",
        },
    )
    def add_member(self, request: HttpRequest, form: MemberForm, object_id: str) -> HttpResponse:
        given, rotation = form.cleaned_data, self.row(request, object_id)
        self.perform(
            request,
            operations.add_member,
            rotation.layers.first().pk,
            given["user"].pk,
            effective_from=given["effective_from"],
            done=f"{given['user'].name} takes turns.",
        )
        return self.go_to_row(request, object_id)

    @action(
        description="End a place",
        icon="person_remove",
        **_MANAGE,
        dialog={
            "title": "End somebody's place",
            "description": "If they are on duty then, the next in the order takes over.",
            "form_class": EndMemberForm,
            "form_submit_text": "End",
        },
    )
    def end_member(self, request: HttpRequest, form: EndMemberForm, object_id: str) -> HttpResponse:
        given = form.cleaned_data
        self.row(request, object_id)
        self.perform(
            request,
            operations.end_member,
            given["member"].pk,
            effective_until=given["effective_until"],
            done=f"The place of {given['member'].user.name} ends.",
        )
        return self.go_to_row(request, object_id)

    @action(
        description="Edit",
        icon="edit",
        **_MANAGE,
        dialog={
            "title": "Edit the rotation",
            "description": "A new handoff also moves the boundaries of past weeks.",
            "form_class": EditRotationForm,
            "form_submit_text": "Save",
        },
    )
    def edit(self, request: HttpRequest, form: EditRotationForm, object_id: str) -> HttpResponse:
        given, rotation = form.cleaned_data, self.row(request, object_id)
        given.pop("_form_submitted", None)
        self.perform(request, operations.update_rotation, rotation.pk, **given, done="The rotation is saved.")
        return self.go_to_row(request, object_id)

    @action(
        description="Delete",
        icon="delete",
        variant=ActionVariant.DANGER,
        **_MANAGE,
        dialog={"title": "Delete this rotation?", "description": "Its history stays. No role may mean it."},
    )
    def remove(self, request: HttpRequest, form: Any, object_id: str) -> HttpResponse:
        rotation = self.row(request, object_id)
        gone = self.perform(request, _deleted, rotation.pk, done="The rotation is deleted.")
        return self.go_to_list(request) if gone else self.go_to_row(request, object_id)


def _deleted(rotation_id: int, **kwargs: Any) -> bool:
    """`delete_rotation` returns nothing, which is also what a refusal looks like to a page."""
    operations.delete_rotation(rotation_id, **kwargs)
    return True
