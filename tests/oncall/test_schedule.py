from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from time import perf_counter
from zoneinfo import ZoneInfo

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from apps.oncall.schedule import (
    Cover,
    Layer,
    Place,
    Schedule,
    Shift,
    gaps,
    next_handoff,
    people_on,
    shifts,
    wall_clock,
    who_is_on,
)
from tests.oncall.brute_force import ZONES, questions

LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)
ANA, BEN, CAT = 1, 2, 3


def utc(*parts: int) -> datetime:
    return datetime(*parts, tzinfo=UTC)  # type: ignore[misc,arg-type]  # a shorthand of the tests


def places(*users: int) -> tuple[Place, ...]:
    return tuple(Place(user, index, LONG_AGO, None, index) for index, user in enumerate(users))


def weekly(*members: Place, covers: tuple[Cover, ...] = (), zone: str = "UTC", weekday: int = 0) -> Schedule:
    """Mondays at 09:00 from 2026-01-05, unless told otherwise."""
    return Schedule((Layer(zone, time(9), date(2026, 1, 5), members, weekday=weekday),), covers)


def handoffs(schedule: Schedule, count: int) -> list[datetime]:
    """The first handoffs of the only layer."""
    found = [next_handoff(schedule.layers[0], LONG_AGO)]
    while len(found) < count:
        found.append(next_handoff(schedule.layers[0], found[-1]))
    return found


# --- the wall clock ------------------------------------------------------------------------------------------------


def test_a_handoff_keeps_its_wall_clock_time_across_a_clock_change() -> None:
    found = handoffs(weekly(*places(ANA, BEN), zone="Europe/Berlin"), 13)
    assert found[0] == utc(2026, 1, 5, 8)
    assert found[12] == utc(2026, 3, 30, 7)


def test_a_skipped_time_means_the_first_instant_after_the_gap() -> None:
    assert wall_clock(date(2026, 3, 29), time(2, 30), "Europe/Berlin") == utc(2026, 3, 29, 1)
    assert wall_clock(date(2026, 3, 8), time(2, 0), "America/New_York") == utc(2026, 3, 8, 7)
    assert wall_clock(date(2026, 10, 4), time(2, 15), "Australia/Lord_Howe") == utc(2026, 10, 3, 15, 30)


def test_a_skipped_day_means_the_first_instant_after_it() -> None:
    assert wall_clock(date(2011, 12, 30), time(9), "Pacific/Apia") == utc(2011, 12, 30, 10)


def test_an_ambiguous_time_means_its_first_occurrence() -> None:
    assert wall_clock(date(2026, 10, 25), time(2, 30), "Europe/Berlin") == utc(2026, 10, 25, 0, 30)


def test_the_first_handoff_is_on_or_after_the_start() -> None:
    assert handoffs(weekly(weekday=0), 1) == [utc(2026, 1, 5, 9)]
    assert handoffs(weekly(weekday=6), 1) == [utc(2026, 1, 11, 9)]


# --- turns ---------------------------------------------------------------------------------------------------------


def test_people_take_turns_and_the_handoff_belongs_to_the_next() -> None:
    schedule = weekly(*places(ANA, BEN))
    assert who_is_on(schedule, utc(2026, 1, 12, 9) - timedelta(microseconds=1)) == ANA
    assert who_is_on(schedule, utc(2026, 1, 12, 9)) == BEN
    assert who_is_on(schedule, utc(2026, 1, 19, 9)) == ANA


def test_nobody_is_on_before_the_first_handoff_or_without_members() -> None:
    assert who_is_on(weekly(*places(ANA)), utc(2026, 1, 5, 8, 59)) is None
    assert who_is_on(weekly(), utc(2026, 1, 6)) is None


def test_shifts_are_cut_at_the_edges_of_the_window() -> None:
    found = shifts(weekly(*places(ANA, BEN)), utc(2026, 1, 10), utc(2026, 1, 20))
    assert found == [
        Shift(ANA, utc(2026, 1, 10), utc(2026, 1, 12, 9), layer_id=0),
        Shift(BEN, utc(2026, 1, 12, 9), utc(2026, 1, 19, 9), layer_id=0),
        Shift(ANA, utc(2026, 1, 19, 9), utc(2026, 1, 20), layer_id=0),
    ]


def test_a_member_who_joins_does_not_shuffle_the_others() -> None:
    joined = Place(CAT, 9, utc(2026, 1, 14), None, 9)
    schedule = weekly(*places(ANA, BEN), joined)
    on = [who_is_on(schedule, at) for at in handoffs(schedule, 6)]
    assert on == [ANA, BEN, CAT, ANA, BEN, CAT]


def test_a_member_who_leaves_on_duty_hands_over_at_once() -> None:
    leaving = Place(ANA, 0, LONG_AGO, utc(2026, 1, 7), 0)
    schedule = weekly(leaving, *places(ANA, BEN, CAT)[1:])
    assert who_is_on(schedule, utc(2026, 1, 6)) == ANA
    assert who_is_on(schedule, utc(2026, 1, 7)) == BEN
    assert who_is_on(schedule, utc(2026, 1, 12, 9)) == CAT


