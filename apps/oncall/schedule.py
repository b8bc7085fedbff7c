"""Who is on call when: pure functions of a schedule and an interval, without a database.

Paging, the calendar and every feed ask these functions, so they can't disagree. All instants are aware;
results are in UTC. All intervals are half-open: the instant of a handoff belongs to the next person.

The rules:

- A handoff happens each week at a wall-clock time in an IANA zone. A time that a clock change skips means the
  first instant after the gap; a time that happens twice means its first occurrence.
- At a handoff the turn goes to the next place in the order among those effective then. Places that begin or end
  never shuffle the others.
- A place that ends while it is on duty hands over at that instant. A place that begins while nobody is on duty
  takes over at that instant.
- Before the first handoff nobody is on duty.
- An override beats the rotation; of several overrides the newest wins.
"""

from __future__ import annotations

import heapq
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from itertools import pairwise
from zoneinfo import ZoneInfo

_WEEK = timedelta(days=7)
_INSTANT = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class Place:
    """A person's place in the order, from `starts_at` until before `ends_at`."""

    user_id: int
    position: int
    starts_at: datetime
    ends_at: datetime | None = None
    place_id: int = 0

    @property
    def order(self) -> tuple[int, int]:
        return (self.position, self.place_id)

    def holds_at(self, at: datetime) -> bool:
        return self.starts_at <= at and (self.ends_at is None or at < self.ends_at)


@dataclass(frozen=True, slots=True)
class Cover:
    """An override: `user_id` is on call instead, from `starts_at` until before `ends_at`."""

    user_id: int
    starts_at: datetime
    ends_at: datetime
    created_at: datetime
    cover_id: int = 0


@dataclass(frozen=True, slots=True)
class Schedule:
    """All that decides who is on call in one rotation. `weekday` 0 is Monday."""

    zone: str
    weekday: int
    handoff: time
    starts_on: date
    places: tuple[Place, ...]
    covers: tuple[Cover, ...] = ()

    @property
    def first_day(self) -> date:
        """The day of the first handoff, on or after `starts_on`."""
        return self.starts_on + timedelta(days=(self.weekday - self.starts_on.weekday()) % 7)

    def handoff_at(self, number: int) -> datetime:
        """The instant of a handoff, counted from 0."""
        return wall_clock(self.first_day + number * _WEEK, self.handoff, self.zone)

    def handoff_before(self, at: datetime) -> int:
        """The number of the last handoff at or before an instant; negative before the first one."""
        local = at.astimezone(ZoneInfo(self.zone)).date()
        number = (local - self.first_day).days // 7
        while self.handoff_at(number) > at:
            number -= 1
        while self.handoff_at(number + 1) <= at:
            number += 1
        return number


@dataclass(frozen=True, slots=True)
class Shift:
    """`user_id` is on call from `starts_at` until before `ends_at`; `cover_id` names the override, if it is one."""

    user_id: int
    starts_at: datetime
    ends_at: datetime
    cover_id: int | None = None


@dataclass(frozen=True, slots=True)
class _Duty:
    """A stretch of the bare rotation; `place` is None while nobody is on duty."""

    place: Place | None
    starts_at: datetime
    ends_at: datetime


@lru_cache(maxsize=8192)
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


def shifts(schedule: Schedule, start: datetime, end: datetime) -> list[Shift]:
    """Everybody's shifts inside [start, end), in order, cut at its edges; instants nobody covers are left out.

    Cost grows with the number of handoffs and overrides inside the window and with the number of places, not with
    the age of the rotation. Raises ValueError for instants without a time zone.
    """
    if start.tzinfo is None or end.tzinfo is None:
        raise ValueError("A window needs instants with a time zone.")
    if end <= start:
        return []
    start, end = start.astimezone(UTC), end.astimezone(UTC)
    duties = list(_rotation(schedule, start, end))
    covers = [cover for cover in schedule.covers if cover.starts_at < end and start < cover.ends_at]
    return _laid_over(duties, covers, start, end) if covers else _bare(duties)


def who_is_on(schedule: Schedule, at: datetime) -> int | None:
    """The person on call at an instant, or None."""
    found = shifts(schedule, at, at + _INSTANT)
    return found[0].user_id if found else None


def gaps(found: list[Shift], start: datetime, end: datetime) -> list[tuple[datetime, datetime]]:
    """The stretches of [start, end) in which none of the shifts (in order) puts anybody on call."""
    missing, reached = [], start
    for shift in found:
        if shift.starts_at > reached:
            missing.append((reached, shift.starts_at))
        reached = shift.ends_at
    if reached < end:
        missing.append((reached, end))
    return missing


