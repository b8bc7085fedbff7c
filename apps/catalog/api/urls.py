"""Where the catalog is in the API."""

from __future__ import annotations

from rest_framework.routers import BaseRouter

from apps.catalog.api import changes, services, teams


def register(router: BaseRouter) -> None:
    """Put this app's views under /api/v1/."""
    router.register("teams", teams.TeamViewSet, basename="team")
    router.register("memberships", teams.MembershipViewSet, basename="membership")
    router.register("environments", services.EnvironmentViewSet, basename="environment")
    router.register("services", services.ServiceViewSet, basename="service")
    router.register("dependencies", services.DependencyViewSet, basename="dependency")
    router.register("changes", changes.ChangeViewSet, basename="change")
