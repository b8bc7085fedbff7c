"""The addresses of this app under /api/v1/."""

from __future__ import annotations

from rest_framework.routers import BaseRouter

from apps.state.api import configs, versions


def register(router: BaseRouter) -> None:
    """Called once by the project."""
    router.register("configs", configs.ConfigViewSet, basename="config")
    router.register("config-versions", versions.ConfigVersionViewSet, basename="config-version")
