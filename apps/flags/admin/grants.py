"""Permissions for one flag, as rows under its page."""

from __future__ import annotations

from typing import Any

from django.contrib.auth.models import Permission
from django.http import HttpRequest

from apps.catalog.admin.inlines import NamedInline
from apps.catalog.admin.saving import given_reason
from apps.flags.models import FlagGroupPermission, FlagUserPermission
from apps.flags.operations import FLAG_PERMISSIONS, grant_flag, revoke_flag
from apps.people.admin.base import request_actor
from apps.people.models import User


class GrantInline(NamedInline):
    """A grant is given or taken, never edited."""

    fk_name = "content_object"

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def formfield_for_foreignkey(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        if db_field.name == "permission":
            rows = Permission.objects.filter(content_type__app_label="flags", codename__in=FLAG_PERMISSIONS)
            kwargs["queryset"] = rows.select_related("content_type")
        if db_field.name == "user":
            kwargs["queryset"] = User.objects.filter(is_active=True).exclude(kind=User.Kind.PORTAL)
        return super().formfield_for_foreignkey(db_field, request, **kwargs)


class UserGrants(GrantInline):
    model = FlagUserPermission
    verbose_name_plural = "grants to people"
    fields = ("user", "permission")


class GroupGrants(GrantInline):
    model = FlagGroupPermission
    verbose_name_plural = "grants to groups"
    fields = ("group", "permission")


def save_grants(request: HttpRequest, flag_id: int, formset: Any) -> None:
    """Give and take what the rows say, by operations."""
    signed: dict[str, Any] = {"reason": given_reason(request), "actor": request_actor(request)}
    for verb, rows in ((grant_flag, formset.new_objects), (revoke_flag, formset.deleted_objects)):
        for row in rows:
            holder = {"user_id": row.user_id} if hasattr(row, "user_id") else {"group": row.group.name}
            verb(flag_id, row.permission.codename, **holder, **signed)
