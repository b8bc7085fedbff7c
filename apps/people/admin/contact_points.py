"""Where people are paged: everybody keeps their own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from django import forms
from django.contrib import admin
from django.db.models import Model, QuerySet
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from unfold.decorators import action, display
from unfold.enums import ActionVariant
from unfold.forms import BaseDialogForm
from unfold.widgets import UnfoldAdminSelectWidget, UnfoldAdminTextInputWidget

from apps.people import operations
from apps.people.admin.base import PortalModelAdmin
from apps.people.models import ContactPoint
from apps.people.queries import visible_contact_points


class NewContactPointForm(BaseDialogForm):
    """A new address of one's own."""

    kind = forms.ChoiceField(
        # A push subscription is made by the browser, on the page "This device".
        choices=[choice for choice in ContactPoint.Kind.choices if choice[0] != ContactPoint.Kind.PUSH],
        widget=UnfoldAdminSelectWidget,
    )
    address = forms.CharField(
        max_length=2000,
        widget=UnfoldAdminTextInputWidget,
        help_text="mail address, phone number with country code, Slack member ID, PagerDuty integration key, "
        "address of a webhook or of Apprise",
    )
    label = forms.CharField(max_length=80, required=False, widget=UnfoldAdminTextInputWidget)


class CodeForm(BaseDialogForm):
    """The code that proves that the address reaches its person."""

    code = forms.CharField(
        max_length=20,
        required=False,
        widget=UnfoldAdminTextInputWidget,
        help_text="from the message that was sent there; administrators need none",
    )


_SHOWN = ("user", "kind", "address", "state", "verified_at", "confirmed_at", "external_id", "trouble")


@admin.register(ContactPoint)
class ContactPointAdmin(PortalModelAdmin):
    """One's own addresses; all of them for those who may see them."""

    list_display = ("user", "kind", "address", "label", "position", "state", "verified_at", "confirmed_at", "trouble")
    list_filter = ("kind", "state")
    search_fields = ("address", "label", "user__username", "user__display_name")
    list_select_related = ("user",)
    # Another address is another contact point: it must be verified anew.
    readonly: ClassVar[Sequence[str]] = _SHOWN
    fields = ("user", "kind", "address", "label", "position", *_SHOWN[3:])
    actions_list = ("new", "this_device")
    actions_detail = ("verify", "confirm", "send_code", "disable")

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

    @display(description="Trouble")
    def trouble(self, point: ContactPoint) -> str:
        """Why pages may not arrive there."""
        if point.broken_at is not None:
            return f"refused since {point.broken_at:%Y-%m-%d %H:%M} UTC: {point.broken_detail}"
        return "does it still reach you?" if point.reminded_at is not None else ""

    @action(description="This device", icon="phone_iphone", url_path="this-device")
    def this_device(self, request: HttpRequest) -> HttpResponse:
        return self.go(request, reverse("admin:messaging_message_device"))

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

    def has_confirm_permission(self, request: HttpRequest, object_id: str | None = None) -> bool:
        point = self.get_object(request, str(object_id))
        return point is not None and point.state == "verified" and self.has_change_permission(request, point)

    @action(
        description="It still reaches me",
        icon="thumb_up",
        permissions=["confirm"],
        dialog={
            "title": "Does it still reach you?",
            "description": "The portal asks again when this is long ago. Send a test first if you are not sure.",
        },
    )
    def confirm(self, request: HttpRequest, form: Any, object_id: str) -> HttpResponse:
        point = self.row(request, object_id)
        self.perform(request, operations.confirm_contact_point, point.pk, done="Thank you: it is acknowledged.")
        return self.go_to_row(request, object_id)

    def has_send_code_permission(self, request: HttpRequest, object_id: str | None = None) -> bool:
        point = self.get_object(request, str(object_id))
        return point is not None and point.state != "disabled" and self.has_change_permission(request, point)

    @action(
        description="Send a test",
        icon="send",
        permissions=["send_code"],
        dialog={"title": "Send a test there?", "description": "The message holds the code that verifies the address."},
    )
    def send_code(self, request: HttpRequest, form: Any, object_id: str) -> HttpResponse:
        point = self.row(request, object_id)
        self.perform(request, operations.want_contact_code, point.pk, done="The test is on its way.")
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
