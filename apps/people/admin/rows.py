"""Which rows a person may open in the admin: by the model's permissions, and by grants for single rows."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from django.contrib.auth import get_permission_codename
from django.db.models import Model, QuerySet
from django.http import HttpRequest
from guardian.models import UserObjectPermission
from guardian.shortcuts import get_objects_for_user
from guardian.utils import get_user_obj_perms_model


@lru_cache(maxsize=256)
def has_grants(model: type[Model]) -> bool:
    """Whether guardian grants exist for single rows of `model`: only where it has a table of its own for them."""
    found = get_user_obj_perms_model(model)  # type: ignore[arg-type]  # it takes classes as well, untold
    return found is not UserObjectPermission


class ScopedRows:
    """Permissions of a ModelAdmin that honour grants for single rows, and a queryset of visible rows only.

    Override `visible_to` to hide rows from people who hold the model's permissions.
    """

    model: type[Model]

    def visible_to(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        """Those rows of `queryset` that the person of `request` may know of; all, unless overridden."""
        return queryset

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        rows = self.visible_to(request, super().get_queryset(request))  # type: ignore[misc]  # of the ModelAdmin
        if self._holds(request, "view") or self._holds(request, "change") or not has_grants(self.model):
            return rows
        return rows.filter(pk__in=self._granted(request, ("view", "change")).values("pk"))

    def has_view_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return self._may(request, ("view", "change"), obj)

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return self._may(request, ("change",), obj)

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return self._may(request, ("delete",), obj)

    def has_module_permission(self, request: HttpRequest) -> bool:
        held = bool(super().has_module_permission(request))  # type: ignore[misc]  # of the ModelAdmin
        return held or self._may(request, ("view", "change"), None)

    def _holds(self, request: HttpRequest, way: str) -> bool:
        opts = self.model._meta
        return bool(request.user.has_perm(f"{opts.app_label}.{get_permission_codename(way, opts)}"))

    def _may(self, request: HttpRequest, ways: Sequence[str], obj: Model | None) -> bool:
        if any(self._holds(request, way) for way in ways):
            return True
        if not has_grants(self.model) or not request.user.is_authenticated:
            return False
        if obj is None or obj.pk is None:
            return self._granted_any(request, ways)
        opts = self.model._meta
        return any(request.user.has_perm(f"{opts.app_label}.{get_permission_codename(way, opts)}", obj) for way in ways)

    def _granted(self, request: HttpRequest, ways: Sequence[str]) -> QuerySet[Any]:
        opts = self.model._meta
        names = [f"{opts.app_label}.{get_permission_codename(way, opts)}" for way in ways]
        found: QuerySet[Any] = get_objects_for_user(
            request.user, names, klass=self.model, any_perm=True, accept_global_perms=False
        )
        return found

    def _granted_any(self, request: HttpRequest, ways: Sequence[str]) -> bool:
        """Asked several times for one page, hence remembered on the request."""
        known: dict[tuple[str, tuple[str, ...]], bool] = request.__dict__.setdefault("portal_row_grants", {})
        question = (self.model._meta.label, tuple(ways))
        if question not in known:
            known[question] = self._granted(request, ways).exists()
        return known[question]
