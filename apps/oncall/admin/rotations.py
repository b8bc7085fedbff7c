"""Rotations: who is on call now, who follows, their layers, and the weeks to come."""

from __future__ import annotations

from functools import partial
from typing import Any, ClassVar
from zoneinfo import ZoneInfo

from django.contrib import admin, messages
from django.contrib.admin.views.main import ChangeList
from django.db.models import Q, QuerySet
from django.http import HttpRequest, HttpResponse
from django.urls import URLPattern, path, reverse
from unfold.decorators import action, display
from unfold.enums import ActionVariant

from apps.catalog.permissions import leads_any_team
from apps.foundation.clock import now
from apps.oncall import operations
from apps.oncall.admin.calendar_page import calendar_view
from apps.oncall.admin.cover_forms import CoverageForm, CoverForm, PauseForm, SwapForm
from apps.oncall.admin.fairness_page import fairness_view
from apps.oncall.admin.forms import EditRotationForm, NewLayerForm, NewRotationForm
from apps.oncall.admin.shift_page import shift_view
from apps.oncall.admin.showing import handoff_text, layers_table, two_weeks
from apps.oncall.models import Coverage, Layer, Override, Pause, Rotation, Swap
from apps.oncall.permissions import may_edit
from apps.oncall.queries import OnCallNow, on_call_now, visible_rotations, warnings_of
from apps.people.admin.base import PortalModelAdmin, ReadOnlyAdmin, ReadOnlyInline, request_actor

_MANAGE: Any = {"permissions": ["edit"]}
_COVER: Any = {"permissions": ["cover"]}


class OnCallList(ChangeList):
    """The list with who is on call, asked once for all its rows."""

    def get_results(self, request: HttpRequest) -> None:
        super().get_results(request)
        rows = list(self.result_list)
        for row, found in zip(rows, on_call_now(rows), strict=True):
            row.on_call = found
        self.result_list = rows


class OverrideInline(ReadOnlyInline):
    """Covers that are not over yet."""

    model = Override
    fk_name = "rotation"
    fields: Any = ("user", "replaces", "starts_at", "ends_at", "reason")
    verbose_name_plural = "covers to come"
    show_change_link = True

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        rows: QuerySet[Any] = super().get_queryset(request)
        still = rows.filter(ends_at__gt=now(), cancelled_at__isnull=True)
        return still.select_related("user", "replaces", "rotation").order_by("starts_at")


class CoverageInline(ReadOnlyInline):
    """Extra people, now and to come."""

    model = Coverage
    fields = ("user", "starts_at", "ends_at", "reason")
    verbose_name_plural = "extra people to come"
    show_change_link = True

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        rows: QuerySet[Any] = super().get_queryset(request)
        still = rows.filter(ends_at__gt=now(), cancelled_at__isnull=True)
        return still.select_related("user", "rotation").order_by("starts_at")


class PauseInline(ReadOnlyInline):
    """Pauses that are not over yet."""

    model = Pause
    fields = ("user", "starts_at", "ends_at", "reason")
    verbose_name_plural = "pauses"
    show_change_link = True

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        rows: QuerySet[Any] = super().get_queryset(request)
        still = rows.filter(Q(ends_at__isnull=True) | Q(ends_at__gt=now()))
        return still.select_related("user", "rotation").order_by("starts_at")


class SwapInline(ReadOnlyInline):
    """Offers that wait for somebody."""

    model = Swap
    fields = ("user", "asked", "taker", "starts_at", "ends_at", "state")
    verbose_name_plural = "open swaps"
    show_change_link = True

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        rows: QuerySet[Any] = super().get_queryset(request)
        still = rows.filter(ends_at__gt=now(), state__in=[Swap.State.OPEN, Swap.State.TO_APPROVE])
        return still.select_related("user", "asked", "taker", "rotation").order_by("starts_at")


