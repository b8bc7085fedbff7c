"""Mitigations in the admin: a runbook with its parameters filled in, and who may press its button."""

from __future__ import annotations

from typing import Any, ClassVar

from django import forms
from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from unfold.widgets import UnfoldAdminTextareaWidget

from apps.catalog.admin.grants import save_grants
from apps.catalog.admin.saving import OperatingAdmin, changed_fields, given_reason
from apps.people.admin.base import request_actor
from apps.runbooks.admin.grants import MitigationGroupGrants, MitigationUserGrants
from apps.runbooks.models import Mitigation, Runbook
from apps.runbooks.operations.buttons import create_mitigation, delete_mitigation, edit_mitigation
from apps.runbooks.operations.grants import grant_mitigation, revoke_mitigation
from apps.runbooks.queries import visible_runbooks

_FIELDS = {
    "name": "name",
    "description": "description",
    "runbook": "runbook_id",
    "parameters": "parameters",
    "position": "position",
}


class MitigationForm(forms.ModelForm):  # type: ignore[type-arg]  # Django can't subscript it at run time
    """What the button says and does. Whether the parameters fit, the operation says."""

    parameters = forms.JSONField(
        required=False,
        initial=dict,
        widget=UnfoldAdminTextareaWidget(attrs={"rows": 6, "spellcheck": "false"}),
        help_text='a JSON object with the runbook\'s parameters, for example {"world": "eu-1"}; empty: its defaults',
    )

    class Meta:
        model = Mitigation
        fields = ("name", "slug", "description", "runbook", "parameters", "position")

    def clean_parameters(self) -> dict[str, Any]:
        found = self.cleaned_data["parameters"]
        if found in (None, ""):
            return {}
        if not isinstance(found, dict):
            raise forms.ValidationError("Write an object of names and values.")
        return found


@admin.register(Mitigation)
class MitigationAdmin(OperatingAdmin):
    """Managers make the buttons; commanders press them on the page of an incident."""

    form = MitigationForm
    list_display = ("name", "runbook", "description", "position")
    list_filter = ("runbook",)
    search_fields = ("name", "slug", "description", "runbook__name")
    ordering = ("position", "name")
    inlines: ClassVar[list[Any]] = [MitigationUserGrants, MitigationGroupGrants]

    def get_prepopulated_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        return {} if obj is not None or not self.has_add_permission(request) else {"slug": ("name",)}

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> list[str]:
        found = super().get_readonly_fields(request, obj)
        return [*found, "slug"] if obj is not None else found

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        rows: QuerySet[Any] = super().get_queryset(request)
        return rows.select_related("runbook")

    def formfield_for_foreignkey(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        if db_field.name == "runbook":
            kwargs["queryset"] = visible_runbooks(request.user).exclude(state=Runbook.State.RETIRED)
        return super().formfield_for_foreignkey(db_field, request, **kwargs)

    # --- what they do ---

    def create(self, request: HttpRequest, form: Any) -> Mitigation:
        given = form.cleaned_data
        return create_mitigation(
            given["slug"],
            given["name"],
            runbook_id=given["runbook"].pk,
            parameters=given["parameters"],
            description=given["description"],
            position=given["position"],
            actor=request_actor(request),
        )

    def update(self, request: HttpRequest, obj: Any, form: Any) -> Mitigation:
        changes = changed_fields(form, _FIELDS)
        return edit_mitigation(obj.pk, **changes, actor=request_actor(request)) if changes else obj

    def destroy(self, request: HttpRequest, obj: Any) -> None:
        delete_mitigation(obj.pk, reason=given_reason(request), actor=request_actor(request))

    def save_children(self, request: HttpRequest, parent: Any, formset: Any) -> None:
        save_grants(request, parent, formset, grant_mitigation, revoke_mitigation)
