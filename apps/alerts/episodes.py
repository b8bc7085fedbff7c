"""What a set of receipts makes of one alert, whatever the order in which they are handled.

Two registers decide: the newest receipt in which the alert fires, and the newest in which it is resolved. Each is a
maximum, so order cannot matter, and the state is a function of both. Newer means a higher receipt id, which is the
order in which the sender got its answers.

One case is not told by ids alone: a resolve overtakes its own trigger on the way in. Such a trigger speaks of an
episode (`starts_at`) that is already over and comes within seconds of the resolve; it is late and opens nothing. After
that time the same words mean that the source sees the trouble again (Alertmanager repeats the old `startsAt` when it
lost sight of Prometheus for a while), and a lost page would be worse than one too many.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from apps.alerts.models import Alert
from apps.alerts.payloads import AlertEvent

OVERTAKEN = timedelta(seconds=60)

Step = Literal["fired", "resolved", "unchanged"]


@dataclass(frozen=True, slots=True)
class Sighting:
    """One alert in one receipt."""

    receipt_id: int
    received_at: datetime
    event: AlertEvent


def fires(alert: Alert) -> bool:
    """Whether the registers say that the alert fires now."""
    if alert.fire_receipt_id == 0 or alert.fire_receipt_id <= alert.resolve_receipt_id:
        return False
    newest, over = alert.starts_at, alert.resolve_starts_at
    if alert.fire_starts_at is None or newest is None or over is None or newest > over:
        return True
    fired, resolved = alert.fire_received_at, alert.resolve_received_at
    return fired is None or resolved is None or fired > resolved + OVERTAKEN


def apply(alert: Alert, sighting: Sighting) -> tuple[Step, bool]:
    """Take a sighting into `alert` (in memory). Returns what it did to the state and whether it now gives the texts.

    `fired` is the start of a new episode. The texts are those of the newest trigger, or of the newest resolve while
    no trigger was ever seen.
    """
    fired_before = alert.fire_receipt_id != 0 and alert.state == Alert.State.FIRING
    event, receipt_id, at = sighting.event, sighting.receipt_id, sighting.received_at
    speaks = False
    if event.status == "firing":
        if receipt_id > alert.fire_receipt_id:
            alert.fire_receipt_id, alert.fire_received_at = receipt_id, at
            alert.fire_starts_at = event.starts_at
            speaks = True
        alert.starts_at = _later(alert.starts_at, event.starts_at)
    elif receipt_id > alert.resolve_receipt_id:
        alert.resolve_receipt_id, alert.resolve_received_at = receipt_id, at
        alert.resolve_starts_at = event.starts_at
        speaks = alert.fire_receipt_id == 0
    if speaks:
        alert.title, alert.labels, alert.annotations, alert.link = (
            event.title,
            event.labels,
            event.annotations,
            event.link,
        )
    alert.last_receipt_id = max(alert.last_receipt_id, receipt_id)
    alert.last_seen_at = max(alert.last_seen_at, at)
    alert.receipt_count += 1
    return _settle(alert, at, fired_before=fired_before), speaks


def _settle(alert: Alert, at: datetime, *, fired_before: bool) -> Step:
    if fires(alert):
        alert.state, alert.resolved_at = Alert.State.FIRING, None
        if fired_before:
            return "unchanged"
        alert.fired_at = at
        alert.episode_count += 1
        return "fired"
    alert.state, alert.resolved_at = Alert.State.RESOLVED, alert.resolve_received_at
    return "resolved" if fired_before else "unchanged"


def spoken_by(alert: Alert) -> AlertEvent:
    """What the alert would say again now; for the rare one that fires because of a receipt that gives no texts."""
    return AlertEvent(
        dedup_key=alert.dedup_key,
        status="firing",
        title=alert.title,
        severity=alert.severity,
        service=alert.service.slug if alert.service is not None else "",
        labels=alert.labels,
        annotations=alert.annotations,
        link=alert.link,
        starts_at=alert.starts_at,
    )


def unseen(integration_id: int, dedup_key: str, sighting: Sighting) -> Alert:
    """An alert nobody has heard of, to which its first sighting is still to be applied."""
    return Alert(
        integration_id=integration_id,
        dedup_key=dedup_key,
        last_seen_at=sighting.received_at,
        receipt_count=0,
        episode_count=0,
        state=Alert.State.RESOLVED,
    )


def _later(one: datetime | None, other: datetime | None) -> datetime | None:
    if one is None or other is None:
        return one or other
    return max(one, other)
