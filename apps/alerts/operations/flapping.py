"""An alert that fires and clears again and again is told once, and its incident stays open until it is steady."""

from __future__ import annotations

from datetime import datetime

from apps.alerts.models import Alert
from apps.alerts.policy import Flapping

CHANGES_KEPT = 20


def note_change(alert: Alert, at: datetime) -> None:
    """Remember that it fired or cleared at this instant; receipts that come out of order may be noted late."""
    alert.changes = sorted([*alert.changes, round(at.timestamp(), 3)])[-CHANGES_KEPT:]


def flaps(alert: Alert, rule: Flapping | None) -> bool:
    """Whether its last changes came so fast that the rule calls it flapping."""
    if rule is None or len(alert.changes) < rule.changes:
        return False
    last = alert.changes[-rule.changes :]
    return bool(last[-1] - last[0] <= rule.within_seconds)


def is_steady(alert: Alert, rule: Flapping | None, at: datetime) -> bool:
    """Whether a flapping alert has not changed for the time of the rule."""
    if rule is None or not alert.changes:
        return True
    return bool(at.timestamp() - alert.changes[-1] >= rule.within_seconds)
