"""When it is quiet, and when that ends: a pure function of (spans, zone, instant).

Times are read from the person's wall clock as rotations read theirs: one that a clock change skips is the first
instant after the gap, one that happens twice its first occurrence. Spans are half-open.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import date, datetime, time, timedelta

from apps.oncall.schedule.clocks import local_reading, wall_clock
from apps.paging.rules.document import WEEKDAYS, QuietSpan

_DAY = timedelta(days=1)
# Quiet for longer than a week without a break is quiet for ever.
_LONGEST = timedelta(days=8)


def spells(spans: Sequence[QuietSpan], zone: str, first: date, last: date) -> Iterator[tuple[datetime, datetime]]:
    """The quiet intervals, in UTC, that begin on the days from `first` to `last`; empty ones are left out."""
    day = first
    while day <= last:
        for span in spans:
            if WEEKDAYS[day.weekday()] in span.days:
                start = wall_clock(day, span.starts, zone)
                end = wall_clock(day if span.ends > span.starts else day + _DAY, span.ends, zone)
                if start < end:
                    yield start, end
        day += _DAY


def end_of_quiet(spans: Sequence[QuietSpan], zone: str, at: datetime) -> datetime | None:
    """The first instant from `at` on that is not quiet; `at` itself where it is not. None when it never ends."""
    if not spans:
        return at
    today = local_reading(at, zone).date()
    # One that began yesterday may go over midnight; zones differ by at most a day from what is read here.
    found = sorted(spells(spans, zone, today - 2 * _DAY, today + _LONGEST))
    free = at
    for start, end in found:
        if start <= free < end:
            free = end
    return None if free - at >= _LONGEST - _DAY else free


def quiet_share(spans: Sequence[QuietSpan]) -> float:
    """Which part of an ordinary week is quiet, from 0 to 1: for the linter."""
    week = [False] * (7 * 24 * 60)
    for span in spans:
        starts, ends = _minute(span.starts), _minute(span.ends)
        length = ends - starts if ends > starts else ends - starts + 24 * 60
        for day in span.days:
            begin = WEEKDAYS.index(day) * 24 * 60 + starts
            for minute in range(begin, begin + length):
                week[minute % len(week)] = True
    return sum(week) / len(week)


def _minute(at: time) -> int:
    return at.hour * 60 + at.minute
