"""Webhook endpoints: made here, their secret shown once, tested, paused."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from django import forms
from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from unfold.decorators import action, display
from unfold.enums import ActionVariant
from unfold.forms import BaseDialogForm
from unfold.widgets import UnfoldAdminTextareaWidget, UnfoldAdminTextInputWidget

from apps.messaging import endpoints
from apps.messaging.models import WebhookEndpoint
from apps.messaging.queries import endpoints_visible_to
from apps.people.admin.base import PortalModelAdmin

_FIELDS = ("name", "url", "kinds", "state", "owner", "created_at")


class EndpointForm(BaseDialogForm):
    """Where to, and what about."""

    name = forms.CharField(max_length=120, widget=UnfoldAdminTextInputWidget, help_text="what listens there")
    url = forms.CharField(max_length=500, widget=UnfoldAdminTextInputWidget, label="Address")
    event_kinds = forms.CharField(
        required=False,
        max_length=5000,
        widget=UnfoldAdminTextareaWidget,
        label="Kinds of events",
        help_text='one a line, such as "incidents.declared" or "paging.*"; empty: all',
    )

    def clean_event_kinds(self) -> list[str]:
        return [line.strip() for line in str(self.cleaned_data["event_kinds"]).splitlines() if line.strip()]


class EndpointChangeForm(EndpointForm):
    """The same, filled in."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        key = str(self.object_id or "")
        found = endpoints_visible_to(self.request.user).filter(pk=key).first() if key.isdecimal() else None
        if found is not None:
            self.fields["name"].initial, self.fields["url"].initial = found.name, found.url
            self.fields["event_kinds"].initial = "\n".join(found.event_kinds)


@admin.register(WebhookEndpoint)
class WebhookEndpointAdmin(PortalModelAdmin):
    """An endpoint hears of what its owner may see, so only its owner says where it is."""

    list_display = ("name", "url", "kinds", "shown_state", "owner", "created_at")
    list_filter = ("state",)
    search_fields = ("name", "url", "owner__username")
    list_select_related = ("owner",)
    fields = _FIELDS
    readonly_fields = _FIELDS
    readonly: ClassVar[Sequence[str]] = ()
    actions_list = ("new",)
    actions_detail = ("edit", "send_test", "rotate", "pause", "activate")

    def visible_to(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        return queryset.filter(pk__in=endpoints_visible_to(request.user).values("pk"))

    def has_add_permission(self, request: HttpRequest) -> bool:
        # Only the dialog makes one: it shows the secret.
        return False

    def delete_model(self, request: HttpRequest, obj: Any) -> None:
        self.perform(request, endpoints.delete_endpoint, obj.pk)

    @display(description="Kinds of events")
    def kinds(self, endpoint: WebhookEndpoint) -> str:
        return ", ".join(endpoint.event_kinds) or "all"

    @display(description="State", ordering="state", label={"active": "success", "paused": "warning"})
    def shown_state(self, endpoint: WebhookEndpoint) -> tuple[str, str]:
        return endpoint.state, endpoint.get_state_display()

    def has_new_permission(self, request: HttpRequest, object_id: str | None = None) -> bool:
        return bool(request.user.has_perm("messaging.add_webhookendpoint"))

    @action(
        description="New endpoint",
        icon="add",
        permissions=["new"],
        dialog={
            "title": "New webhook endpoint",
            "description": "It is told, by signed requests, of what you may see.",
            "form_class": EndpointForm,
            "form_submit_text": "Create",
        },
    )
    def new(self, request: HttpRequest, form: EndpointForm) -> HttpResponse:
        given = form.cleaned_data
        made = self.perform(
            request, endpoints.create_endpoint, given["name"], given["url"], event_kinds=given["event_kinds"]
        )
        return self.go_to_list(request) if made is None else self._show_secret(request, *made)

    def _show_secret(self, request: HttpRequest, endpoint: WebhookEndpoint, secret: str) -> HttpResponse:
        response = render(request, "messaging/secret_made.html", {"endpoint": endpoint, "secret": secret})
        response["Cache-Control"] = "no-store"
        return response

    def _mine(self, request: HttpRequest, object_id: str | None) -> WebhookEndpoint | None:
        found = self.get_object(request, str(object_id))
        own = isinstance(found, WebhookEndpoint) and (
            found.owner_id == request.user.pk or bool(getattr(request.user, "is_superuser", False))
        )
        return found if own and self.has_change_permission(request, found) else None

    def has_edit_permission(self, request: HttpRequest, object_id: str | None = None) -> bool:
        return self._mine(request, object_id) is not None

    @action(
        description="Edit",
        icon="edit",
        permissions=["edit"],
        dialog={
            "title": "Edit this endpoint",
            "description": "What waits goes to the new address.",
            "form_class": EndpointChangeForm,
            "form_submit_text": "Save",
        },
    )
    def edit(self, request: HttpRequest, form: EndpointForm, object_id: str) -> HttpResponse:
        endpoint = self.row(request, object_id)
        given = {name: form.cleaned_data[name] for name in ("name", "url", "event_kinds")}
        self.perform(request, endpoints.change_endpoint, endpoint.pk, **given, done="The endpoint is changed.")
        return self.go_to_row(request, object_id)

    def has_send_test_permission(self, request: HttpRequest, object_id: str | None = None) -> bool:
        found = self.get_object(request, str(object_id))
        return found is not None and found.state == "active" and self.has_change_permission(request, found)

    @action(
        description="Send a test",
        icon="send",
        permissions=["send_test"],
        dialog={"title": "Send a test event?", "description": "Its kind is portal.test."},
    )
    def send_test(self, request: HttpRequest, form: Any, object_id: str) -> HttpResponse:
        return self.press(request, endpoints.send_test, object_id, done="The test is queued; see Messages.")

    has_rotate_permission = has_edit_permission

    @action(
        description="New secret",
        icon="key",
        permissions=["rotate"],
        dialog={
            "title": "Make a new secret?",
            "description": "All requests from now on are signed with it; the old one is forgotten.",
        },
    )
    def rotate(self, request: HttpRequest, form: Any, object_id: str) -> HttpResponse:
        endpoint = self.row(request, object_id)
        made = self.perform(request, endpoints.rotate_secret, endpoint.pk)
        return self.go_to_row(request, object_id) if made is None else self._show_secret(request, *made)

    has_pause_permission = has_send_test_permission

    @action(
        description="Pause",
        icon="pause",
        variant=ActionVariant.DANGER,
        permissions=["pause"],
        dialog={"title": "Pause this endpoint?", "description": "Nothing is sent to it; what waits becomes void."},
    )
    def pause(self, request: HttpRequest, form: Any, object_id: str) -> HttpResponse:
        return self.press(request, endpoints.pause_endpoint, object_id, done="The endpoint is paused.")

    def has_activate_permission(self, request: HttpRequest, object_id: str | None = None) -> bool:
        found = self._mine(request, object_id)
        return found is not None and found.state == WebhookEndpoint.State.PAUSED

    @action(
        description="Activate",
        icon="play_arrow",
        permissions=["activate"],
        dialog={"title": "Activate this endpoint?", "description": "It is told of events from now on."},
    )
    def activate(self, request: HttpRequest, form: Any, object_id: str) -> HttpResponse:
        return self.press(request, endpoints.activate_endpoint, object_id, done="The endpoint is active.")
