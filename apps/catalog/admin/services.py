"""Services with what they need and what needs them."""

from __future__ import annotations

from typing import Any, ClassVar

from django import forms
from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from unfold.decorators import display
from unfold.widgets import UnfoldAdminURLInputWidget

from apps.catalog import operations
from apps.catalog.admin.grants import ServiceGroupGrants, ServiceUserGrants, is_grant, save_grants
from apps.catalog.admin.inlines import NamedInline
from apps.catalog.admin.saving import OperatingAdmin, changed_fields, given_reason
from apps.catalog.models import Dependency, Service, Team
from apps.catalog.permissions import leads_any_team, user_may_edit_service, user_may_edit_team
from apps.catalog.queries import led_team_ids, team_ids_of, visible_services
from apps.people.admin.base import ReadOnlyInline, request_actor
from apps.people.models import User
from apps.policies.models import PolicyPack

_FIELDS = {
    "slug": "slug",
    "name": "name",
    "description": "description",
    "owner": "owner_id",
    "criticality": "criticality",
    "policy_pack": "policy_pack_id",
    "runbook_url": "runbook_url",
    "dashboard_url": "dashboard_url",
}


class ServiceForm(forms.ModelForm):  # type: ignore[type-arg]  # Django can't subscript it at run time
    """A service; only packs with an active version can be followed."""

    runbook_url = forms.URLField(
        max_length=500, required=False, assume_scheme="https", widget=UnfoldAdminURLInputWidget
    )
    dashboard_url = forms.URLField(
        max_length=500, required=False, assume_scheme="https", widget=UnfoldAdminURLInputWidget
    )

    class Meta:
        model = Service
        fields = (
            "name",
            "slug",
            "description",
            "owner",
            "criticality",
            "environments",
            "policy_pack",
            "runbook_url",
            "dashboard_url",
        )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if "policy_pack" in self.fields:
            self.fields["policy_pack"].queryset = PolicyPack.objects.filter(active_version__isnull=False)  # type: ignore[attr-defined]  # a ModelChoiceField
            self.fields["policy_pack"].empty_label = "the owning team's pack"  # type: ignore[attr-defined]  # the same


class DependencyInline(NamedInline):
    """What the service needs; the service's editors decide."""

    model = Dependency
    fk_name = "service"
    fields = ("depends_on", "kind")
    verbose_name_plural = "needs"

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return True

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return self._edits(request, obj, "add")

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return self._edits(request, obj, "change")

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return self._edits(request, obj, "delete")

    def _edits(self, request: HttpRequest, service: Service | None, way: str) -> bool:
        if request.user.has_perm(f"catalog.{way}_dependency"):
            return True
        return service is not None and isinstance(request.user, User) and user_may_edit_service(request.user, service)


class DependantInline(ReadOnlyInline):
    """What needs the service; stated on their own pages."""

    model = Dependency
    fk_name = "depends_on"
    fields = ("service", "kind")
    readonly_fields = ("service", "kind")
    verbose_name_plural = "needed by"

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return True


@admin.register(Service)
class ServiceAdmin(OperatingAdmin):
    """The owning team's lead edits its services; managers edit all."""

    form = ServiceForm
    list_display = ("name", "slug", "owner", "level", "where", "pack")
    list_filter = ("owner", "criticality", "environments")
    search_fields = ("name", "slug", "description")
    list_select_related = ("owner", "policy_pack")
    inlines: ClassVar[list[Any]] = [DependencyInline, DependantInline, ServiceUserGrants, ServiceGroupGrants]

    def get_prepopulated_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        return {} if obj is not None else {"slug": ("name",)}

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        rows = visible_services(request.user).select_related("owner", "policy_pack")
        return rows.prefetch_related("environments").order_by("name")

    def formfield_for_foreignkey(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        """A lead may only choose among the teams that they lead."""
        if db_field.name == "owner" and not request.user.has_perm("catalog.change_service"):
            kwargs["queryset"] = Team.objects.filter(pk__in=led_team_ids(request.user.pk or 0))
        return super().formfield_for_foreignkey(db_field, request, **kwargs)

    @display(
        description="Criticality",
        ordering="criticality",
        label={"critical": "danger", "high": "warning", "medium": "info", "low": ""},
    )
    def level(self, service: Service) -> str:
        return service.criticality

    @display(description="Environments")
    def where(self, service: Service) -> str:
        return ", ".join(environment.name for environment in service.environments.all()) or "–"

    @display(description="Policy")
    def pack(self, service: Service) -> str:
        return str(service.policy_pack or "the owning team's")

    # --- who may ---

    def has_module_permission(self, request: HttpRequest) -> bool:
        return super().has_module_permission(request) or self.has_view_permission(request)

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        if super().has_view_permission(request, obj):
            return True
        mine = team_ids_of(request.user.pk) if request.user.is_authenticated else set()
        return bool(mine) if obj is None else obj.owner_id in mine

    def has_add_permission(self, request: HttpRequest) -> bool:
        if super().has_add_permission(request):
            return True
        return leads_any_team(request.user)

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        if super().has_change_permission(request, obj):
            return True
        return obj is not None and isinstance(request.user, User) and user_may_edit_service(request.user, obj)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        if super().has_delete_permission(request, obj):
            return True
        return obj is not None and isinstance(request.user, User) and user_may_edit_team(request.user, obj.owner)

    # --- what they do ---

    def create(self, request: HttpRequest, form: Any) -> Service:
        given = {name: form.cleaned_data[field] for field, name in _FIELDS.items()}
        pack = given["policy_pack_id"]
        fields: Any = {**given, "owner_id": given["owner_id"].pk, "policy_pack_id": pack.pk if pack else None}
        return operations.create_service(
            fields,
            environment_ids=[environment.pk for environment in form.cleaned_data["environments"]],
            reason=given_reason(request),
            actor=request_actor(request),
        )

    def update(self, request: HttpRequest, obj: Any, form: Any) -> Service:
        fields: Any = changed_fields(form, _FIELDS)
        environments = None
        if "environments" in form.changed_data:
            environments = [environment.pk for environment in form.cleaned_data["environments"]]
        if not fields and environments is None:
            return obj  # type: ignore[no-any-return]  # the form's own row: only its inlines were touched
        return operations.update_service(
            obj.pk,
            fields,
            environment_ids=environments,
            reason=given_reason(request),
            actor=request_actor(request),
        )

    def destroy(self, request: HttpRequest, obj: Any) -> None:
        operations.delete_service(obj.pk, reason=given_reason(request), actor=request_actor(request))

    def save_children(self, request: HttpRequest, parent: Any, formset: Any) -> None:
        if is_grant(formset.model):
            save_grants(request, parent, formset, operations.grant_service, operations.revoke_service)
            return
        signed: dict[str, Any] = {"reason": given_reason(request), "actor": request_actor(request)}
        for row in formset.deleted_objects:
            operations.remove_dependency(row.pk, **signed)
        for row, changed in formset.changed_objects:
            if "depends_on" in changed:
                operations.remove_dependency(row.pk, **signed)
            operations.add_dependency(parent.pk, row.depends_on_id, kind=row.kind, **signed)
        for row in formset.new_objects:
            operations.add_dependency(parent.pk, row.depends_on_id, kind=row.kind, **signed)
