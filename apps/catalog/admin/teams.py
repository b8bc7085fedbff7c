"""Teams with their members."""

from __future__ import annotations

from typing import Any, ClassVar
from urllib.parse import urlencode
from zoneinfo import available_timezones

from django import forms
from django.contrib import admin
from django.db.models import Count, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from unfold.decorators import action, display
from unfold.widgets import UnfoldAdminSelect2Widget

from apps.catalog import operations
from apps.catalog.admin.grants import TeamGroupGrants, TeamUserGrants, is_grant, save_grants
from apps.catalog.admin.inlines import NamedInline
from apps.catalog.admin.saving import OperatingAdmin, changed_fields, given_reason
from apps.catalog.models import Membership, Team
from apps.catalog.permissions import user_may_edit_team
from apps.catalog.queries import team_ids_of, visible_teams
from apps.people.admin.base import request_actor
from apps.people.models import User
from apps.policies.models import PolicyPack

_FIELDS = {
    "slug": "slug",
    "name": "name",
    "description": "description",
    "time_zone": "time_zone",
    "email": "email",
    "policy_pack": "policy_pack_id",
}


class TeamForm(forms.ModelForm):  # type: ignore[type-arg]  # Django can't subscript it at run time
    """A team; its time zone is chosen, not typed."""

    class Meta:
        model = Team
        fields = ("name", "slug", "description", "time_zone", "email", "policy_pack")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if "policy_pack" in self.fields:
            self.fields["policy_pack"].queryset = PolicyPack.objects.filter(active_version__isnull=False)  # type: ignore[attr-defined]  # a ModelChoiceField
            self.fields["policy_pack"].empty_label = "the default pack"  # type: ignore[attr-defined]  # the same


class MembershipInline(NamedInline):
    """Who is in the team; the team's editors decide."""

    model = Membership
    fields = ("user", "role")
    verbose_name_plural = "members: they see the team's private incidents"

    def formfield_for_foreignkey(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        if db_field.name == "user":
            kwargs["queryset"] = User.objects.filter(is_active=True).exclude(kind=User.Kind.PORTAL)
        return super().formfield_for_foreignkey(db_field, request, **kwargs)

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return True

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return self._edits(request, obj, "add")

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return self._edits(request, obj, "change")

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return self._edits(request, obj, "delete")

    def _edits(self, request: HttpRequest, team: Team | None, way: str) -> bool:
        if request.user.has_perm(f"catalog.{way}_membership"):
            return True
        return team is not None and isinstance(request.user, User) and user_may_edit_team(request.user, team)


@admin.register(Team)
class TeamAdmin(OperatingAdmin):
    """A team's lead edits the team; managers edit all."""

    form = TeamForm
    list_display = ("name", "slug", "pack", "member_count", "service_count", "time_zone")
    search_fields = ("name", "slug")
    inlines: ClassVar[list[Any]] = [MembershipInline, TeamUserGrants, TeamGroupGrants]
    actions_detail: ClassVar[Any] = ("calendar",)

    def formfield_for_dbfield(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        if db_field.name == "time_zone":
            zones = [(name, name) for name in sorted(available_timezones())]
            return forms.ChoiceField(choices=zones, initial="UTC", widget=UnfoldAdminSelect2Widget)
        return super().formfield_for_dbfield(db_field, request, **kwargs)

    def get_prepopulated_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        return {} if obj is not None else {"slug": ("name",)}

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        return (
            visible_teams(request.user)
            .select_related("policy_pack")
            .annotate(
                member_count=Count("memberships", distinct=True),
                service_count=Count("services", distinct=True),
            )
            .order_by("name")
        )

    @display(description="Policy")
    def pack(self, team: Team) -> str:
        return str(team.policy_pack or "the default pack")

    @display(description="Members", ordering="member_count")
    def member_count(self, team: Any) -> int:
        return int(team.member_count)

    @display(description="Services", ordering="service_count")
    def service_count(self, team: Any) -> int:
        return int(team.service_count)

    @action(description="Calendar", icon="calendar_month", url_path="to-calendar")
    def calendar(self, request: HttpRequest, object_id: str) -> HttpResponse:
        return HttpResponseRedirect(f"{reverse('admin:oncall_rotation_calendar')}?{urlencode({'team': object_id})}")

    # --- who may ---

    def has_module_permission(self, request: HttpRequest) -> bool:
        return super().has_module_permission(request) or self.has_view_permission(request)

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        if super().has_view_permission(request, obj):
            return True
        mine = team_ids_of(request.user.pk) if request.user.is_authenticated else set()
        return bool(mine) if obj is None else obj.pk in mine

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        if super().has_change_permission(request, obj):
            return True
        return obj is not None and isinstance(request.user, User) and user_may_edit_team(request.user, obj)

    # --- what they do ---

    def create(self, request: HttpRequest, form: Any) -> Team:
        fields: Any = _all(form)
        return operations.create_team(fields, reason=given_reason(request), actor=request_actor(request))

    def update(self, request: HttpRequest, obj: Any, form: Any) -> Team:
        fields: Any = changed_fields(form, _FIELDS)
        if not fields:
            return obj  # type: ignore[no-any-return]  # the form's own row: only its inlines were touched
        return operations.update_team(obj.pk, fields, reason=given_reason(request), actor=request_actor(request))

    def destroy(self, request: HttpRequest, obj: Any) -> None:
        operations.delete_team(obj.pk, reason=given_reason(request), actor=request_actor(request))

    def save_children(self, request: HttpRequest, parent: Any, formset: Any) -> None:
        if is_grant(formset.model):
            save_grants(request, parent, formset, operations.grant_team, operations.revoke_team)
            return
        signed: dict[str, Any] = {"reason": given_reason(request), "actor": request_actor(request)}
        for row in formset.deleted_objects:
            operations.remove_member(row.pk, **signed)
        for row, changed in formset.changed_objects:
            if "user" in changed:
                operations.remove_member(row.pk, **signed)
            operations.add_member(parent.pk, row.user_id, role=row.role, **signed)
        for row in formset.new_objects:
            operations.add_member(parent.pk, row.user_id, role=row.role, **signed)


def _all(form: Any) -> dict[str, Any]:
    """All values of a form for a new row, by the operation's names."""
    given = {name: form.cleaned_data[field] for field, name in _FIELDS.items()}
    pack = given["policy_pack_id"]
    return {**given, "policy_pack_id": pack.pk if pack else None}