def test_a_member_who_leaves_at_a_handoff_skips_nobody() -> None:
    leaving = Place(ANA, 0, LONG_AGO, utc(2026, 1, 12, 9), 0)
    schedule = weekly(leaving, *places(ANA, BEN, CAT)[1:])
    assert who_is_on(schedule, utc(2026, 1, 12, 9)) == BEN


def test_a_member_who_joins_at_a_handoff_holds_nobody_up() -> None:
    joined = Place(CAT, 9, utc(2026, 1, 12, 9), None, 9)
    assert who_is_on(weekly(*places(ANA, BEN), joined), utc(2026, 1, 12, 9)) == BEN


def test_the_first_member_of_an_empty_rotation_is_on_duty_at_once() -> None:
    schedule = weekly(Place(ANA, 0, utc(2026, 1, 7)))
    assert who_is_on(schedule, utc(2026, 1, 6)) is None
    assert who_is_on(schedule, utc(2026, 1, 7)) == ANA


# --- overrides -----------------------------------------------------------------------------------------------------


def test_an_override_holds_half_open() -> None:
    cover = Cover(CAT, utc(2026, 1, 6), utc(2026, 1, 7), LONG_AGO)
    schedule = weekly(*places(ANA), covers=(cover,))
    assert who_is_on(schedule, utc(2026, 1, 6)) == CAT
    assert who_is_on(schedule, utc(2026, 1, 7)) == ANA


def test_of_several_overrides_the_newest_wins() -> None:
    old = Cover(BEN, utc(2026, 1, 6), utc(2026, 1, 9), utc(2026, 1, 1), 1)
    new = Cover(CAT, utc(2026, 1, 7), utc(2026, 1, 8), utc(2026, 1, 2), 2)
    found = shifts(weekly(*places(ANA), covers=(old, new)), utc(2026, 1, 6), utc(2026, 1, 9))
    assert [(shift.user_id, shift.starts_at.day) for shift in found] == [(BEN, 6), (CAT, 7), (BEN, 8)]


def test_an_override_covers_where_the_rotation_has_nobody() -> None:
    cover = Cover(CAT, utc(2026, 1, 1), utc(2026, 1, 2), LONG_AGO)
    assert who_is_on(weekly(covers=(cover,)), utc(2026, 1, 1)) == CAT


def test_gaps_are_what_no_shift_covers() -> None:
    cover = Cover(CAT, utc(2026, 1, 2), utc(2026, 1, 3), LONG_AGO)
    start, end = utc(2026, 1, 1), utc(2026, 1, 4)
    found = shifts(weekly(covers=(cover,)), start, end)
    assert gaps(found, start, end) == [(start, utc(2026, 1, 2)), (utc(2026, 1, 3), end)]


def test_a_window_without_a_time_zone_is_refused() -> None:
    with pytest.raises(ValueError, match="time zone"):
        shifts(weekly(), datetime(2026, 1, 1), utc(2026, 1, 2))  # noqa: DTZ001  # the very thing it refuses


def test_cost_grows_with_the_window_and_not_with_the_age() -> None:
    old = Schedule((Layer("Europe/Berlin", time(9), date(1990, 1, 1), places(*range(1, 9))),))
    begun = perf_counter()
    found = shifts(old, utc(2026, 1, 1), utc(2026, 4, 1))
    assert len(found) == 13 + 1
    assert perf_counter() - begun < 0.026


# --- what holds for all schedules ----------------------------------------------------------------------------------


@settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))
@given(questions())
def test_shifts_and_gaps_fill_the_window_and_a_longer_one_says_the_same(
    asked: tuple[Schedule, datetime, datetime, int],
) -> None:
    schedule, start, end, _ = asked
    found = shifts(schedule, start, end)
    missing = gaps(found, start, end)
    assert sum((ends - begins for begins, ends in missing), timedelta()) <= end - start
    for begins, ends in missing:
        assert people_on(schedule, begins) == people_on(schedule, ends - timedelta(microseconds=1)) == []
    middle = start + (end - start) / 2
    on = [shift.user_id for shift in found if shift.starts_at <= middle < shift.ends_at]
    assert sorted(on) == sorted(people_on(schedule, middle))


@settings(max_examples=300, deadline=None)
@given(st.dates(date(2000, 1, 1), date(2035, 1, 1)), st.times(), st.sampled_from(ZONES))
def test_a_wall_clock_time_is_the_first_instant_that_shows_it_or_later(day: date, at: time, zone: str) -> None:
    found, local = wall_clock(day, at, zone), datetime.combine(day, at)
    before = (found - timedelta(microseconds=1)).astimezone(ZoneInfo(zone)).replace(tzinfo=None)
    assert found.astimezone(ZoneInfo(zone)).replace(tzinfo=None) >= local
    assert before < local
