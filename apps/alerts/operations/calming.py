"""Timers after which alerts are looked at once more: does it still flap, is what held it back over?"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta

from django.db.models import QuerySet

from apps.alerts.models import Alert
from apps.alerts.operations.saying import recheck
from apps.alerts.policy import routing
from apps.engine.registry import DueTimer, Locked, TimerKind
from apps.engine.timers import NewTimer, schedule_many
from apps.foundation.clock import now
from apps.incidents.models import Incident

CALM, RELEASE = "alerts.calm", "alerts.release"


# --- flapping -----------------------------------------------------------------------------------------------------


def watch_flapping(alerts: Iterable[tuple[Alert, int]]) -> None:
    """Look at flapping alerts again when they were steady for so many seconds."""
    schedule_many([_calm_timer(alert, seconds) for alert, seconds in alerts])


def _calm_timer(alert: Alert, seconds: int) -> NewTimer:
    due_at = datetime.fromtimestamp(alert.changes[-1], UTC) + timedelta(seconds=seconds)
    return NewTimer(CALM, str(alert.pk), 0, int(due_at.timestamp()), due_at, {"seconds": seconds})


def _lock_alerts(keys: Sequence[str]) -> dict[str, Locked]:
    rows = Alert.objects.select_for_update(skip_locked=True).filter(pk__in=[int(key) for key in keys]).order_by("pk")
    return {str(row.pk): Locked(row, 0) for row in rows}


def _alerts_exist(keys: Sequence[str]) -> set[str]:
    return {str(pk) for pk in Alert.objects.filter(pk__in=[int(key) for key in keys]).values_list("pk", flat=True)}


def _fire_calm(due: Sequence[DueTimer]) -> None:
    at = now()
    steady: dict[int, list[str]] = defaultdict(list)
    again: list[NewTimer] = []
    for item in due:
        alert = item.subject
        if alert.flapping_since is None or not alert.changes:
            continue
        timer = _calm_timer(alert, item.timer.payload["seconds"])
        if timer.due_at > at:
            again.append(timer)
        else:
            steady[alert.integration_id].append(alert.dedup_key)
    schedule_many(again)
    recheck(steady)


CALM_KIND = TimerKind(name=CALM, lock=_lock_alerts, exists=_alerts_exist, fire=_fire_calm)


# --- held back by a dependency --------------------------------------------------------------------------------------


def release_later(incidents: Iterable[Incident]) -> None:
    """An outage of these incidents is over: look again, after the time their pack gives, at what they hold back.

    Dependants need a moment to recover by themselves; only what still fires then opens incidents. A repeat changes
    nothing, incidents that hold nothing back cost one query together.
    """
    by_id = {incident.pk: incident for incident in incidents}
    held = set(held_back(by_id).values_list("group__incident_id", flat=True)) if by_id else set()
    timers = []
    for incident_id in sorted(held):
        after = routing(by_id[incident_id].policy_version_id).suppression.release_after_seconds
        due_at = now() + timedelta(seconds=after)
        timers.append(NewTimer(RELEASE, str(incident_id), 0, int(due_at.timestamp()), due_at))
    schedule_many(timers)


def held_back(incident_ids: Iterable[int]) -> QuerySet[Alert]:
    """Firing alerts that are attached to these incidents only because they need what is down."""
    return Alert.objects.filter(group__incident_id__in=list(incident_ids), state=Alert.State.FIRING, is_suppressed=True)


def _lock_incidents(keys: Sequence[str]) -> dict[str, Locked]:
    rows = Incident.objects.select_for_update(skip_locked=True, no_key=True, of=("self",))
    return {str(row.pk): Locked(row, 0) for row in rows.filter(pk__in=[int(key) for key in keys]).order_by("pk")}


def _incidents_exist(keys: Sequence[str]) -> set[str]:
    return {str(pk) for pk in Incident.objects.filter(pk__in=[int(key) for key in keys]).values_list("pk", flat=True)}


def _fire_release(due: Sequence[DueTimer]) -> None:
    """Look at all of them: what needs something that is down still, or again, is held back anew."""
    keys: dict[int, list[str]] = defaultdict(list)
    held = held_back(item.subject.pk for item in due)
    for integration_id, key in held.values_list("integration_id", "dedup_key"):
        keys[integration_id].append(key)
    recheck(keys)


RELEASE_KIND = TimerKind(name=RELEASE, lock=_lock_incidents, exists=_incidents_exist, fire=_fire_release)
