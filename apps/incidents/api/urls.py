"""Where incidents are in the API."""

from __future__ import annotations

from rest_framework.routers import BaseRouter

from apps.incidents.api.views import IncidentViewSet


def register(router: BaseRouter) -> None:
    """Put this app's views under /api/v1/."""
    router.register("incidents", IncidentViewSet, basename="incident")
