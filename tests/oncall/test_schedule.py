from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, time, timedelta
from itertools import pairwise
from time import perf_counter
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from apps.oncall.schedule import Cover, Place, Schedule, Shift, gaps, shifts, wall_clock, who_is_on

LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)
ANA, BEN, CAT = 1, 2, 3


def utc(*parts: int) -> datetime:
    return datetime(*parts, tzinfo=UTC)  # type: ignore[misc,arg-type]  # a shorthand of the tests


def places(*users: int) -> tuple[Place, ...]:
    return tuple(Place(user, index, LONG_AGO, None, index) for index, user in enumerate(users))


def weekly(*members: Place, covers: tuple[Cover, ...] = (), zone: str = "UTC", weekday: int = 0) -> Schedule:
    """Mondays at 09:00 from 2026-01-05, unless told otherwise."""
    return Schedule(zone, weekday, time(9), date(2026, 1, 5), members, covers)


# --- the wall clock ------------------------------------------------------------------------------------------------


def test_a_handoff_keeps_its_wall_clock_time_across_a_clock_change() -> None:
    schedule = weekly(*places(ANA, BEN), zone="Europe/Berlin")
    assert schedule.handoff_at(0) == utc(2026, 1, 5, 8)
    assert schedule.handoff_at(12) == utc(2026, 3, 30, 7)


def test_a_skipped_time_means_the_first_instant_after_the_gap() -> None:
    assert wall_clock(date(2026, 3, 29), time(2, 30), "Europe/Berlin") == utc(2026, 3, 29, 1)
    assert wall_clock(date(2026, 3, 8), time(2, 0), "America/New_York") == utc(2026, 3, 8, 7)
    assert wall_clock(date(2026, 10, 4), time(2, 15), "Australia/Lord_Howe") == utc(2026, 10, 3, 15, 30)


def test_a_skipped_day_means_the_first_instant_after_it() -> None:
    assert wall_clock(date(2011, 12, 30), time(9), "Pacific/Apia") == utc(2011, 12, 30, 10)


def test_an_ambiguous_time_means_its_first_occurrence() -> None:
    assert wall_clock(date(2026, 10, 25), time(2, 30), "Europe/Berlin") == utc(2026, 10, 25, 0, 30)


def test_the_first_handoff_is_on_or_after_the_start() -> None:
    assert weekly(weekday=0).first_day == date(2026, 1, 5)
    assert weekly(weekday=6).first_day == date(2026, 1, 11)


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
        Shift(ANA, utc(2026, 1, 10), utc(2026, 1, 12, 9)),
        Shift(BEN, utc(2026, 1, 12, 9), utc(2026, 1, 19, 9)),
        Shift(ANA, utc(2026, 1, 19, 9), utc(2026, 1, 20)),
    ]


def test_a_member_who_joins_does_not_shuffle_the_others() -> None:
    joined = Place(CAT, 9, utc(2026, 1, 14), None, 9)
    schedule = weekly(*places(ANA, BEN), joined)
    on = [who_is_on(schedule, schedule.handoff_at(number)) for number in range(6)]
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
    old = Schedule("Europe/Berlin", 0, time(9), date(1990, 1, 1), places(*range(1, 9)))
    begun = perf_counter()
    found = shifts(old, utc(2026, 1, 1), utc(2026, 4, 1))
    assert len(found) == 13 + 1
    assert perf_counter() - begun < 0.026


# --- against a brute force -----------------------------------------------------------------------------------------

ZONES = ["UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Pacific/Apia", "Asia/Kathmandu"]
BEGIN = utc(2026, 1, 1)
HOURS = 24 * 140
instants = st.integers(0, HOURS).map(lambda hours: BEGIN + timedelta(hours=hours))


@st.composite
def member_lists(draw: st.DrawFn) -> tuple[Place, ...]:
    count = draw(st.integers(0, 5))
    found = []
    for index in range(count):
        start = draw(st.just(LONG_AGO) | instants)
        end = draw(st.none() | st.integers(1, HOURS).map(lambda hours, start=start: start + timedelta(hours=hours)))
        found.append(Place(draw(st.integers(1, 4)), draw(st.integers(0, 3)), start, end, index))
    return tuple(found)


@st.composite
def cover_lists(draw: st.DrawFn) -> tuple[Cover, ...]:
    found = []
    for index in range(draw(st.integers(0, 6))):
        start = draw(instants)
        end = start + timedelta(hours=draw(st.integers(1, 400)))
        found.append(Cover(draw(st.integers(5, 8)), start, end, draw(instants), index))
    return tuple(found)


