"""Permissions for one row, as rows under its page: what every app's grants have in common, and those of the catalog."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.contrib.auth.models import Permission
from django.db.models import Model
from django.http import HttpRequest
from guardian.models import GroupObjectPermissionBase, UserObjectPermissionBase

from apps.catalog.admin.inlines import NamedInline
from apps.catalog.admin.saving import given_reason
from apps.catalog.models import (
    ServiceGroupPermission,
    ServiceUserPermission,
    TeamGroupPermission,
    TeamUserPermission,
)
from apps.catalog.operations.grants import SERVICE_PERMISSIONS, TEAM_PERMISSIONS
from apps.people.admin.base import request_actor
from apps.people.models import User


class GrantInline(NamedInline):
    """A grant is given or taken, never edited. Children name the table and the permissions that can be granted."""

    fk_name = "content_object"
    codenames: tuple[str, ...] = ()

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def formfield_for_foreignkey(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        if db_field.name == "permission":
            app = self.model._meta.app_label
            rows = Permission.objects.filter(content_type__app_label=app, codename__in=self.codenames)
            kwargs["queryset"] = rows.select_related("content_type")
        if db_field.name == "user":
            kwargs["queryset"] = User.objects.filter(is_active=True).exclude(kind=User.Kind.PORTAL)
        return super().formfield_for_foreignkey(db_field, request, **kwargs)


class UserGrants(GrantInline):
    verbose_name_plural = "grants to people"
    fields = ("user", "permission")


class GroupGrants(GrantInline):
    verbose_name_plural = "grants to groups"
    fields = ("group", "permission")


class TeamUserGrants(UserGrants):
    model = TeamUserPermission
    codenames = TEAM_PERMISSIONS


class TeamGroupGrants(GroupGrants):
    model = TeamGroupPermission
    codenames = TEAM_PERMISSIONS


class ServiceUserGrants(UserGrants):
    model = ServiceUserPermission
    codenames = SERVICE_PERMISSIONS


class ServiceGroupGrants(GroupGrants):
    model = ServiceGroupPermission
    codenames = SERVICE_PERMISSIONS


def is_grant(model: type[Model]) -> bool:
    """Whether an inline of `model` holds grants."""
    return issubclass(model, UserObjectPermissionBase | GroupObjectPermissionBase)


def save_grants(
    request: HttpRequest, parent: Any, formset: Any, give: Callable[..., None], take: Callable[..., None]
) -> None:
    """Give and take what the rows of an inline say, by the two operations of their kind."""
    signed: dict[str, Any] = {"reason": given_reason(request), "actor": request_actor(request)}
    for verb, rows in ((give, formset.new_objects), (take, formset.deleted_objects)):
        for row in rows:
            holder = {"user_id": row.user_id} if hasattr(row, "user_id") else {"group": row.group.name}
            verb(parent.pk, row.permission.codename, **holder, **signed)