@admin.register(Rotation)
class RotationAdmin(ReadOnlyAdmin, PortalModelAdmin):
    """A rotation's page is for reading; its buttons call operations."""

    list_display = ("name", "team", "on_call", "until", "next_up", "handoff")
    list_filter = ("team",)
    search_fields = ("name", "slug", "team__name")
    ordering = ("team__name", "name")
    fields = (
        "name", "slug", "team", "swaps_need_approval", "layer_table", "on_call", "also", "until", "next_up", "weeks",
    )  # fmt: skip
    readonly_fields = fields
    inlines: ClassVar[list[Any]] = [OverrideInline, CoverageInline, PauseInline, SwapInline]
    actions_list = ("new",)
    actions_detail = ("cover", "cover_besides", "offer", "add_layer", "pause", "edit", "remove")

    def get_urls(self) -> list[URLPattern]:
        site, wrap = self.admin_site, self.admin_site.admin_view
        return [
            path("calendar/", wrap(partial(calendar_view, site=site)), name="oncall_rotation_calendar"),
            path("fairness/", wrap(partial(fairness_view, site=site)), name="oncall_rotation_fairness"),
            path("<path:object_id>/shift/", wrap(partial(shift_view, site=site)), name="oncall_rotation_shift"),
            *super().get_urls(),
        ]

    def visible_to(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        return visible_rotations(request.user).prefetch_related("layers")

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        base = super().get_changelist(request, **kwargs)
        return type("OnCallList", (OnCallList, base), {})

    # --- what is shown ---

    def _now(self, rotation: Any) -> OnCallNow:
        if not hasattr(rotation, "on_call"):
            (rotation.on_call,) = on_call_now([rotation])
        found: OnCallNow = rotation.on_call
        return found

    def _zone(self, rotation: Rotation) -> str:
        """The zone of the lowest layer, which is the one that others lie upon."""
        layers: list[Layer] = list(rotation.layers.all())
        return layers[-1].time_zone if layers else "UTC"

    @display(description="On call now")
    def on_call(self, rotation: Rotation) -> str:
        found = self._now(rotation)
        return found.user.name if found.user else "NOBODY"

    @display(description="Besides")
    def also(self, rotation: Rotation) -> str:
        return ", ".join(user.name for user in self._now(rotation).also) or "–"

    @display(description="Until")
    def until(self, rotation: Rotation) -> str:
        until = self._now(rotation).until
        return f"{until.astimezone(ZoneInfo(self._zone(rotation))):%a %d %b %H:%M}" if until else "–"

    @display(description="Then")
    def next_up(self, rotation: Rotation) -> str:
        found = self._now(rotation)
        return found.next_user.name if found.next_user else "–"

    @display(description="Handoff")
    def handoff(self, rotation: Rotation) -> str:
        layers: list[Layer] = list(rotation.layers.all())
        return "; ".join(handoff_text(layer) for layer in reversed(layers)) or "–"

    @display(description="Layers, the highest first")
    def layer_table(self, rotation: Rotation) -> str:
        return layers_table(rotation)

    @display(description="The next two weeks")
    def weeks(self, rotation: Rotation) -> str:
        return two_weeks(rotation, self._zone(rotation))

    def _warn(self, request: HttpRequest, rotation: Rotation) -> None:
        """Say at once what makes pages reach nobody."""
        for sentence in warnings_of([rotation])[rotation.pk]:
            messages.warning(request, sentence)

    # --- what can be done ---

    def has_edit_permission(self, request: HttpRequest, object_id: str | None = None) -> bool:
        rotation = self.get_object(request, str(object_id)) if object_id else None
        return rotation is not None and may_edit(request_actor(request), rotation.team_id, "oncall.change_rotation")

    def has_new_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("oncall.add_rotation") or leads_any_team(request.user)

    def has_offer_permission(self, request: HttpRequest, object_id: str | None = None) -> bool:
        return request.user.has_perm("oncall.add_swap") or self.has_edit_permission(request, object_id)

    def has_cover_permission(self, request: HttpRequest, object_id: str | None = None) -> bool:
        return request.user.has_perm("oncall.add_override") or self.has_edit_permission(request, object_id)

    @action(
        description="New rotation",
        icon="add",
        permissions=["new"],
        dialog={
            "title": "New rotation",
            "description": "Its first layer holds at once; add people on the next page.",
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
            **form.fields_of_layer(),
            done="The rotation is there. Now add its people, in their order.",
        )
        if made is None:
            return self.go_to_list(request)
        self._warn(request, made)
        layer = made.layers.get()
        return self.go(request, reverse("admin:oncall_layer_change", args=[layer.pk]))

    @action(
        description="Cover",
        icon="swap_horiz",
        permissions=["cover"],
        dialog={
            "title": "Put somebody on call instead",
            "description": "Instead of whoever has the duty, or only where one person would be on.",
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
            replaces_id=given["replaces"].pk if given["replaces"] else None,
            reason=given["reason"],
            done=f"{given['user'].name} covers.",
        )
        return self.go_to_row(request, object_id)

    @action(
        description="Extra people",
        icon="group_add",
        **_COVER,
        dialog={
            "title": "Put extra people on call",
            "description": "Besides whoever has the duty, for a launch say.",
            "form_class": CoverageForm,
            "form_submit_text": "Add",
        },
    )
    def cover_besides(self, request: HttpRequest, form: CoverageForm, object_id: str) -> HttpResponse:
        given, rotation = form.cleaned_data, self.row(request, object_id)
        self.perform(
            request,
            operations.add_coverage,
            rotation.pk,
            [user.pk for user in given["users"]],
            given["starts_at"],
            given["ends_at"],
            reason=given["reason"],
            done="They are on call besides.",
        )
        return self.go_to_row(request, object_id)

    @action(
        description="Offer time",
        icon="swap_calls",
        permissions=["offer"],
        dialog={
            "title": "Offer time on call",
            "description": "Somebody takes it, or nothing changes.",
            "form_class": SwapForm,
            "form_submit_text": "Offer",
        },
    )
    def offer(self, request: HttpRequest, form: SwapForm, object_id: str) -> HttpResponse:
        given, rotation = form.cleaned_data, self.row(request, object_id)
        self.perform(
            request,
            operations.request_swap,
            rotation.pk,
            given["starts_at"],
            given["ends_at"],
            user_id=given["user"].pk if given["user"] else None,
            asked_id=given["asked"].pk if given["asked"] else None,
            reason=given["reason"],
            done="The time is offered.",
        )
        return self.go_to_row(request, object_id)

    @action(
        description="Add a layer",
        icon="layers",
        **_MANAGE,
        dialog={
            "title": "Add a layer",
            "description": "It wins over the others where it has somebody.",
            "form_class": NewLayerForm,
            "form_submit_text": "Add",
        },
    )
    def add_layer(self, request: HttpRequest, form: NewLayerForm, object_id: str) -> HttpResponse:
        rotation = self.row(request, object_id)
        made = self.perform(
            request,
            operations.add_layer,
            rotation.pk,
            form.cleaned_data["name"],
            **form.fields_of_layer(),
            done="The layer is there. Now add its people, in their order.",
        )
        if made is None:
            return self.go_to_row(request, object_id)
        self._warn(request, rotation)
        return self.go(request, reverse("admin:oncall_layer_change", args=[made.pk]))

    @action(
        description="Pause",
        icon="pause_circle",
        **_MANAGE,
        dialog={
            "title": "Pause somebody, or everybody",
            "description": "The order stays; whoever is next has the turn meanwhile.",
            "form_class": PauseForm,
            "form_submit_text": "Pause",
        },
    )
    def pause(self, request: HttpRequest, form: PauseForm, object_id: str) -> HttpResponse:
        given, rotation = form.cleaned_data, self.row(request, object_id)
        self.perform(
            request,
            operations.pause,
            rotation.pk,
            user_id=given["user"].pk if given["user"] else None,
            starts_at=given["starts_at"],
            ends_at=given["ends_at"],
            reason=given["reason"],
            done="The pause is noted.",
        )
        return self.go_to_row(request, object_id)

    @action(
        description="Edit",
        icon="edit",
        **_MANAGE,
        dialog={
            "title": "Edit the rotation",
            "description": "Handoffs are edited on the page of a layer.",
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
