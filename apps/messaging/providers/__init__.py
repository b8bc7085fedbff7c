"""How messages leave: one transport for each channel."""

from __future__ import annotations

from apps.messaging.models import Message
from apps.messaging.providers.base import Transport
from apps.messaging.providers.email import EmailTransport
from apps.messaging.providers.webhook import WebhookTransport

_transports: dict[str, Transport] = {
    Message.Channel.EMAIL: EmailTransport(),
    Message.Channel.WEBHOOK: WebhookTransport(),
}


def transport_of(channel: str) -> Transport | None:
    """The transport of a channel that leaves the portal; None for one that nobody built."""
    return _transports.get(channel)
