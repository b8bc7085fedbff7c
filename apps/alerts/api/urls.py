"""The addresses of alerts under /api/v1/."""

from __future__ import annotations

from rest_framework.routers import BaseRouter

from apps.alerts.api.alerts import AlertGroupViewSet, AlertViewSet
from apps.alerts.api.integrations import IntegrationViewSet
from apps.alerts.api.receipts import ReceiptViewSet


def register(router: BaseRouter) -> None:
    """Add the views of alerts."""
    router.register("integrations", IntegrationViewSet, basename="integration")
    router.register("alerts", AlertViewSet, basename="alert")
    router.register("alert-groups", AlertGroupViewSet, basename="alert-group")
    router.register("receipts", ReceiptViewSet, basename="receipt")
