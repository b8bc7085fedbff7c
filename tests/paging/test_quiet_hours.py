"""Quiet hours are a pure function of wall clocks: over midnight, over clock changes, and never for ever by accident."""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

from hypothesis import given, settings
from hypothesis import strategies as st

from apps.paging.rules.choosing import released_at
from apps.paging.rules.document import WEEKDAYS, QuietSpan, Wishes
from apps.paging.rules.quiet import end_of_quiet, quiet_share, spells

ZONES = ("UTC", "America/Chicago", "Europe/Berlin", "Australia/Lord_Howe", "Asia/Kathmandu", "Pacific/Apia")
NIGHT = QuietSpan(WEEKDAYS, time(22), time(7))
MINUTE = timedelta(minutes=1)


def at(text: str, zone: str = "UTC") -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone)).astimezone(UTC)


def ends(spans: tuple[QuietSpan, ...], zone: str, when: str) -> str:
    found = end_of_quiet(spans, zone, at(when, zone))
    assert found is not None
    return found.astimezone(ZoneInfo(zone)).strftime("%Y-%m-%d %H:%M")


def test_a_night_goes_over_midnight_and_is_half_open() -> None:
    assert ends((NIGHT,), "Europe/Berlin", "2026-05-04 21:59") == "2026-05-04 21:59"
    assert ends((NIGHT,), "Europe/Berlin", "2026-05-04 22:00") == "2026-05-05 07:00"
    assert ends((NIGHT,), "Europe/Berlin", "2026-05-05 06:59") == "2026-05-05 07:00"
    assert ends((NIGHT,), "Europe/Berlin", "2026-05-05 07:00") == "2026-05-05 07:00"


def test_the_weekday_is_that_of_its_beginning() -> None:
    friday = (QuietSpan(("fri",), time(22), time(7)),)
    assert ends(friday, "UTC", "2026-05-09 03:00") == "2026-05-09 07:00"  # Saturday morning
    assert ends(friday, "UTC", "2026-05-08 03:00") == "2026-05-08 03:00"  # Friday morning is Thursday's night


def test_spans_that_touch_are_one() -> None:
    both = (NIGHT, QuietSpan(WEEKDAYS, time(7), time(9, 30)))
    assert ends(both, "UTC", "2026-05-04 23:00") == "2026-05-05 09:30"


def test_an_end_that_the_clocks_skip_is_the_end_of_the_gap() -> None:
    spring = (QuietSpan(WEEKDAYS, time(22), time(2, 30)),)
    # Berlin, 2026-03-29: 02:00 becomes 03:00.
    assert ends(spring, "Europe/Berlin", "2026-03-29 01:00") == "2026-03-29 03:00"


def test_an_end_that_happens_twice_is_its_first_time() -> None:
    autumn = (QuietSpan(WEEKDAYS, time(22), time(2, 30)),)
    found = end_of_quiet(autumn, "Europe/Berlin", at("2026-10-25 00:30", "Europe/Berlin"))
    assert found == datetime(2026, 10, 25, 0, 30, tzinfo=UTC)  # 02:30 of summer time


def test_the_same_from_and_to_is_a_whole_day_and_all_of_them_have_no_end() -> None:
    assert ends((QuietSpan(("sat", "sun"), time(0), time(0)),), "UTC", "2026-05-09 12:00") == "2026-05-11 00:00"
    always = (QuietSpan(WEEKDAYS, time(9), time(9)),)
    assert end_of_quiet(always, "UTC", at("2026-05-09 12:00")) is None
    assert quiet_share(always) == 1
    assert released_at(Wishes(quiet=always), "low", "UTC", at("2026-05-09 12:00")) is None


def test_high_urgency_is_never_held_back_and_low_may_wish_the_inbox_only() -> None:
    now = at("2026-05-04 23:00")
    assert released_at(Wishes(quiet=(NIGHT,)), "high", "UTC", now) == now
    assert released_at(Wishes(quiet=(NIGHT,)), "low", "UTC", now) == at("2026-05-05 07:00")
    assert released_at(Wishes(quiet=(NIGHT,), when_quiet="inbox"), "low", "UTC", now) is None
    assert released_at(Wishes(quiet=(NIGHT,), when_quiet="inbox"), "low", "UTC", at("2026-05-04 12:00")) is not None


_times = st.times().map(lambda found: found.replace(second=0, microsecond=0, tzinfo=None))
_spans = st.builds(
    QuietSpan, st.lists(st.sampled_from(WEEKDAYS), min_size=1, max_size=7, unique=True).map(tuple), _times, _times
)
# Around the clock changes of 2026 in all these zones, and anywhere else in the year.
_instants = st.integers(0, 525_000).map(
    lambda minutes: datetime(2026, 1, 1, tzinfo=UTC) + timedelta(minutes=minutes)
) | st.builds(
    lambda day, minutes: datetime.fromisoformat(day).replace(tzinfo=UTC) + timedelta(minutes=minutes),
    st.sampled_from(["2026-03-08", "2026-03-29", "2026-04-04", "2026-10-04", "2026-10-25", "2026-11-01"]),
    st.integers(-1440, 2880),
)


@settings(max_examples=150, deadline=None)
@given(st.lists(_spans, min_size=1, max_size=3), st.sampled_from(ZONES), _instants)
def test_the_end_is_the_first_instant_that_no_spell_covers(
    spans: list[QuietSpan], zone: str, instant: datetime
) -> None:
    """Compared with every spell around, which is the definition."""
    found = end_of_quiet(spans, zone, instant)
    day = instant.astimezone(ZoneInfo(zone)).date()
    every = list(spells(spans, zone, day - timedelta(days=3), day + timedelta(days=12)))

    def is_quiet(when: datetime) -> bool:
        return any(start <= when < end for start, end in every)

    if found is None:
        assert all(is_quiet(instant + timedelta(hours=hours)) for hours in range(24 * 7))
        return
    assert not is_quiet(found)
    boundaries = [end for _, end in every if instant < end < found]
    assert all(is_quiet(when) for when in (instant, *boundaries)) or found == instant
    assert found == instant or is_quiet(found - MINUTE / 60)
