"""The daily word on flags that the code could be rid of."""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta

from django.db import transaction

from apps.engine.models import Timer
from apps.engine.operations import publish
from apps.engine.timers import NewTimer, schedule_many
from apps.flags.events import StaleFlagsFound
from apps.flags.models import Flag
from apps.flags.staleness import is_stale, why_stale
from apps.foundation.actor import Actor
from apps.foundation.clock import now
from apps.foundation.subjects import Subject

STALE_TIMER = "flags.stale"
AT = time(6, tzinfo=UTC)
MOST_TOLD = 100


def report_stale() -> int:
    """Publish one event that names the stale flags, and schedule the next report; how many there are.

    Nothing is published where there are none. A constant number of queries.
    """
    at = now()
    rows = Flag.objects.filter(is_stale(at)).select_related("environment", "owner", "use")
    found = list(rows.order_by("environment__position", "key"))
    if found:
        told = [
            {
                "flag_id": flag.pk,
                "key": flag.key,
                "environment": flag.environment.slug,
                "team": flag.owner.slug,
                "why": sorted(why_stale(flag, at)),
            }
            for flag in found[:MOST_TOLD]
        ]
        event = StaleFlagsFound(count=len(found), flags=told)
        publish(event, subject=Subject("", ""), actor=Actor.system("flags"))
    schedule_next()
    return len(found)


def schedule_next() -> None:
    """The report of tomorrow; a repeat changes nothing."""
    day = now().astimezone(UTC).date() + timedelta(days=1)
    schedule_many([NewTimer(STALE_TIMER, "all", 1, day.toordinal(), datetime.combine(day, AT))])


def keep_reporting() -> list[str]:
    """For the check of invariants: where there are flags, a report is to come. Nothing worth a word is wrong."""
    if Flag.objects.exists() and not Timer.objects.filter(kind=STALE_TIMER, state=Timer.State.PENDING).exists():
        with transaction.atomic():
            schedule_next()
    return []
