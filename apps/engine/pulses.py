"""Signs of life of sweeps and tickers, kept in the database where every process sees them."""

from __future__ import annotations

import time
from datetime import datetime, timedelta
from typing import Any

from apps.engine.models import Pulse
from apps.foundation.clock import now

WRITE_EACH_SECONDS = 0.5

_written: dict[str, float] = {}


def beat(name: str, detail: dict[str, Any] | None = None) -> None:
    """Record that `name` ran; a process writes each name at most twice a second."""
    if time.monotonic() - _written.get(name, float("-inf")) < WRITE_EACH_SECONDS:
        return
    Pulse.objects.update_or_create(name=name, defaults={"at": now(), "detail": detail or {}})
    _written[name] = time.monotonic()


def last_beats() -> dict[str, datetime]:
    return dict(Pulse.objects.values_list("name", "at"))


def is_fresh(beats: dict[str, datetime], name: str, *, within_seconds: float) -> bool:
    """Whether `name` ran within the last `within_seconds`."""
    at = beats.get(name)
    return at is not None and now() - at <= timedelta(seconds=within_seconds)
