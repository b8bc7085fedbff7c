"""Heartbeats: beats are taken in like alerts, and a timer notices when they stop.

A timer is not moved by each beat: when it fires it looks for the newest one and waits on if there is one.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from django.db.models import Max

from apps.alerts.episodes import Sighting
from apps.alerts.models import Alert, Heartbeat, Integration, Receipt
from apps.alerts.operations.reading import Reading
from apps.alerts.operations.saying import say
from apps.alerts.payloads import AlertEvent
from apps.alerts.readers import BEAT
from apps.engine.registry import DueTimer, Locked, TimerKind
from apps.engine.timers import NewTimer, schedule_many
from apps.foundation.clock import now
from apps.policies.durations import duration_text

TIMER_KIND = "alerts.heartbeat"
DEDUP_KEY = "heartbeat"
ASLEEP = timedelta(seconds=60)
"""A timer that fires so late tells that the portal itself slept; it could not hear beats either."""

_State = Heartbeat.State


def apply_beats(integration: Integration, found: Reading) -> None:
    """Take beats in: the first after a silence starts the timer and ends the alert. Their receipts are deleted.

    They say nothing but when they came, which is kept; each minute of each heartbeat would be a row else.
    """
    heartbeat, _ = Heartbeat.objects.select_for_update().get_or_create(integration=integration)
    newest = max(found.beats, key=lambda receipt: receipt.received_at)
    heartbeat.last_beat_at = max(heartbeat.last_beat_at or newest.received_at, newest.received_at)
    heartbeat.beat_count += len(found.beats)
    was_missing = heartbeat.state == _State.MISSING
    if heartbeat.state != _State.BEATING:
        heartbeat.state = _State.BEATING
        heartbeat.run, heartbeat.timer_seq = heartbeat.run + 1, 0
        schedule_many([_timer(heartbeat, integration, _deadline(integration, heartbeat.last_beat_at))])
    heartbeat.save()
    firing = Alert.objects.filter(integration=integration, dedup_key=DEDUP_KEY, state=Alert.State.FIRING).first()
    if was_missing and (firing is None or firing.fire_receipt_id > newest.pk):
        # It was declared missing in the very moment of the beat: what says so is not applied yet, or is newer than
        # the beat. What is said now is newer than both.
        say([(integration.pk, {"dedup_key": DEDUP_KEY, "title": "It beats again", "status": "resolved"})])
    if DEDUP_KEY in found.sightings or firing is not None:
        event = AlertEvent(DEDUP_KEY, "resolved", "It beats again", "", "", {}, {}, "", None)
        sighting = Sighting(newest.pk, newest.received_at, event)
        sightings = [*found.sightings.get(DEDUP_KEY, []), sighting]
        found.sightings[DEDUP_KEY] = sorted(sightings, key=lambda item: item.receipt_id)
    Receipt.objects.filter(pk__in=[receipt.pk for receipt in found.beats]).delete()


def restart_timer(integration: Integration) -> None:
    """Count anew from the last beat, with the integration's present interval. Nothing while it doesn't beat."""
    heartbeat = Heartbeat.objects.select_for_update().filter(integration=integration, state=_State.BEATING).first()
    if heartbeat is None or heartbeat.last_beat_at is None:
        return
    heartbeat.run, heartbeat.timer_seq = heartbeat.run + 1, 0
    heartbeat.save(update_fields=["run", "timer_seq"])
    schedule_many([_timer(heartbeat, integration, _deadline(integration, heartbeat.last_beat_at))])


def say_missing_again(integration: Integration) -> None:
    """Report a heartbeat that went missing while nobody was to hear of it. Nothing while it beats."""
    heartbeat = Heartbeat.objects.filter(integration=integration, state=_State.MISSING).first()
    if heartbeat is not None and heartbeat.last_beat_at is not None:
        say([(integration.pk, _missing(integration, heartbeat.last_beat_at))])


def _deadline(integration: Integration, last_beat_at: datetime) -> datetime:
    return last_beat_at + timedelta(seconds=(integration.interval_seconds or 0) + (integration.grace_seconds or 0))


def _timer(heartbeat: Heartbeat, integration: Integration, due_at: datetime) -> NewTimer:
    return NewTimer(TIMER_KIND, str(integration.pk), heartbeat.run, heartbeat.timer_seq, due_at)


def _missing(integration: Integration, last_beat_at: datetime) -> dict[str, Any]:
    every = duration_text(integration.interval_seconds)
    return {
        "dedup_key": DEDUP_KEY,
        "title": f"{integration.name} has stopped beating"[:300],
        "labels": {"alertname": "HeartbeatMissing", "heartbeat": integration.name},
        "annotations": {
            "description": f"Its last beat came {last_beat_at:%Y-%m-%d %H:%M:%S} UTC; one is due each {every}, with "
            f"{duration_text(integration.grace_seconds)} of grace."
        },
    }


def lock(keys: Sequence[str]) -> dict[str, Locked]:
    """Lock the heartbeats that nobody else holds; the present run of each."""
    rows = Heartbeat.objects.select_for_update(skip_locked=True, of=("self",)).select_related("integration")
    found = rows.filter(pk__in=[int(key) for key in keys]).order_by("pk")
    return {str(row.pk): Locked(row, row.run) for row in found}


def exists(keys: Sequence[str]) -> set[str]:
    """Which of them are there, locked or not."""
    return {str(pk) for pk in Heartbeat.objects.filter(pk__in=[int(key) for key in keys]).values_list("pk", flat=True)}


def fire(due: Sequence[DueTimer]) -> None:
    """Wait on where a beat came in time, also one that is not grouped yet; report the others."""
    at = now()
    beating = [item for item in due if item.subject.state == _State.BEATING]
    beating = [item for item in beating if item.subject.integration.state != Integration.State.REVOKED]
    newest = _newest_ungrouped([item.subject.pk for item in beating])
    timers: list[NewTimer] = []
    missing: list[tuple[int, dict[str, Any]]] = []
    changed: list[Heartbeat] = []
    for item in beating:
        heartbeat, integration = item.subject, item.subject.integration
        last = max(heartbeat.last_beat_at, newest.get(heartbeat.pk, heartbeat.last_beat_at))
        deadline = _deadline(integration, last)
        if deadline <= at and at - item.timer.due_at > ASLEEP:
            deadline = _deadline(integration, at)
        if deadline > at:
            heartbeat.timer_seq += 1
            timers.append(_timer(heartbeat, integration, deadline))
        else:
            heartbeat.state = _State.MISSING
            missing.append((integration.pk, _missing(integration, last)))
        changed.append(heartbeat)
    schedule_many(timers)
    Heartbeat.objects.bulk_update(changed, ["state", "timer_seq"])
    say(missing)


def _newest_ungrouped(integration_ids: Sequence[int]) -> dict[int, datetime]:
    rows = Receipt.objects.filter(integration_id__in=integration_ids, state=Receipt.State.NEW, form=BEAT)
    return dict(rows.order_by().values_list("integration_id").annotate(Max("received_at")))


KIND = TimerKind(name=TIMER_KIND, lock=lock, exists=exists, fire=fire)
