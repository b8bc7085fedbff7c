"""How the load is shared: hours of each person, and which of them were nights, weekends and holidays."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta

from apps.oncall.schedule.clocks import local_reading, wall_clock
from apps.oncall.schedule.spans import Span, common, joined, without
from apps.oncall.schedule.terms import Schedule, Shift

NIGHT_BEGINS, NIGHT_ENDS = time(22), time(6)
_DAY, _SATURDAY = timedelta(days=1), 5
Holiday = Callable[[date], bool]


@dataclass(slots=True)
class Tally:
    """What one person had, in seconds; an hour may be night, weekend and holiday at once."""

    shifts: int = 0
    seconds: float = 0
    night_seconds: float = 0
    weekend_seconds: float = 0
    holiday_seconds: float = 0


def tally(found: Iterable[Shift], zones: Mapping[int, str], is_holiday: Holiday) -> dict[int, Tally]:
    """What each person had in these shifts, by the clocks of their own zone (UTC where `zones` has none).

    Nights are 22:00 to 06:00, weekends Saturday and Sunday. Shifts of one person that touch count once. Cost is
    linear in the days that the shifts cover.
    """
    of: dict[int, Tally] = {}
    ends: dict[int, datetime] = {}
    for shift in found:
        mine = of.setdefault(shift.user_id, Tally())
        if ends.get(shift.user_id) != shift.starts_at:
            mine.shifts += 1
        ends[shift.user_id] = shift.ends_at
        _add(mine, shift.starts_at, shift.ends_at, zones.get(shift.user_id, "UTC"), is_holiday)
    return of


def _add(mine: Tally, starts_at: datetime, ends_at: datetime, zone: str, is_holiday: Holiday) -> None:
    mine.seconds += (ends_at - starts_at).total_seconds()
    day, last = local_reading(starts_at, zone).date(), local_reading(ends_at, zone).date()
    while day <= last:
        begins, ends = wall_clock(day, time(), zone), wall_clock(day + _DAY, time(), zone)
        part = _overlap(starts_at, ends_at, begins, ends)
        if part:
            morning = _overlap(starts_at, ends_at, begins, wall_clock(day, NIGHT_ENDS, zone))
            evening = _overlap(starts_at, ends_at, wall_clock(day, NIGHT_BEGINS, zone), ends)
            mine.night_seconds += morning + evening
            mine.weekend_seconds += part if day.weekday() >= _SATURDAY else 0
            mine.holiday_seconds += part if is_holiday(day) else 0
        day += _DAY


def _overlap(starts_at: datetime, ends_at: datetime, begins: datetime, ends: datetime) -> float:
    return max((min(ends_at, ends) - max(starts_at, begins)).total_seconds(), 0.0)


def weights(schedule: Schedule, start: datetime, end: datetime) -> dict[int, float]:
    """For how many seconds of [start, end) each person had a place in the order and did not pause.

    The share that may be expected of somebody is their part of the sum. A person with two places counts once.
    """
    places: dict[int, list[Span]] = {}
    for layer in schedule.layers:
        for place in layer.places:
            begins, ends = max(place.starts_at.astimezone(UTC), start), min(place.ends_at or end, end)
            if begins < ends:
                places.setdefault(place.user_id, []).append((begins, ends))
    return {user_id: _length(_present(schedule, user_id, spans, start, end)) for user_id, spans in places.items()}


def _present(schedule: Schedule, user_id: int, spans: Sequence[Span], start: datetime, end: datetime) -> Iterator[Span]:
    away = [
        (max(pause.starts_at, start), min(pause.ends_at or end, end))
        for pause in schedule.pauses
        if pause.user_id in {None, user_id}
    ]
    there = list(common(joined(spans), [(start, end)]))
    return without(there, joined(away))


def _length(spans: Iterable[Span]) -> float:
    return sum((ends - begins).total_seconds() for begins, ends in spans)
