"""Instants of wall-clock times."""

from __future__ import annotations

from datetime import UTC, date, datetime, time
from functools import lru_cache
from zoneinfo import ZoneInfo


@lru_cache(maxsize=16384)
def wall_clock(day: date, at: time, zone: str) -> datetime:
    """The instant, in UTC, at which clocks in `zone` show `at` on `day`.

    In a gap: the first instant after it. When the time happens twice: its first occurrence.
    Raises ZoneInfoNotFoundError for an unknown zone.
    """
    local = datetime.combine(day, at.replace(tzinfo=None, fold=0), ZoneInfo(zone))
    found = local.astimezone(UTC)
    if found.astimezone(local.tzinfo).replace(tzinfo=None) == local.replace(tzinfo=None):
        return found
    return _end_of_gap(local.replace(fold=1).astimezone(UTC), found, ZoneInfo(zone))


def _end_of_gap(before: datetime, after: datetime, zone: ZoneInfo) -> datetime:
    """The transition between two instants around a gap. Transitions happen on whole seconds."""
    low, high = int(before.timestamp()), int(after.timestamp()) + 1
    new_offset = datetime.fromtimestamp(high, zone).utcoffset()
    while high - low > 1:
        middle = (low + high) // 2
        if datetime.fromtimestamp(middle, zone).utcoffset() == new_offset:
            high = middle
        else:
            low = middle
    return datetime.fromtimestamp(high, UTC)


def local_reading(at: datetime, zone: str) -> datetime:
    """What clocks in `zone` show at an instant, without a zone."""
    return at.astimezone(ZoneInfo(zone)).replace(tzinfo=None)
