"""Show the key that signs pages to people's own webhooks."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand

from apps.messaging.providers.webhook import portal_signing_key


class Command(BaseCommand):
    help = "Print the key that signs pages to webhooks of contact points. It follows from SECRET_KEY."

    def handle(self, *args: Any, **options: Any) -> None:
        self.stdout.write(portal_signing_key())
