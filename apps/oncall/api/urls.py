"""Where on-call is in the API."""

from __future__ import annotations

from rest_framework.routers import BaseRouter

from apps.oncall.api import covering, rotations


def register(router: BaseRouter) -> None:
    """Put this app's views under /api/v1/."""
    router.register("rotations", rotations.RotationViewSet, basename="rotation")
    router.register("rotation-members", rotations.MemberViewSet, basename="rotation-member")
    router.register("overrides", covering.OverrideViewSet, basename="override")
    router.register("role-bindings", covering.RoleBindingViewSet, basename="role-binding")
    router.register("oncall", covering.OnCallViewSet, basename="oncall")
