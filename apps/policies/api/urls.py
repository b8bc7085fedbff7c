"""Where policies are in the API."""

from __future__ import annotations

from rest_framework.routers import BaseRouter

from apps.policies.api import views


def register(router: BaseRouter) -> None:
    """Put this app's views under /api/v1/."""
    router.register("policy-packs", views.PackViewSet, basename="policy-pack")
    router.register("policy-versions", views.VersionViewSet, basename="policy-version")
