"""Where messages are in the API."""

from __future__ import annotations

from rest_framework.routers import BaseRouter

from apps.messaging.api import channel_views, views


def register(router: BaseRouter) -> None:
    """Put this app's views under /api/v1/."""
    router.register("inbox", views.InboxViewSet, basename="inbox")
    router.register("messages", views.MessageViewSet, basename="message")
    router.register("webhook-endpoints", views.WebhookEndpointViewSet, basename="webhook-endpoint")
    router.register("connections", channel_views.ConnectionViewSet, basename="connection")
    router.register("destinations", channel_views.DestinationViewSet, basename="destination")
    router.register("push-key", channel_views.PushKeyViewSet, basename="push-key")
