"""Who is paged: what the roles of the packs mean."""

from __future__ import annotations

from typing import Any, ClassVar

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from unfold.decorators import action, display
from unfold.enums import ActionVariant

from apps.catalog.permissions import leads_any_team
from apps.oncall import operations
from apps.oncall.admin.cover_forms import BindRoleForm
from apps.oncall.models import RoleBinding
from apps.oncall.permissions import may_edit
from apps.people.admin.base import PortalModelAdmin, ReadOnlyAdmin, request_actor


@admin.register(RoleBinding)
class RoleBindingAdmin(ReadOnlyAdmin, PortalModelAdmin):
    """Roles by team; without a team they hold for all that have none of their own."""

    list_display = ("role", "of", "means")
    list_filter = ("team", "role")
    search_fields = ("role", "team__name", "rotation__name", "user__username", "user__display_name")
    ordering = ("role", "team__name")
    fields = ("role", "of", "means")
    readonly_fields = fields
    actions_list: ClassVar[Any] = ("bind",)
    actions_detail: ClassVar[Any] = ("unbind",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        rows: QuerySet[Any] = super().get_queryset(request)
        return rows.select_related("team", "rotation", "user")

    @display(description="Team", ordering="team__name")
    def of(self, binding: RoleBinding) -> str:
        return binding.team.name if binding.team else "every team"

    @display(description="Means")
    def means(self, binding: RoleBinding) -> str:
        if binding.rotation is not None:
            return f"whoever is on call in {binding.rotation.name}"
        return binding.user.name if binding.user else "–"

    def has_bind_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("oncall.change_rolebinding") or leads_any_team(request.user)

    def has_unbind_permission(self, request: HttpRequest, object_id: str | None = None) -> bool:
        found = self.get_object(request, str(object_id)) if object_id else None
        return found is not None and may_edit(request_actor(request), found.team_id, "oncall.delete_rolebinding")

    @action(
        description="Say what a role means",
        icon="add",
        permissions=["bind"],
        dialog={
            "title": "What does a role mean?",
            "description": "A rotation or a person. It replaces what the role meant before.",
            "form_class": BindRoleForm,
            "form_submit_text": "Save",
        },
    )
    def bind(self, request: HttpRequest, form: BindRoleForm) -> HttpResponse:
        given = form.cleaned_data
        self.perform(
            request,
            operations.bind_role,
            given["role"],
            team_id=given["team"].pk if given["team"] else None,
            rotation_id=given["rotation"].pk if given["rotation"] else None,
            user_id=given["user"].pk if given["user"] else None,
            done=f"{given['role']} is set.",
        )
        return self.go_to_list(request)

    @action(
        description="Take back",
        icon="link_off",
        variant=ActionVariant.DANGER,
        permissions=["unbind"],
        dialog={"title": "Take back what this role means?", "description": "Levels that name it may reach nobody."},
    )
    def unbind(self, request: HttpRequest, form: Any, object_id: str) -> HttpResponse:
        binding = self.row(request, object_id)
        self.perform(request, operations.unbind_role, binding.pk, done="The role means nothing now.")
        return self.go_to_list(request)
