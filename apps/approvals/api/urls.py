"""Where approvals are in the API."""

from __future__ import annotations

from rest_framework.routers import BaseRouter

from apps.approvals.api import views


def register(router: BaseRouter) -> None:
    """Put this app's views under /api/v1/."""
    router.register("approvals", views.ApprovalViewSet, basename="approval")
