"""Sources of alerts and changes: their addresses, ready to copy, and what becomes of their keys."""

from __future__ import annotations

from typing import Any, ClassVar

from django import forms
from django.contrib import admin
from django.db.models import Model, QuerySet
from django.http import HttpRequest, HttpResponse
from django.template.loader import render_to_string
from django.utils.safestring import SafeString
from unfold.decorators import action
from unfold.enums import ActionVariant
from unfold.forms import BaseDialogForm
from unfold.widgets import UnfoldAdminSelectWidget, UnfoldAdminTextInputWidget

from apps.alerts import operations
from apps.alerts.models import Integration
from apps.alerts.queries import address_for, alertmanager_snippet, user_may_edit, visible_integrations
from apps.catalog.models import Service, Team
from apps.catalog.permissions import leads_any_team
from apps.catalog.queries import led_team_ids, visible_services, visible_teams
from apps.people.admin.base import PortalModelAdmin, ReadOnlyAdmin
from apps.people.models import User


class NewIntegrationForm(BaseDialogForm):
    """What sends, and whom it concerns."""

    name = forms.CharField(max_length=120, widget=UnfoldAdminTextInputWidget, help_text="as people call the sender")
    kind = forms.ChoiceField(choices=Integration.Kind.choices, widget=UnfoldAdminSelectWidget)
    team = forms.ModelChoiceField(queryset=Team.objects.none(), empty_label=None, widget=UnfoldAdminSelectWidget)
    service = forms.ModelChoiceField(
        queryset=Service.objects.none(),
        required=False,
        widget=UnfoldAdminSelectWidget,
        help_text="for alerts whose labels name none",
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        user = self.request.user
        teams = visible_teams(user)
        if not user.has_perm("alerts.add_integration"):
            teams = teams.filter(pk__in=led_team_ids(user.pk))
        self.fields["team"].queryset = teams
        self.fields["service"].queryset = visible_services(user)


class EditIntegrationForm(BaseDialogForm):
    """What can be changed by hand."""

    name = forms.CharField(max_length=120, widget=UnfoldAdminTextInputWidget)
    service = forms.ModelChoiceField(
        queryset=Service.objects.none(),
        required=False,
        widget=UnfoldAdminSelectWidget,
        label="Service, if none is named",
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["service"].queryset = visible_services(self.request.user)


@admin.register(Integration)
class IntegrationAdmin(ReadOnlyAdmin, PortalModelAdmin):
    """Integrations. Only operations write them, so that keys, permissions and history are in one place."""

    list_display = ("name", "kind", "team", "service", "state", "created_at")
    list_filter = ("kind", "state", "team")
    search_fields = ("name", "team__name", "service__name")
    list_select_related = ("team", "service")
    fields = ("name", "kind", "team", "service", "state", "address_field", "created_at")
    readonly_fields: ClassVar[Any] = fields
    actions_list = ("new",)
    actions_detail = ("edit", "pause", "resume", "rotate", "revoke")

    def get_fields(self, request: HttpRequest, obj: Model | None = None) -> Any:
        self._remember(request, obj)
        return self.fields

    def _remember(self, request: HttpRequest, obj: Model | None) -> None:
        """A readonly field is a function of the row alone; who looks decides here whether it shows the key."""
        if isinstance(obj, Integration):
            obj.shown_address = address_for(request.user, obj)  # type: ignore[attr-defined]  # for `address_field` only

    @admin.display(description="Address")
    def address_field(self, integration: Integration) -> SafeString:
        address: str = getattr(integration, "shown_address", "")
        snippet = alertmanager_snippet(address) if integration.kind == Integration.Kind.ALERTMANAGER else ""
        return render_to_string(
            "alerts/integration_address.html",
            {"address": address, "snippet": snippet, "hidden": "…" in address, "integration": integration},
        )

    def visible_to(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        return queryset.filter(pk__in=visible_integrations(request.user).values("pk"))

    def has_new_permission(self, request: HttpRequest, object_id: str | None = None) -> bool:
        if request.user.has_perm("alerts.add_integration"):
            return True
        return isinstance(request.user, User) and leads_any_team(request.user)

    @action(
        description="New integration",
        icon="add",
        permissions=["new"],
        dialog={
            "title": "New integration",
            "description": "It gets an address of its own, to which the sender posts.",
            "form_class": NewIntegrationForm,
            "form_submit_text": "Create",
        },
    )
    def new(self, request: HttpRequest, form: NewIntegrationForm) -> HttpResponse:
        given = form.cleaned_data
        service = given["service"]
        made = self.perform(
            request,
            operations.create_integration,
            given["name"],
            given["kind"],
            team_id=given["team"].pk,
            service_id=service.pk if service else None,
        )
        # Its own page shows the address.
        return self.go_to_list(request) if made is None else self.go_to_row(request, str(made[0].pk))

    def _editable(self, request: HttpRequest, object_id: str | None, *states: str) -> bool:
        row = self.get_object(request, str(object_id))
        return row is not None and user_may_edit(request.user, row) and row.state in states

    def has_edit_permission(self, request: HttpRequest, object_id: str | None = None) -> bool:
        return self._editable(request, object_id, *Integration.State.values)

    def has_pause_permission(self, request: HttpRequest, object_id: str | None = None) -> bool:
        return self._editable(request, object_id, Integration.State.ACTIVE)

    def has_resume_permission(self, request: HttpRequest, object_id: str | None = None) -> bool:
        return self._editable(request, object_id, Integration.State.PAUSED)

    def has_rotate_permission(self, request: HttpRequest, object_id: str | None = None) -> bool:
        return self._editable(request, object_id, Integration.State.ACTIVE, Integration.State.PAUSED)

    has_revoke_permission = has_rotate_permission

    @action(
        description="Edit",
        icon="edit",
        permissions=["edit"],
        dialog={
            "title": "Edit the integration",
            "description": "An empty service leaves alerts that name none to the team.",
            "form_class": EditIntegrationForm,
            "form_submit_text": "Save",
        },
    )
    def edit(self, request: HttpRequest, form: EditIntegrationForm, object_id: str) -> HttpResponse:
        row, service = self.row(request, object_id), form.cleaned_data["service"]
        self.perform(
            request,
            operations.update_integration,
            row.pk,
            name=form.cleaned_data["name"],
            service_id=service.pk if service else None,
            done="Saved.",
        )
        return self.go_to_row(request, object_id)

    @action(
        description="Pause",
        icon="pause",
        permissions=["pause"],
        dialog={"title": "Pause it?", "description": "What arrives is stored and listed, but opens and pages nothing."},
    )
    def pause(self, request: HttpRequest, form: Any, object_id: str) -> HttpResponse:
        return self.press(request, operations.pause, object_id, done="Paused: nobody is paged.")

    @action(
        description="Resume",
        icon="play_arrow",
        variant=ActionVariant.PRIMARY,
        permissions=["resume"],
        dialog={
            "title": "Resume it?",
            "description": "What fires since it was paused opens when its source repeats it.",
        },
    )
    def resume(self, request: HttpRequest, form: Any, object_id: str) -> HttpResponse:
        return self.press(request, operations.resume, object_id, done="It opens and pages again.")

    @action(
        description="New key",
        icon="sync_lock",
        permissions=["rotate"],
        dialog={"title": "Give it a new key?", "description": "The old address is refused within two seconds."},
    )
    def rotate(self, request: HttpRequest, form: Any, object_id: str) -> HttpResponse:
        return self.press(request, operations.rotate_key, object_id, done="Put the new address into the sender now.")

    @action(
        description="Revoke",
        icon="key_off",
        variant=ActionVariant.DANGER,
        permissions=["revoke"],
        dialog={"title": "Revoke it for ever?", "description": "Senders get 401 from now on. This can't be undone."},
    )
    def revoke(self, request: HttpRequest, form: Any, object_id: str) -> HttpResponse:
        return self.press(request, operations.revoke, object_id, done="Revoked.")
