"""Grants for one runbook, as rows under its details."""

from __future__ import annotations

from typing import Any

from django.contrib.auth.models import Permission
from django.http import HttpRequest

from apps.catalog.admin.inlines import NamedInline
from apps.people.models import User
from apps.runbooks.models import RunbookGroupPermission, RunbookUserPermission
from apps.runbooks.operations.runbook_grants import RUNBOOK_PERMISSIONS


class _Grants(NamedInline):
    """A grant is given or taken, never edited."""

    fk_name = "content_object"

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def formfield_for_foreignkey(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        if db_field.name == "permission":
            rows = Permission.objects.filter(content_type__app_label="runbooks", codename__in=RUNBOOK_PERMISSIONS)
            kwargs["queryset"] = rows.select_related("content_type")
        if db_field.name == "user":
            kwargs["queryset"] = User.objects.filter(is_active=True).exclude(kind=User.Kind.PORTAL)
        return super().formfield_for_foreignkey(db_field, request, **kwargs)


class RunbookUserGrants(_Grants):
    model = RunbookUserPermission
    verbose_name_plural = "grants to people"
    fields = ("user", "permission")


class RunbookGroupGrants(_Grants):
    model = RunbookGroupPermission
    verbose_name_plural = "grants to groups"
    fields = ("group", "permission")
