"""What a caller may do: the scope of the token first, then the permissions of its account."""

from __future__ import annotations

from typing import Any

from django.db.models import Model
from rest_framework.exceptions import PermissionDenied
from rest_framework.permissions import SAFE_METHODS, BasePermission
from rest_framework.request import Request

from apps.people.models import ApiToken
from apps.people.permissions import user_allowed
from apps.people.queries import covers

WAYS = {"GET": "view", "HEAD": "view", "POST": "add", "PUT": "change", "PATCH": "change", "DELETE": "delete"}


def needed_permissions(request: Request, view: Any) -> list[str]:
    """The model permissions that this call needs.

    `view.action_permissions` maps an action to one permission, several, or None (being logged in is enough);
    an action that it does not name needs the usual one of the queryset's model.
    """
    mapping: dict[str, str | list[str] | None] = getattr(view, "action_permissions", {})
    action = getattr(view, "action", None)
    if action in mapping:
        named = mapping[action]
        return [] if named is None else [named] if isinstance(named, str) else named
    queryset = getattr(view, "queryset", None)
    way = WAYS.get(request.method or "GET")
    if queryset is None or way is None:
        return []
    opts = queryset.model._meta
    return [f"{opts.app_label}.{way}_{opts.model_name}"]


class ScopedModelPermissions(BasePermission):
    """401 for nobody, 403 for a token without the scope or an account without the permission.

    `view.scope_area` says which "<area>:read" or "<area>:write" a token needs. With `view.row_grants` the
    account may also hold the permission for the single row (guardian); the row's check decides then, and the
    queryset must hold visible rows only, so that an invisible row is 404.
    """

    def has_permission(self, request: Request, view: Any) -> bool:
        if not request.user.is_authenticated or not request.user.is_active:
            return False
        if not hasattr(view, (request.method or "").lower()):
            return True  # there is no such verb here: the view answers 405
        self._check_scope(request, view)
        if getattr(view, "row_grants", False) and (getattr(view, "detail", False) or request.method in SAFE_METHODS):
            return True
        self._check_model(request, view, None)
        return True

    def has_object_permission(self, request: Request, view: Any, obj: Model) -> bool:
        self._check_model(request, view, obj if getattr(view, "row_grants", False) else None)
        return True

    def _check_scope(self, request: Request, view: Any) -> None:
        token, area = request.auth, getattr(view, "scope_area", None)
        if not isinstance(token, ApiToken) or area is None:
            return
        scope = f"{area}:{'read' if request.method in SAFE_METHODS else 'write'}"
        if not covers(token.scopes, scope):
            raise PermissionDenied(f"This token lacks the scope {scope}.", code="scope_missing")

    def _check_model(self, request: Request, view: Any, obj: Model | None) -> None:
        for permission in needed_permissions(request, view):
            if not user_allowed(request.user, permission, obj):
                raise PermissionDenied(f"This needs the permission {permission}.", code="permission_missing")
