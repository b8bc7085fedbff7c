"""Permissions for one team or service, as rows under its page."""

from __future__ import annotations

from typing import Any

from django.contrib.auth.models import Group, Permission
from django.db.models import Model
from django.http import HttpRequest

from apps.catalog.admin.inlines import NamedInline
from apps.catalog.admin.saving import given_reason
from apps.catalog.models import (
    ServiceGroupPermission,
    ServiceUserPermission,
    TeamGroupPermission,
    TeamUserPermission,
)
from apps.catalog.operations import grants
from apps.people.admin.base import request_actor
from apps.people.models import User


class GrantInline(NamedInline):
    """A grant is given or taken, never edited."""

    fk_name = "content_object"
    codenames: tuple[str, ...] = ()

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def formfield_for_foreignkey(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        if db_field.name == "permission":
            rows = Permission.objects.filter(content_type__app_label="catalog", codename__in=self.codenames)
            kwargs["queryset"] = rows.select_related("content_type")
        if db_field.name == "user":
            kwargs["queryset"] = User.objects.filter(is_active=True).exclude(kind=User.Kind.PORTAL)
        return super().formfield_for_foreignkey(db_field, request, **kwargs)


class TeamUserGrants(GrantInline):
    model = TeamUserPermission
    verbose_name_plural = "grants to people"
    codenames = grants.TEAM_PERMISSIONS
    fields = ("user", "permission")


class TeamGroupGrants(GrantInline):
    model = TeamGroupPermission
    verbose_name_plural = "grants to groups"
    codenames = grants.TEAM_PERMISSIONS
    fields = ("group", "permission")


class ServiceUserGrants(GrantInline):
    model = ServiceUserPermission
    verbose_name_plural = "grants to people"
    codenames = grants.SERVICE_PERMISSIONS
    fields = ("user", "permission")


class ServiceGroupGrants(GrantInline):
    model = ServiceGroupPermission
    verbose_name_plural = "grants to groups"
    codenames = grants.SERVICE_PERMISSIONS
    fields = ("group", "permission")


def is_grant(model: type[Model]) -> bool:
    """Whether an inline of `model` holds grants."""
    return model in {TeamUserPermission, TeamGroupPermission, ServiceUserPermission, ServiceGroupPermission}


def save_grants(request: HttpRequest, parent: Any, formset: Any) -> None:
    """Give and take what the rows say, by operations."""
    of_team = formset.model in {TeamUserPermission, TeamGroupPermission}
    give, take = (grants.grant_team, grants.revoke_team) if of_team else (grants.grant_service, grants.revoke_service)
    for verb, rows in ((give, formset.new_objects), (take, formset.deleted_objects)):
        for row in rows:
            verb(
                parent.pk,
                row.permission.codename,
                **_holder(row),
                reason=given_reason(request),
                actor=request_actor(request),
            )


def _holder(row: Any) -> dict[str, Any]:
    if hasattr(row, "user_id"):
        return {"user_id": row.user_id}
    group: Group = row.group
    return {"group": group.name}
