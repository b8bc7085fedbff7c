"""Pages of messages, of one's inbox and of webhook endpoints."""

from apps.messaging.admin.connections import ConnectionAdmin, DestinationAdmin
from apps.messaging.admin.endpoints import WebhookEndpointAdmin
from apps.messaging.admin.messages import MessageAdmin

__all__ = ["ConnectionAdmin", "DestinationAdmin", "MessageAdmin", "WebhookEndpointAdmin"]