def at_handoffs(draw: st.DrawFn, schedule: Schedule) -> Schedule:
    """The same, with some members who come or go exactly at a handoff."""
    moved = []
    for place in schedule.places:
        first, last = sorted(draw(st.tuples(st.integers(0, 20), st.integers(0, 20))))
        how = draw(st.sampled_from(["as drawn", "comes", "goes"]))
        if how == "comes":
            moved.append(replace(place, starts_at=schedule.handoff_at(first), ends_at=None))
        elif how == "goes":
            moved.append(replace(place, starts_at=LONG_AGO, ends_at=schedule.handoff_at(last)))
        else:
            moved.append(place)
    return replace(schedule, places=tuple(moved))


@st.composite
def schedules(draw: st.DrawFn) -> Schedule:
    drawn = Schedule(
        zone=draw(st.sampled_from(ZONES)),
        weekday=draw(st.integers(0, 6)),
        handoff=time(draw(st.integers(0, 23)), draw(st.sampled_from([0, 30]))),
        starts_on=date(2026, 1, 1) + timedelta(days=draw(st.integers(-30, 20))),
        places=draw(member_lists()),
        covers=draw(cover_lists()),
    )
    return at_handoffs(draw, drawn)


def brute_force_wall_clock(day: date, at: time, zone: ZoneInfo) -> datetime:
    """The first quarter of an hour at which clocks in the zone have reached this reading, walking from the day before.

    Quarters, because some zones are 45 minutes off.
    """
    wanted = datetime.combine(day, at)
    instant = datetime.combine(day, time(), UTC) - timedelta(hours=26)
    while instant.astimezone(zone).replace(tzinfo=None) < wanted:
        instant += timedelta(minutes=15)
    return instant


def brute_force(schedule: Schedule, until: datetime) -> dict[datetime, int | None]:
    """Who is on in each quarter of an hour, by stepping through all of them from the first handoff."""
    zone = ZoneInfo(schedule.zone)
    handoffs = {
        brute_force_wall_clock(schedule.first_day + timedelta(weeks=week), schedule.handoff, zone) for week in range(60)
    }
    at, on, last = min(handoffs), None, None
    found: dict[datetime, int | None] = {}
    while at < until:
        roster = sorted((place for place in schedule.places if place.holds_at(at)), key=lambda place: place.order)
        if at in handoffs or on not in roster:
            later = [place for place in roster if last is not None and place.order > last.order]
            on = (later or roster or [None])[0]
            last = on or last
        found[at] = on.user_id if on else None
        at += timedelta(minutes=15)
    return found


def newest_cover(schedule: Schedule, at: datetime) -> Cover | None:
    running = [cover for cover in schedule.covers if cover.starts_at <= at < cover.ends_at]
    return max(running, key=lambda cover: (cover.created_at, cover.cover_id), default=None)


@settings(max_examples=120, deadline=None)
@given(schedules(), instants, st.integers(1, 24 * 21))
def test_shifts_agree_with_a_brute_force(schedule: Schedule, start: datetime, hours: int) -> None:
    end = start + timedelta(hours=hours)
    rotation = brute_force(schedule, end)
    found = shifts(schedule, start, end)
    at = start
    while at < end:
        cover = newest_cover(schedule, at)
        wanted = cover.user_id if cover else rotation.get(at)
        on = [shift.user_id for shift in found if shift.starts_at <= at < shift.ends_at]
        assert on == ([] if wanted is None else [wanted]), at
        at += timedelta(minutes=60)


@settings(max_examples=200, deadline=None)
@given(schedules(), instants, st.integers(1, 24 * 60))
def test_shifts_and_gaps_fill_the_window_without_overlap(schedule: Schedule, start: datetime, hours: int) -> None:
    end = start + timedelta(hours=hours)
    found = shifts(schedule, start, end)
    pieces = sorted([(shift.starts_at, shift.ends_at) for shift in found] + gaps(found, start, end))
    assert pieces[0][0] == start
    assert pieces[-1][1] == end
    assert all(before[1] == after[0] for before, after in pairwise(pieces))


@settings(max_examples=200, deadline=None)
@given(schedules(), instants, instants)
def test_a_longer_window_says_the_same(schedule: Schedule, at: datetime, start: datetime) -> None:
    if start > at:
        start, at = at, start
    on = [s.user_id for s in shifts(schedule, start, at + timedelta(days=9)) if s.starts_at <= at < s.ends_at]
    assert on == ([] if (only := who_is_on(schedule, at)) is None else [only])


@settings(max_examples=300, deadline=None)
@given(st.dates(date(2000, 1, 1), date(2035, 1, 1)), st.times(), st.sampled_from(ZONES))
def test_a_wall_clock_time_is_the_first_instant_that_shows_it_or_later(day: date, at: time, zone: str) -> None:
    found, local = wall_clock(day, at, zone), datetime.combine(day, at)
    before = (found - timedelta(microseconds=1)).astimezone(ZoneInfo(zone)).replace(tzinfo=None)
    assert found.astimezone(ZoneInfo(zone)).replace(tzinfo=None) >= local
    assert before < local
