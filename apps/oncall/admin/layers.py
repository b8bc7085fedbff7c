"""Layers: when they hand over and work, and who takes turns in which order."""

from __future__ import annotations

from typing import Any, ClassVar

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils.html import format_html
from unfold.decorators import action, display
from unfold.enums import ActionVariant

from apps.oncall import operations
from apps.oncall.admin.forms import EditLayerForm, EndMemberForm, MemberForm, MembersForm
from apps.oncall.admin.showing import handoff_text, two_weeks, working_text
from apps.oncall.models import Layer, RotationMember
from apps.oncall.permissions import may_edit
from apps.oncall.queries import warnings_of
from apps.people.admin.base import PortalModelAdmin, ReadOnlyAdmin, ReadOnlyInline, request_actor

_MANAGE: Any = {"permissions": ["edit"]}


class MemberInline(ReadOnlyInline):
    """The places, in their order."""

    model = RotationMember
    fields = ("position", "user", "effective_from", "effective_until")
    ordering = ("position", "id")
    verbose_name_plural = "people, in their order"

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        rows: QuerySet[Any] = super().get_queryset(request)
        return rows.select_related("user", "layer__rotation")


@admin.register(Layer)
class LayerAdmin(ReadOnlyAdmin, PortalModelAdmin):
    """A layer's page is for reading; its buttons call operations."""

    list_display = ("name", "rotation", "priority", "handoff", "works")
    list_filter = ("rotation",)
    list_select_related = ("rotation__team", "holiday_calendar")
    search_fields = ("name", "rotation__name")
    ordering = ("rotation__name", "-priority", "-id")
    fields = ("name", "of", "priority", "handoff", "starts_on", "works", "weeks")
    readonly_fields = fields
    inlines: ClassVar[list[Any]] = [MemberInline]
    actions_detail = ("set_members", "add_member", "end_member", "edit", "remove")

    @display(description="Rotation")
    def of(self, layer: Layer) -> str:
        url = reverse("admin:oncall_rotation_change", args=[layer.rotation_id])
        return format_html('<a href="{}">{}</a>', url, layer.rotation.name)

    @display(description="Hands over")
    def handoff(self, layer: Layer) -> str:
        return handoff_text(layer)

    @display(description="Works")
    def works(self, layer: Layer) -> str:
        return "; ".join(working_text(layer))

    @display(description="The rotation's next two weeks")
    def weeks(self, layer: Layer) -> str:
        return two_weeks(layer.rotation, layer.time_zone)

    def has_edit_permission(self, request: HttpRequest, object_id: str | None = None) -> bool:
        layer = self.get_object(request, str(object_id)) if object_id else None
        return layer is not None and may_edit(request_actor(request), layer.rotation.team_id, "oncall.change_layer")

    def _warn(self, request: HttpRequest, layer: Layer) -> None:
        """Say at once what makes pages reach nobody."""
        for sentence in warnings_of([layer.rotation])[layer.rotation_id]:
            messages.warning(request, sentence)

    @action(
        description="People in order",
        icon="format_list_numbered",
        **_MANAGE,
        dialog={
            "title": "Who takes turns, in which order",
            "description": "From the next handoff on, beginning with the first. Whoever is on duty stays until then.",
            "form_class": MembersForm,
            "form_submit_text": "Save",
        },
    )
    def set_members(self, request: HttpRequest, form: MembersForm, object_id: str) -> HttpResponse:
        layer = self.row(request, object_id)
        done = self.perform(
            request,
            operations.set_members,
            layer.pk,
            form.user_ids(),
            effective_from=form.cleaned_data["effective_from"],
            done="The order is saved.",
        )
        if done is not None:
            self._warn(request, layer)
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
        given, layer = form.cleaned_data, self.row(request, object_id)
        done = self.perform(
            request,
            operations.add_member,
            layer.pk,
            given["user"].pk,
            effective_from=given["effective_from"],
            done=f"{given['user'].name} takes turns.",
        )
        if done is not None:
            self._warn(request, layer)
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
        given, layer = form.cleaned_data, self.row(request, object_id)
        self.perform(
            request,
            operations.end_member,
            given["member"].pk,
            effective_until=given["effective_until"],
            done=f"The place of {given['member'].user.name} ends.",
        )
        self._warn(request, layer)
        return self.go_to_row(request, object_id)

    @action(
        description="Edit",
        icon="edit",
        **_MANAGE,
        dialog={
            "title": "Edit the layer",
            "description": "A new handoff also moves the boundaries of past turns.",
            "form_class": EditLayerForm,
            "form_submit_text": "Save",
        },
    )
    def edit(self, request: HttpRequest, form: EditLayerForm, object_id: str) -> HttpResponse:
        given, layer = form.cleaned_data, self.row(request, object_id)
        more = {name: given[name] for name in ("name", "priority", "reason")}
        self.perform(
            request, operations.update_layer, layer.pk, **form.fields_of_layer(), **more, done="The layer is saved."
        )
        return self.go_to_row(request, object_id)

    @action(
        description="Delete",
        icon="delete",
        variant=ActionVariant.DANGER,
        **_MANAGE,
        dialog={"title": "Delete this layer?", "description": "Its history stays. A rotation keeps at least one."},
    )
    def remove(self, request: HttpRequest, form: Any, object_id: str) -> HttpResponse:
        layer = self.row(request, object_id)
        if self.perform(request, _deleted, layer.pk, done="The layer is deleted."):
            return self.go(request, reverse("admin:oncall_rotation_change", args=[layer.rotation_id]))
        return self.go_to_row(request, object_id)


def _deleted(layer_id: int, **kwargs: Any) -> bool:
    """`delete_layer` returns nothing, which is also what a refusal looks like to a page."""
    operations.delete_layer(layer_id, **kwargs)
    return True
