"""Sources of alerts and changes: their addresses, ready to copy, and what becomes of their keys."""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import Any, ClassVar

from django import forms
from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.db.models import Model, QuerySet
from django.http import Http404, HttpRequest, HttpResponse
from django.template.loader import render_to_string
from django.urls import URLPattern, path, reverse
from django.utils.safestring import SafeString
from unfold.decorators import action
from unfold.enums import ActionVariant
from unfold.forms import BaseDialogForm
from unfold.widgets import UnfoldAdminIntegerFieldWidget, UnfoldAdminSelectWidget, UnfoldAdminTextInputWidget

from apps.alerts import operations
from apps.alerts.admin.mapping import mapping_page
from apps.alerts.mapping import PRESETS
from apps.alerts.models import Integration
from apps.alerts.policy import FIELDS
from apps.alerts.queries import address_for, heartbeat_of, key_for, load_of, user_may_edit, visible_integrations
from apps.alerts.snippets import snippets
from apps.catalog.models import Service, Team
from apps.catalog.permissions import leads_any_team
from apps.catalog.queries import led_team_ids, visible_services, visible_teams
from apps.foundation.clock import now
from apps.people.admin.base import PortalModelAdmin, ReadOnlyAdmin
from apps.people.models import User
from apps.policies.durations import duration_text

DATADOG = "datadog"


