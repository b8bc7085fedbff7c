"""Where messages are in the API."""

from __future__ import annotations

from rest_framework.routers import BaseRouter

from apps.messaging.api import views


def register(router: BaseRouter) -> None:
    """Put this app's views under /api/v1/."""
    router.register("inbox", views.InboxViewSet, basename="inbox")
    router.register("messages", views.MessageViewSet, basename="message")
    router.register("webhook-endpoints", views.WebhookEndpointViewSet, basename="webhook-endpoint")
