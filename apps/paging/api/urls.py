"""Where paging is in the API. Acknowledging is a verb of incidents."""

from __future__ import annotations

from rest_framework.routers import BaseRouter

from apps.paging.api import maintenance, notifications, views


def register(router: BaseRouter) -> None:
    """Put this app's views under /api/v1/."""
    router.register("pages", views.PageViewSet, basename="page")
    router.register("maintenance-windows", maintenance.MaintenanceWindowViewSet, basename="maintenance-window")
    router.register("escalations", views.EscalationViewSet, basename="escalation")
    router.register("notification-rules", notifications.NotificationRulesViewSet, basename="notification-rules")
    router.register("page-bundles", notifications.PageBundleViewSet, basename="page-bundle")
