"""`manage.py demo_world`: the game to practise on, as its own process."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from apps.demo.world.__main__ import serve


class Command(BaseCommand):
    """Runs until it is told to stop. It listens on the loopback interface only."""

    help = "Run the demo world: a small game with a config, metrics and buttons that break it."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--port", type=int, default=urlsplit(settings.WORLD_URL).port or 80)
        parser.add_argument("--no-alerts", action="store_true", help="a real Alertmanager tells the portal what fires")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            serve(
                options["port"],
                settings.DATA_DIR,
                portal_url=settings.PUBLIC_URL,
                tells_alerts=not options["no_alerts"],
            )
        except OSError as error:
            raise CommandError(f"The demo world can't start on port {options['port']}: {error.strerror}.") from error
