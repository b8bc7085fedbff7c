"""How messages leave: one transport for each channel."""

from __future__ import annotations

from apps.messaging.models import Message
from apps.messaging.providers import apprise, discord, pagerduty, push, slack, sms
from apps.messaging.providers.base import Transport
from apps.messaging.providers.email import EmailTransport
from apps.messaging.providers.webhook import WebhookTransport

_transports: dict[str, Transport] = {
    Message.Channel.EMAIL: EmailTransport(),
    Message.Channel.WEBHOOK: WebhookTransport(),
    Message.Channel.SLACK: slack.transport(),
    Message.Channel.PAGERDUTY: pagerduty.transport(),
    Message.Channel.DISCORD: discord.transport(),
    Message.Channel.SMS: sms.transport(),
    Message.Channel.PUSH: push.transport(),
    Message.Channel.APPRISE: apprise.transport(),
}


def transport_of(channel: str) -> Transport | None:
    """The transport of a channel that leaves the portal; None for one that nobody built."""
    return _transports.get(channel)
