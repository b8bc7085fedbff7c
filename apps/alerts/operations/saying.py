"""Receipts that the portal writes by itself, for an integration: they go the way of all others."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import orjson

from apps.alerts.models import Receipt
from apps.alerts.readers import PORTAL, RECHECK
from apps.engine.bell import ring
from apps.foundation.clock import now

GROUP_TASK, GROUP_QUEUE = "alerts.group", "timers"


def say(alerts: Iterable[tuple[int, dict[str, Any]]]) -> None:
    """Have integrations report alerts in the portal's own format; grouped in a moment. (integration, alert) each."""
    _write((integration_id, PORTAL, alert) for integration_id, alert in alerts)


def recheck(keys: dict[int, list[str]]) -> None:
    """Have alerts looked at once more, as if somebody had spoken of them: dedup keys by integration."""
    _write((integration_id, RECHECK, sorted(found)) for integration_id, found in sorted(keys.items()))


def _write(said: Iterable[tuple[int, str, Any]]) -> None:
    at = now()
    rows = [
        Receipt(integration_id=integration_id, form=form, body=orjson.dumps(content), received_at=at)
        for integration_id, form, content in said
    ]
    if rows:
        Receipt.objects.bulk_create(rows, batch_size=500)
        ring(GROUP_TASK, GROUP_QUEUE)
