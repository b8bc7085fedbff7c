"""Where people are paged: everybody keeps their own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from django import forms
from django.contrib import admin
from django.db.models import Model, QuerySet
from django.http import HttpRequest, HttpResponse
from unfold.decorators import action
from unfold.enums import ActionVariant
from unfold.forms import BaseDialogForm
from unfold.widgets import UnfoldAdminSelectWidget, UnfoldAdminTextInputWidget

from apps.people import operations
from apps.people.admin.base import PortalModelAdmin
from apps.people.models import ContactPoint
from apps.people.queries import visible_contact_points


class NewContactPointForm(BaseDialogForm):
    """A new address of one's own."""

    kind = forms.ChoiceField(choices=ContactPoint.Kind.choices, widget=UnfoldAdminSelectWidget)
    address = forms.CharField(max_length=500, widget=UnfoldAdminTextInputWidget)
    label = forms.CharField(max_length=80, required=False, widget=UnfoldAdminTextInputWidget)


class CodeForm(BaseDialogForm):
    """The code that proves that the address reaches its person."""

    code = forms.CharField(
        max_length=20,
        required=False,
        widget=UnfoldAdminTextInputWidget,
        help_text="from the message that was sent there; administrators need none",
    )


@admin.register(ContactPoint)
class ContactPointAdmin(PortalModelAdmin):
    """One's own addresses; all of them for those who may see them."""

    list_display = ("user", "kind", "address", "label", "position", "state")
    list_filter = ("kind", "state")
    search_fields = ("address", "label", "user__username", "user__display_name")
    list_select_related = ("user",)
    # Another address is another contact point: it must be verified anew.
    readonly: ClassVar[Sequence[str]] = ("user", "kind", "address", "state", "verified_at")
    fields = ("user", "kind", "address", "label", "position", "state", "verified_at")
    actions_list = ("new",)
    actions_detail = ("verify", "disable")

    def visible_to(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        return queryset.filter(pk__in=visible_contact_points(request.user).values("pk"))

    def _own(self, request: HttpRequest, obj: Model | None) -> bool:
        return obj is None or (isinstance(obj, ContactPoint) and obj.user_id == request.user.pk)

    def has_module_permission(self, request: HttpRequest) -> bool:
        return request.user.is_authenticated

    def has_view_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return self._own(request, obj) or super().has_view_permission(request, obj)

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return self._own(request, obj) or super().has_change_permission(request, obj)

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        # The list's "delete selected" asks without a row: that is for administrators.
        return (obj is not None and self._own(request, obj)) or super().has_delete_permission(request, obj)

    @action(
        description="New contact point",
        icon="add",
        dialog={
            "title": "New contact point",
            "description": "An address at which you are paged.",
            "form_class": NewContactPointForm,
            "form_submit_text": "Add",
        },
    )
    def new(self, request: HttpRequest, form: NewContactPointForm) -> HttpResponse:
        given = form.cleaned_data
        self.perform(
            request,
            operations.add_contact_point,
            request.user.pk,
            given["kind"],
            given["address"],
            label=given["label"],
            done="The address is there. Verify it, so that you know that pages reach you.",
        )
        return self.go_to_list(request)

    def has_verify_permission(self, request: HttpRequest, object_id: str | None = None) -> bool:
        point = self.get_object(request, str(object_id))
        return point is not None and point.state == "unverified" and self.has_change_permission(request, point)

    @action(
        description="Verify",
        icon="verified",
        permissions=["verify"],
        dialog={
            "title": "Verify this address",
            "description": "",
            "form_class": CodeForm,
            "form_submit_text": "Verify",
        },
    )
    def verify(self, request: HttpRequest, form: CodeForm, object_id: str) -> HttpResponse:
        point, code = self.row(request, object_id), form.cleaned_data["code"]
        self.perform(request, operations.verify_contact_point, point.pk, code=code, done="The address is verified.")
        return self.go_to_row(request, object_id)

    def has_disable_permission(self, request: HttpRequest, object_id: str | None = None) -> bool:
        point = self.get_object(request, str(object_id))
        return point is not None and point.state != "disabled" and self.has_change_permission(request, point)

    @action(
        description="Disable",
        icon="notifications_off",
        variant=ActionVariant.DANGER,
        permissions=["disable"],
        dialog={"title": "Stop paging at this address?", "description": "It is kept, but nothing is sent to it."},
    )
    def disable(self, request: HttpRequest, form: Any, object_id: str) -> HttpResponse:
        return self.press(request, operations.disable_contact_point, object_id, done="Nobody is paged there any more.")
