from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest

from apps.oncall.schedule import Cadence, Layer, Place, Restriction, Schedule, shifts, wall_clock
from tests.oncall.brute_force import wall

SECOND, HOUR, DAY = timedelta(seconds=1), timedelta(hours=1), timedelta(days=1)
LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)
ANA, BEN = 1, 2
ZONES = ["America/Chicago", "Europe/Berlin", "Australia/Lord_Howe"]
TIMES = [time(1, 30), time(2, 30)]
YEARS = range(2024, 2028)


def daily(zone: str, handoff: time) -> Schedule:
    people = (Place(ANA, 0, LONG_AGO), Place(BEN, 1, LONG_AGO, None, 1))
    return Schedule((Layer(zone, handoff, date(2024, 1, 1), people, Cadence.DAILY),))


def changes(zone: str, year: int) -> list[datetime]:
    """The instants of a year at which the clocks of a zone change."""
    tz, at = ZoneInfo(zone), datetime(year, 1, 1, tzinfo=UTC)
    half_hours = [at + count * HOUR / 2 for count in range(366 * 48)]
    return [
        now
        for before, now in pairwise(half_hours)
        if before.astimezone(tz).utcoffset() != now.astimezone(tz).utcoffset()
    ]


@pytest.mark.parametrize("handoff", TIMES)
@pytest.mark.parametrize("zone", ZONES)
@pytest.mark.parametrize("year", YEARS)
def test_daily_handoffs_keep_the_clock_over_both_changes(zone: str, year: int, handoff: time) -> None:
    schedule, tz = daily(zone, handoff), ZoneInfo(zone)
    both = changes(zone, year)
    assert len(both) == 2
    for change in both:
        found = shifts(schedule, change - 3 * DAY, change + 3 * DAY)
        assert all(one.user_id != other.user_id for one, other in pairwise(found))
        for shift in found[1:]:
            local = shift.starts_at.astimezone(tz)
            assert shift.starts_at == wall(datetime.combine(local.date(), handoff), zone)
            assert (local.time() == handoff and local.fold == 0) or shift.starts_at == change
            before = (shift.starts_at - SECOND).astimezone(tz).replace(tzinfo=None)
            assert before < datetime.combine(local.date(), handoff)


@pytest.mark.parametrize(
    ("zone", "day", "handoff", "instant"),
    [
        ("America/Chicago", date(2026, 3, 8), time(2, 30), "2026-03-08T08:00Z"),  # 02:00 to 03:00 does not exist
        ("America/Chicago", date(2026, 3, 8), time(1, 30), "2026-03-08T07:30Z"),
        ("America/Chicago", date(2026, 11, 1), time(1, 30), "2026-11-01T06:30Z"),  # twice: still in summer time
        ("America/Chicago", date(2026, 11, 1), time(2, 30), "2026-11-01T08:30Z"),
        ("Europe/Berlin", date(2026, 3, 29), time(2, 30), "2026-03-29T01:00Z"),
        ("Europe/Berlin", date(2026, 10, 25), time(2, 30), "2026-10-25T00:30Z"),
        ("Europe/Berlin", date(2026, 10, 25), time(1, 30), "2026-10-24T23:30Z"),
        ("Australia/Lord_Howe", date(2026, 10, 4), time(2, 30), "2026-10-03T15:30Z"),  # half an hour, 02:00 to 02:30
        ("Australia/Lord_Howe", date(2026, 4, 5), time(1, 30), "2026-04-04T14:30Z"),  # 01:30 to 02:00 comes twice
        ("Australia/Lord_Howe", date(2026, 4, 5), time(2, 30), "2026-04-04T16:00Z"),
    ],
)
def test_the_documented_instants_of_2026(zone: str, day: date, handoff: time, instant: str) -> None:
    assert wall_clock(day, handoff, zone) == datetime.fromisoformat(instant)


def test_an_hour_that_does_not_exist_is_nobodys() -> None:
    people = tuple(Place(user, user, LONG_AGO, None, user) for user in (1, 2, 3, 4))
    layer = Layer("Europe/Berlin", time(0), date(2026, 3, 29), people, Cadence.HOURLY)
    start = datetime(2026, 3, 28, 23, tzinfo=UTC)
    found = shifts(Schedule((layer,)), start, start + 4 * HOUR)
    assert [(shift.user_id, shift.starts_at.hour) for shift in found] == [(1, 23), (2, 0), (4, 1), (1, 2)]


def test_an_hour_that_comes_twice_is_one_turn() -> None:
    people = (Place(ANA, 0, LONG_AGO), Place(BEN, 1, LONG_AGO, None, 1))
    layer = Layer("Europe/Berlin", time(0), date(2026, 10, 25), people, Cadence.HOURLY)
    start = datetime(2026, 10, 24, 22, tzinfo=UTC)
    found = shifts(Schedule((layer,)), start, start + 5 * HOUR)
    assert [shift.ends_at - shift.starts_at for shift in found] == [HOUR, HOUR, 2 * HOUR, HOUR]


def test_a_night_over_a_clock_change_is_as_long_as_it_is() -> None:
    nights = Restriction(starts=time(22), ends=time(6))
    layer = Layer("Europe/Berlin", time(9), date(2026, 1, 5), (Place(ANA, 0, LONG_AGO),), restrictions=(nights,))
    start = datetime(2026, 3, 28, 12, tzinfo=UTC)
    (found,) = shifts(Schedule((layer,)), start, start + DAY - 3 * HOUR)
    assert found.ends_at - found.starts_at == 7 * HOUR