class NewIntegrationForm(BaseDialogForm):
    """What sends, and whom it concerns."""

    name = forms.CharField(max_length=120, widget=UnfoldAdminTextInputWidget, help_text="as people call the sender")
    kind = forms.ChoiceField(
        choices=[*Integration.Kind.choices, (DATADOG, "Datadog (generic JSON with a ready mapping)")],
        widget=UnfoldAdminSelectWidget,
    )
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
    """What can be changed by hand. An empty field leaves it to the pack, or to the portal's own default."""

    name = forms.CharField(max_length=120, widget=UnfoldAdminTextInputWidget)
    service = forms.ModelChoiceField(
        queryset=Service.objects.none(),
        required=False,
        widget=UnfoldAdminSelectWidget,
        label="Service, if none is named",
    )
    rate_per_minute = forms.IntegerField(
        required=False, min_value=0, widget=UnfoldAdminIntegerFieldWidget, label="Requests a minute (0: no limit)"
    )
    group_by = forms.CharField(
        required=False,
        max_length=1000,
        widget=UnfoldAdminTextInputWidget,
        label="Group by",
        help_text=f"labels and fields with commas between them; fields are {', '.join(FIELDS)}",
    )
    group_window_seconds = forms.IntegerField(
        required=False, min_value=1, widget=UnfoldAdminIntegerFieldWidget, label="A group takes alerts for (seconds)"
    )
    group_max_alerts = forms.IntegerField(
        required=False, min_value=1, widget=UnfoldAdminIntegerFieldWidget, label="Most alerts in a group"
    )
    interval_seconds = forms.IntegerField(
        required=False, min_value=5, widget=UnfoldAdminIntegerFieldWidget, label="Beats at least each (seconds)"
    )
    grace_seconds = forms.IntegerField(
        required=False, min_value=0, widget=UnfoldAdminIntegerFieldWidget, label="May be late by (seconds)"
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["service"].queryset = visible_services(self.request.user)
        row = Integration.objects.filter(pk=_object_id(self.request)).first()
        if row is None:
            return
        for name, value in asdict(operations.settings_of(row)).items():
            self.fields[name].initial = ", ".join(value) if name == "group_by" else value
        self.fields["name"].initial, self.fields["service"].initial = row.name, row.service_id
        timed = ("interval_seconds", "grace_seconds")
        grouped = ("group_by", "group_window_seconds", "group_max_alerts")
        for name in grouped if row.kind == Integration.Kind.HEARTBEAT else timed:
            del self.fields[name]

    def settings(self, before: operations.Settings) -> operations.Settings:
        """What was given, and what was not asked for as it was."""
        known = asdict(before).keys()
        given = {name: value for name, value in self.cleaned_data.items() if name in known}
        if "group_by" in given:
            given["group_by"] = [name.strip() for name in given["group_by"].split(",") if name.strip()]
        return replace(before, **given)


def _object_id(request: HttpRequest) -> int:
    found = request.resolver_match.kwargs.get("object_id", "") if request.resolver_match else ""
    return int(found) if str(found).isdecimal() else 0


class RotateKeyForm(BaseDialogForm):
    """How long the sender has time to take over the new address."""

    overlap_seconds = forms.TypedChoiceField(
        coerce=int,
        choices=[(0, "not at all"), (3600, "for an hour"), (86400, "for a day"), (604800, "for a week")],
        initial=86400,
        widget=UnfoldAdminSelectWidget,
        label="The old address goes on working",
    )


def _left_out(integration: Integration) -> set[str]:
    """The fields that say nothing about an integration of its kind."""
    kind, kinds = integration.kind, Integration.Kind
    found = set() if kind == kinds.GENERIC else {"mapping_field"}
    if kind != kinds.HEARTBEAT:
        found.add("heartbeat_field")
    if kind in (kinds.HEARTBEAT, kinds.CHANGE):
        found.add("group_rule_field")
    return found


@admin.register(Integration)
class IntegrationAdmin(ReadOnlyAdmin, PortalModelAdmin):
    """Integrations. Only operations write them, so that keys, permissions and history are in one place."""

    list_display = ("name", "kind", "team", "service", "state", "created_at")
    list_filter = ("kind", "state", "team")
    search_fields = ("name", "team__name", "service__name")
    list_select_related = ("team", "service")
    fields = (
        "name",
        "kind",
        "team",
        "service",
        "state",
        "address_field",
        "heartbeat_field",
        "load_field",
        "group_rule_field",
        "mapping_field",
        "created_at",
    )
    readonly_fields: ClassVar[Any] = fields
    actions_list = ("new",)
    actions_detail = ("edit", "edit_mapping", "pause", "resume", "rotate", "revoke")

    def get_fields(self, request: HttpRequest, obj: Model | None = None) -> Any:
        if not isinstance(obj, Integration):
            return self.fields
        self._remember(request, obj)
        return [name for name in self.fields if name not in _left_out(obj)]

    def _remember(self, request: HttpRequest, obj: Integration) -> None:
        """A readonly field is a function of the row alone; who looks decides here whether it shows the key."""
        obj.shown_address = address_for(request.user, obj)  # type: ignore[attr-defined]  # for `address_field` only
        obj.shown_key = key_for(request.user, obj)  # type: ignore[attr-defined]  # the same

    @admin.display(description="Address")
    def address_field(self, integration: Integration) -> SafeString:
        address: str = getattr(integration, "shown_address", "")
        key: str = getattr(integration, "shown_key", "")
        until = integration.previous_key_until
        context = {
            "address": address,
            "hidden": not key,
            "snippets": snippets(integration, address, key),
            "old_until": until if until is not None and until > now() else None,
        }
        return render_to_string("alerts/integration_address.html", context)

    @admin.display(description="Heartbeat")
    def heartbeat_field(self, integration: Integration) -> SafeString:
        context: dict[str, Any] = {"heartbeat": heartbeat_of(integration), "integration": integration}
        context["interval"] = duration_text(integration.interval_seconds)
        context["grace"] = duration_text(integration.grace_seconds)
        return render_to_string("alerts/integration_heartbeat.html", context)

    @admin.display(description="Requests")
    def load_field(self, integration: Integration) -> SafeString:
        return render_to_string("alerts/integration_load.html", {"load": load_of(integration)})

    @admin.display(description="Groups")
    def group_rule_field(self, integration: Integration) -> str:
        by = f"by {', '.join(integration.group_by)}" if integration.group_by else "as the pack says"
        window, most = integration.group_window_seconds, integration.group_max_alerts
        return by + (f", for {duration_text(window)}" if window else "") + (f", at most {most} alerts" if most else "")

    @admin.display(description="Mapping")
    def mapping_field(self, integration: Integration) -> SafeString | str:
        if not integration.mapping:
            return "none: it sends the portal's own format"
        return render_to_string("alerts/_pairs.html", {"pairs": list(integration.mapping.items())})

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
            Integration.Kind.GENERIC if given["kind"] == DATADOG else given["kind"],
            team_id=given["team"].pk,
            service_id=service.pk if service else None,
            mapping=PRESETS.get(given["kind"]),
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

    def has_edit_mapping_permission(self, request: HttpRequest, object_id: str | None = None) -> bool:
        row = self.get_object(request, str(object_id))
        return row is not None and row.kind == Integration.Kind.GENERIC and user_may_edit(request.user, row)

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view(self.mapping_view)
        return [path("<int:integration_id>/mapping/", view, name="alerts_integration_mapping"), *super().get_urls()]

    def mapping_view(self, request: HttpRequest, integration_id: int) -> HttpResponse:
        """Write a mapping and see what it makes of a sample."""
        row = self.get_object(request, str(integration_id))
        if row is None or row.kind != Integration.Kind.GENERIC:
            raise Http404
        if not user_may_edit(request.user, row):
            raise PermissionDenied
        return mapping_page(request, self, row)

    @action(description="Mapping", icon="rule_settings", permissions=["edit_mapping"], url_path="to-mapping")
    def edit_mapping(self, request: HttpRequest, object_id: str) -> HttpResponse:
        return self.go(request, reverse("admin:alerts_integration_mapping", args=[self.row(request, object_id).pk]))

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
            settings=form.settings(operations.settings_of(row)),
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
        dialog={
            "title": "Give it a new key?",
            "description": "The new address works at once. The old one can go on until the sender has the new one.",
            "form_class": RotateKeyForm,
            "form_submit_text": "New key",
        },
    )
    def rotate(self, request: HttpRequest, form: RotateKeyForm, object_id: str) -> HttpResponse:
        overlap = form.cleaned_data["overlap_seconds"]
        done = "Put the new address into the sender now."
        return self.press(request, operations.rotate_key, object_id, overlap_seconds=overlap, done=done)

    @action(
        description="Revoke",
        icon="key_off",
        variant=ActionVariant.DANGER,
        permissions=["revoke"],
        dialog={"title": "Revoke it for ever?", "description": "Senders get 401 from now on. This can't be undone."},
    )
    def revoke(self, request: HttpRequest, form: Any, object_id: str) -> HttpResponse:
        return self.press(request, operations.revoke, object_id, done="Revoked.")