def _bare(duties: list[_Duty]) -> list[Shift]:
    return [Shift(duty.place.user_id, duty.starts_at, duty.ends_at) for duty in duties if duty.place is not None]


def _laid_over(duties: list[_Duty], covers: list[Cover], start: datetime, end: datetime) -> list[Shift]:
    """The rotation with overrides on top: one walk over all edges, the newest running override first in a heap."""
    edges = {start, end} | {duty.starts_at for duty in duties}
    for cover in covers:
        edges |= {max(cover.starts_at, start).astimezone(UTC), min(cover.ends_at, end).astimezone(UTC)}
    waiting = sorted(covers, key=lambda cover: cover.starts_at, reverse=True)
    running: list[tuple[float, int, int, Cover]] = []  # the serial number settles ties before covers are compared
    duty_starts = [duty.starts_at for duty in duties]
    found: list[Shift] = []
    for begins, ends in pairwise(sorted(edges)):
        while waiting and waiting[-1].starts_at <= begins:
            cover = waiting.pop()
            heapq.heappush(running, (-cover.created_at.timestamp(), -cover.cover_id, len(waiting), cover))
        while running and running[0][3].ends_at <= begins:
            heapq.heappop(running)
        duty = duties[bisect_right(duty_starts, begins) - 1]
        if running:
            _append(found, Shift(running[0][3].user_id, begins, ends, running[0][3].cover_id))
        elif duty.place is not None:
            _append(found, Shift(duty.place.user_id, begins, ends), joins=begins != duty.starts_at)
    return found


def _append(found: list[Shift], shift: Shift, *, joins: bool = True) -> None:
    """Add a piece; one that only an edge of something else had cut off grows back together."""
    last = found[-1] if found else None
    same = last is not None and (last.user_id, last.cover_id) == (shift.user_id, shift.cover_id)
    if joins and same and last is not None and last.ends_at == shift.starts_at:
        found[-1] = Shift(last.user_id, last.starts_at, shift.ends_at, last.cover_id)
    else:
        found.append(shift)


def _rotation(schedule: Schedule, start: datetime, end: datetime) -> Iterator[_Duty]:
    """Who is on duty by the rotation alone: stretches that fill [start, end) without holes.

    Time is cut where the set of effective places changes. Inside a cut the order is fixed, so the person at any
    handoff follows by arithmetic, and only the cuts before the window are walked, not the weeks.
    """
    first = schedule.handoff_at(0)
    if start < first:
        yield _Duty(None, start, min(first, end))
    on: Place | None = None
    last: tuple[int, int] | None = None
    cuts = _cuts(schedule, first)
    for begins, ends in zip(cuts, [*cuts[1:], end], strict=True):
        if begins >= end:
            return
        roster = sorted((place for place in schedule.places if place.holds_at(begins)), key=lambda place: place.order)
        number = schedule.handoff_before(begins)
        if on not in roster or schedule.handoff_at(number) == begins:
            on = _next_in(roster, last)
        if ends > start:
            yield from _stretches(schedule, roster, on, number, (max(begins, start), min(ends, end)))
        if on is not None:
            on = _after(roster, on, schedule.handoff_before(ends - _INSTANT) - number)
            last = on.order


def _cuts(schedule: Schedule, first: datetime) -> list[datetime]:
    """The first handoff and every later instant at which a place begins or ends."""
    changes = {place.starts_at for place in schedule.places}
    changes |= {place.ends_at for place in schedule.places if place.ends_at is not None}
    return [first, *sorted({change.astimezone(UTC) for change in changes if change > first})]


def _next_in(roster: list[Place], last: tuple[int, int] | None) -> Place | None:
    """The first place after `last` in the order, round to the beginning; None in an empty roster."""
    if not roster:
        return None
    return next((place for place in roster if last is not None and place.order > last), roster[0])


def _after(roster: list[Place], place: Place, handoffs: int) -> Place:
    return roster[(roster.index(place) + handoffs) % len(roster)]


def _stretches(
    schedule: Schedule, roster: list[Place], on: Place | None, number: int, window: tuple[datetime, datetime]
) -> Iterator[_Duty]:
    """The stretches of one cut inside the window; `on` had the duty since handoff `number` or since the cut."""
    start, end = window
    if on is None:
        yield _Duty(None, start, end)
        return
    at, current = start, schedule.handoff_before(start)
    while at < end:
        until = min(schedule.handoff_at(current + 1), end)
        yield _Duty(_after(roster, on, current - number), at, until)
        at, current = until, current + 1
