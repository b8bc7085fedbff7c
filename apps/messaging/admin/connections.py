"""The portal's accounts at providers: made here, their secrets never shown, tested, paused."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from django import forms
from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils.html import format_html
from unfold.decorators import action, display
from unfold.enums import ActionVariant
from unfold.forms import BaseDialogForm
from unfold.widgets import (
    UnfoldAdminPasswordWidget,
    UnfoldAdminSelectWidget,
    UnfoldAdminTextareaWidget,
    UnfoldAdminTextInputWidget,
)

from apps.messaging import connections
from apps.messaging.models import Connection, Destination
from apps.messaging.queries import connections_visible_to, destinations_visible_to
from apps.people.admin.base import PortalModelAdmin

_SECRETS = ("token", "signing_secret")


def _text(most: int, label: str, help_text: str = "", *, required: bool = False) -> forms.CharField:
    return forms.CharField(
        max_length=most, required=required, label=label, help_text=help_text, widget=UnfoldAdminTextInputWidget
    )


class ConnectionForm(BaseDialogForm):
    """An account at a provider; which fields it needs depends on the kind."""

    kind = forms.ChoiceField(
        choices=[choice for choice in Connection.Kind.choices if choice[0] != Connection.Kind.PUSH],
        widget=UnfoldAdminSelectWidget,
    )
    name = _text(120, "Name", required=True)
    token = forms.CharField(
        max_length=500,
        required=False,
        widget=UnfoldAdminPasswordWidget,
        label="Token",
        help_text="Slack's bot token (xoxb-…), or Twilio's auth token",
    )
    signing_secret = forms.CharField(
        max_length=2000,
        required=False,
        widget=UnfoldAdminTextareaWidget,
        label="Signing secret",
        help_text="of Slack's app, or of PagerDuty's webhooks (several: one a line)",
    )
    account = _text(80, "Account", "Twilio's account SID")
    sender = _text(80, "Sender", "Twilio: a phone number, or the SID of a messaging service")
    base_url = _text(300, "Base address", "empty: the provider's own")


class ConnectionChangeForm(ConnectionForm):
    """The same, filled in; empty secrets stay as they are."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        del self.fields["kind"]
        key = str(self.object_id or "")
        found = connections_visible_to(self.request.user).filter(pk=key).first() if key.isdecimal() else None
        if found is not None:
            for name in ("name", "account", "sender", "base_url"):
                self.fields[name].initial = getattr(found, name)
        for name in _SECRETS:
            self.fields[name].help_text = "empty: it stays as it is"


class AddressForm(BaseDialogForm):
    """Where the test goes."""

    address = _text(500, "To", "a Slack channel or member ID, or a phone number", required=True)


