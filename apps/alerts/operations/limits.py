"""Refused requests: one alert about them for the integration's team, which ends when nothing is refused any more."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db import transaction
from django.db.models import Q

from apps.alerts.models import IntakeMinute, Integration
from apps.alerts.operations.saying import say
from apps.engine.registry import DueTimer, Locked, TimerKind
from apps.engine.timers import NewTimer, schedule_many
from apps.foundation.clock import now

TIMER_KIND = "alerts.limit_over"
DEDUP_KEY = "rate-limit"
QUIET = timedelta(minutes=5)
KEPT = timedelta(days=3)
AT_ONCE = 200

_UNTOLD = Q(refused_count__gt=0, is_told=False)


def limits_due(at: datetime) -> bool:
    """Whether refusals are to be told, or old counts to be deleted."""
    return IntakeMinute.objects.filter(_UNTOLD).exists() or IntakeMinute.objects.filter(minute__lt=at - KEPT).exists()


@transaction.atomic
def tell_limits() -> int:
    """Report integrations that were refused anything since they were last looked at; returns how many minutes it took.

    A repetition of an alert that fires changes nothing, so a long storm is one alert.
    """
    old = IntakeMinute.objects.filter(minute__lt=now() - KEPT).values("pk")[:10_000]
    deleted, _ = IntakeMinute.objects.filter(pk__in=list(old.values_list("pk", flat=True))).delete()
    rows = list(IntakeMinute.objects.select_for_update(skip_locked=True).filter(_UNTOLD).order_by("pk")[:AT_ONCE])
    integrations = Integration.objects.in_bulk({row.integration_id for row in rows})
    at = now()
    say((integration.pk, _refused(integration)) for integration in integrations.values())
    seq = int(at.timestamp())
    schedule_many([NewTimer(TIMER_KIND, str(pk), 0, seq, at + QUIET) for pk in sorted(integrations)])
    IntakeMinute.objects.filter(pk__in=[row.pk for row in rows]).update(is_told=True)
    return len(rows) + deleted


def _refused(integration: Integration) -> dict[str, Any]:
    limit = integration.rate_per_minute
    limit = settings.INTAKE_RATE_PER_MINUTE if limit is None else limit
    return {
        "dedup_key": DEDUP_KEY,
        "title": f"{integration.name} sends more than it may: requests are refused"[:300],
        "labels": {"alertname": "IntakeRateLimit", "integration": integration.name},
        "annotations": {
            "description": f"It may send {limit} requests in a minute. What is over that is answered with 429 and not "
            "kept, so alerts may be missing until the source repeats them. Its page shows how many."
        },
    }


def lock(keys: Sequence[str]) -> dict[str, Locked]:
    """Integrations need no lock for this: a receipt is all that is written."""
    rows = Integration.objects.filter(pk__in=[int(key) for key in keys])
    return {str(row.pk): Locked(row, 0) for row in rows}


def exists(keys: Sequence[str]) -> set[str]:
    """Which of them are there."""
    rows = Integration.objects.filter(pk__in=[int(key) for key in keys])
    return {str(pk) for pk in rows.values_list("pk", flat=True)}


def fire(due: Sequence[DueTimer]) -> None:
    """End the alert of those that were refused nothing lately; a later refusal has brought a later timer."""
    since = now() - QUIET - timedelta(minutes=1)  # the minute in which the quiet began may have refused something
    ids = [item.subject.pk for item in due]
    recent = IntakeMinute.objects.filter(integration_id__in=ids, refused_count__gt=0, minute__gt=since)
    loud = set(recent.values_list("integration_id", flat=True))
    again = [item for item in due if item.subject.pk in loud]
    at = now() + timedelta(minutes=1)
    schedule_many([NewTimer(TIMER_KIND, str(item.subject.pk), 0, int(at.timestamp()), at) for item in again])
    quiet = sorted(set(ids) - loud)
    say((pk, {"dedup_key": DEDUP_KEY, "status": "resolve", "title": "Nothing is refused any more"}) for pk in quiet)


KIND = TimerKind(name=TIMER_KIND, lock=lock, exists=exists, fire=fire)
