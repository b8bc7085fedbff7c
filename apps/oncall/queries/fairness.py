"""How fairly the load of rotations was shared in a period, and who says how often each person was paged."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime

from apps.oncall.models import Rotation
from apps.oncall.queries.schedules import schedules_of
from apps.oncall.schedule import Schedule, Tally, shifts, tally, weights
from apps.people.models import User
from apps.people.zones import zone_of

_HOUR = 3600
# Within a twentieth, or four hours, nobody can do better: turns are not divisible.
_CLOSE_SHARE, _CLOSE_HOURS = 0.05, 4.0

# (people, teams, start, end) to pages per person.
PageCounter = Callable[[Collection[int], Collection[int], datetime, datetime], Mapping[int, int]]
_counters: list[PageCounter] = []


def register_page_counter(counter: PageCounter) -> None:
    """Let the floor that pages people say how often; called once in `ready()`, a second owner is a mistake."""
    if _counters and _counters[0] is not counter:
        raise RuntimeError("Pages are counted already.")
    _counters[:] = [counter]


@dataclass(frozen=True, slots=True)
class FairnessRow:
    """What one person had; hours of nights, weekends and holidays are among `hours`. `pages` is None when unknown."""

    user: User
    shifts: int
    hours: float
    night_hours: float
    weekend_hours: float
    holiday_hours: float
    pages: int | None
    expected_hours: float

    @property
    def deviation_hours(self) -> float:
        return round(self.hours - self.expected_hours, 1)

    @property
    def deviation(self) -> str:
        """The deviation in words."""
        off = self.hours - self.expected_hours
        if abs(off) <= max(_CLOSE_HOURS, self.expected_hours * _CLOSE_SHARE):
            return "about a fair share"
        if not self.expected_hours:
            return f"{off:.0f} h without a place in the order"
        part = abs(off) / self.expected_hours * 100
        return f"{abs(off):.0f} h {'more' if off > 0 else 'less'} than a fair share ({part:.0f} %)"


def fairness(rotations: Sequence[Rotation], start: datetime, end: datetime) -> list[FairnessRow]:
    """Everybody who had a shift or a place in these rotations in [start, end), most hours first. Some eight queries.

    The share that is expected of a person is, rotation by rotation, all hours divided by how long each had a place in
    the order and did not pause. Cost is linear in the days that the shifts cover.
    """
    schedules = schedules_of([rotation.pk for rotation in rotations], since=start)
    found = {pk: shifts(schedule, start, end) for pk, schedule in schedules.items()}
    there = {pk: weights(schedule, start, end) for pk, schedule in schedules.items()}
    ids = {shift.user_id for rows in found.values() for shift in rows} | {
        one for part in there.values() for one in part
    }
    users = User.objects.in_bulk(ids)
    zones = {pk: zone_of(user).key for pk, user in users.items()}
    total: dict[int, Tally] = defaultdict(Tally)
    expected: dict[int, float] = defaultdict(float)
    for pk, schedule in schedules.items():
        tallies = tally(found[pk], zones, _is_holiday(schedule))
        for user_id, one in tallies.items():
            _add(total[user_id], one)
        everything, parts = sum(one.seconds for one in tallies.values()), sum(there[pk].values())
        for user_id, part in there[pk].items():
            expected[user_id] += everything * part / parts if parts else 0
    pages = _pages(ids, {rotation.team_id for rotation in rotations}, start, end)
    rows = [_row(user, total[pk], expected[pk], pages) for pk, user in users.items()]
    return sorted(rows, key=lambda row: (-row.hours, row.user.name, row.user.pk))


def _is_holiday(schedule: Schedule) -> Callable[[date], bool]:
    calendars = [layer.holidays for layer in schedule.layers if layer.holidays is not None]
    return lambda day: any(calendar.includes(day) for calendar in calendars)


def _add(total: Tally, one: Tally) -> None:
    total.shifts += one.shifts
    total.seconds += one.seconds
    total.night_seconds += one.night_seconds
    total.weekend_seconds += one.weekend_seconds
    total.holiday_seconds += one.holiday_seconds


def _pages(
    user_ids: Collection[int], team_ids: Collection[int], start: datetime, end: datetime
) -> Mapping[int, int] | None:
    return _counters[0](user_ids, team_ids, start, end) if _counters else None


def _row(user: User, one: Tally, expected_seconds: float, pages: Mapping[int, int] | None) -> FairnessRow:
    return FairnessRow(
        user=user,
        shifts=one.shifts,
        hours=round(one.seconds / _HOUR, 1),
        night_hours=round(one.night_seconds / _HOUR, 1),
        weekend_hours=round(one.weekend_seconds / _HOUR, 1),
        holiday_hours=round(one.holiday_seconds / _HOUR, 1),
        pages=None if pages is None else pages.get(user.pk, 0),
        expected_hours=round(expected_seconds / _HOUR, 1),
    )
