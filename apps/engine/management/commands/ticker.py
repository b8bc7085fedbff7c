"""`manage.py ticker`: rings for due work each second; run one or more."""

from __future__ import annotations

import gc
import signal
from typing import Any

from django.core.management.base import BaseCommand

from apps.engine.ticker import Ticker


class Command(BaseCommand):
    help = "Ring the workers each second and at every due time; sweep here when they don't answer."
    requires_system_checks: list[str] = []  # Django's own spelling; after a crash each tenth of a second counts

    def handle(self, *args: Any, **options: Any) -> None:
        ticker = Ticker()
        for name in (signal.SIGTERM, signal.SIGINT):
            signal.signal(name, lambda *_: ticker.stopping.set())
        gc.freeze()  # modules live as long as the process: taking them apart at the end would only delay it
        ticker.run()