@admin.register(Connection)
class ConnectionAdmin(PortalModelAdmin):
    """Shown with where the provider calls back; never with a secret."""

    list_display = ("name", "kind", "shown_state", "broken_at", "broken_detail")
    list_filter = ("kind", "state")
    search_fields = ("name",)
    fields = (
        *("name", "kind", "state", "base_url", "account", "sender", "callback"),
        *("broken_at", "broken_detail", "created_at"),
    )
    readonly_fields = fields
    readonly: ClassVar[Sequence[str]] = ()
    actions_list = ("new",)
    actions_detail = ("edit", "send_test", "pause", "activate")

    def visible_to(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        return queryset.filter(pk__in=connections_visible_to(request.user).values("pk"))

    def has_add_permission(self, request: HttpRequest) -> bool:
        # Only the dialog makes one: its secrets are sealed.
        return False

    def delete_model(self, request: HttpRequest, obj: Any) -> None:
        self.perform(request, connections.delete_connection, obj.pk)

    @display(description="State", ordering="state", label={"active": "success", "paused": "warning"})
    def shown_state(self, connection: Connection) -> tuple[str, str]:
        return connection.state, connection.get_state_display()

    @display(description="The provider calls back at")
    def callback(self, connection: Connection) -> str:
        address = connections.callback_address(connection)
        return format_html('<span class="break-all">{}</span>', address) if address else "never"

    def has_new_permission(self, request: HttpRequest, object_id: str | None = None) -> bool:
        return bool(request.user.has_perm("messaging.add_connection"))

    @action(
        description="New connection",
        icon="add",
        permissions=["new"],
        dialog={
            "title": "New connection",
            "description": "An account of the portal's at a provider. Secrets are sealed and never shown.",
            "form_class": ConnectionForm,
            "form_submit_text": "Create",
        },
    )
    def new(self, request: HttpRequest, form: ConnectionForm) -> HttpResponse:
        given = form.cleaned_data
        fields = {name: given[name] for name in (*_SECRETS, "account", "sender", "base_url")}
        made = self.perform(
            request,
            connections.create_connection,
            given["name"],
            given["kind"],
            **fields,
            done="It is there. Give the provider the address at which it calls back.",
        )
        return self.go_to_list(request) if made is None else self.go_to_row(request, str(made.pk))

    def _changeable(self, request: HttpRequest, object_id: str | None) -> Connection | None:
        found = self.get_object(request, str(object_id))
        return found if isinstance(found, Connection) and self.has_change_permission(request, found) else None

    def has_edit_permission(self, request: HttpRequest, object_id: str | None = None) -> bool:
        return self._changeable(request, object_id) is not None

    @action(
        description="Edit",
        icon="edit",
        permissions=["edit"],
        dialog={
            "title": "Edit this connection",
            "description": "With another base address the token is needed again.",
            "form_class": ConnectionChangeForm,
            "form_submit_text": "Save",
        },
    )
    def edit(self, request: HttpRequest, form: ConnectionForm, object_id: str) -> HttpResponse:
        row = self.row(request, object_id)
        given = {name: form.cleaned_data[name] for name in ("name", *_SECRETS, "account", "sender", "base_url")}
        self.perform(request, connections.change_connection, row.pk, **given, done="The connection is changed.")
        return self.go_to_row(request, object_id)

    def has_send_test_permission(self, request: HttpRequest, object_id: str | None = None) -> bool:
        found = self._changeable(request, object_id)
        return found is not None and found.state == "active" and found.kind in {"slack", "sms"}

    @action(
        description="Send a test",
        icon="send",
        permissions=["send_test"],
        dialog={
            "title": "Send a test",
            "description": "What became of it stands under Messages.",
            "form_class": AddressForm,
            "form_submit_text": "Send",
        },
    )
    def send_test(self, request: HttpRequest, form: AddressForm, object_id: str) -> HttpResponse:
        row, address = self.row(request, object_id), form.cleaned_data["address"]
        self.perform(request, connections.test_connection, row.pk, address, done="The test is queued; see Messages.")
        return self.go_to_row(request, object_id)

    def has_pause_permission(self, request: HttpRequest, object_id: str | None = None) -> bool:
        found = self._changeable(request, object_id)
        return found is not None and found.state == Connection.State.ACTIVE

    @action(
        description="Pause",
        icon="pause",
        variant=ActionVariant.DANGER,
        permissions=["pause"],
        dialog={
            "title": "Pause this connection?",
            "description": "Messages that need it fail; people are reached in their other ways.",
        },
    )
    def pause(self, request: HttpRequest, form: Any, object_id: str) -> HttpResponse:
        row = self.row(request, object_id)
        self.perform(request, connections.pause_connection, row.pk, done="The connection is paused.")
        return self.go_to_row(request, object_id)

    def has_activate_permission(self, request: HttpRequest, object_id: str | None = None) -> bool:
        found = self._changeable(request, object_id)
        return found is not None and found.state == Connection.State.PAUSED

    @action(
        description="Activate",
        icon="play_arrow",
        permissions=["activate"],
        dialog={"title": "Activate this connection?", "description": "Messages are sent with it from now on."},
    )
    def activate(self, request: HttpRequest, form: Any, object_id: str) -> HttpResponse:
        row = self.row(request, object_id)
        self.perform(request, connections.activate_connection, row.pk, done="The connection is active.")
        return self.go_to_row(request, object_id)


class DestinationForm(BaseDialogForm):
    """A place and the name that packs give it."""

    kind = forms.ChoiceField(choices=Destination.Kind.choices, widget=UnfoldAdminSelectWidget)
    name = _text(120, "Name", "as in the pack, for example #alerts-economy or economy-oncall", required=True)
    target = _text(
        2000,
        "Target",
        "Slack channel, integration key of a PagerDuty service, Discord webhook, mailing list, or Apprise address",
        required=True,
    )


class DestinationChangeForm(DestinationForm):
    """The same, filled in; an empty target stays as it is."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        del self.fields["kind"]
        key = str(self.object_id or "")
        found = destinations_visible_to(self.request.user).filter(pk=key).first() if key.isdecimal() else None
        if found is not None:
            self.fields["name"].initial = found.name
        self.fields["target"].required = False
        self.fields["target"].help_text = "empty: it stays as it is"


@admin.register(Destination)
class DestinationAdmin(PortalModelAdmin):
    """Where whole teams read or are called."""

    list_display = ("name", "kind", "target", "connection", "broken_at", "broken_detail")
    list_filter = ("kind",)
    search_fields = ("name",)
    list_select_related = ("connection",)
    fields = ("kind", "name", "target", "connection", "broken_at", "broken_detail", "created_at")
    readonly_fields = fields
    readonly: ClassVar[Sequence[str]] = ()
    actions_list = ("new",)
    actions_detail = ("edit", "send_test")

    def visible_to(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        return queryset.filter(pk__in=destinations_visible_to(request.user).values("pk"))

    def has_add_permission(self, request: HttpRequest) -> bool:
        # Only the dialog makes one: its target may be a secret.
        return False

    def delete_model(self, request: HttpRequest, obj: Any) -> None:
        self.perform(request, connections.delete_destination, obj.pk)

    def has_new_permission(self, request: HttpRequest, object_id: str | None = None) -> bool:
        return bool(request.user.has_perm("messaging.add_destination"))

    @action(
        description="New destination",
        icon="add",
        permissions=["new"],
        dialog={
            "title": "New destination",
            "description": "A channel, service or list that a whole team reads or is called by.",
            "form_class": DestinationForm,
            "form_submit_text": "Create",
        },
    )
    def new(self, request: HttpRequest, form: DestinationForm) -> HttpResponse:
        given = form.cleaned_data
        self.perform(
            request,
            connections.create_destination,
            given["kind"],
            given["name"],
            given["target"],
            done="The destination is there. Send it a test.",
        )
        return self.go_to_list(request)

    def has_edit_permission(self, request: HttpRequest, object_id: str | None = None) -> bool:
        found = self.get_object(request, str(object_id))
        return found is not None and self.has_change_permission(request, found)

    @action(
        description="Edit",
        icon="edit",
        permissions=["edit"],
        dialog={
            "title": "Edit this destination",
            "description": "",
            "form_class": DestinationChangeForm,
            "form_submit_text": "Save",
        },
    )
    def edit(self, request: HttpRequest, form: DestinationForm, object_id: str) -> HttpResponse:
        row = self.row(request, object_id)
        given = {name: form.cleaned_data[name] for name in ("name", "target")}
        self.perform(request, connections.change_destination, row.pk, **given, done="The destination is changed.")
        return self.go_to_row(request, object_id)

    has_send_test_permission = has_edit_permission

    @action(
        description="Send a test",
        icon="send",
        permissions=["send_test"],
        dialog={"title": "Send a test there?", "description": "What became of it stands under Messages."},
    )
    def send_test(self, request: HttpRequest, form: Any, object_id: str) -> HttpResponse:
        row = self.row(request, object_id)
        self.perform(request, connections.test_destination, row.pk, done="The test is queued; see Messages.")
        return self.go_to_row(request, object_id)
