"""Who is on call, the slow and plain way: asked for one instant at a time, sharing nothing with the real schedule
but its values. And random schedules on which both must agree.
"""

from __future__ import annotations

import random
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from typing import Any
from zoneinfo import ZoneInfo

from hypothesis import strategies as st

from apps.oncall.schedule import (
    Cadence,
    Cover,
    Coverage,
    HolidayRule,
    Holidays,
    Layer,
    Pause,
    Place,
    Restriction,
    Schedule,
    Shift,
    shifts,
)

SECOND, HOUR, DAY = timedelta(seconds=1), timedelta(hours=1), timedelta(days=1)
LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)
BEGIN = datetime(2026, 1, 1, tzinfo=UTC)
HOURS = 24 * 330
ZONES = [
    "UTC",
    "Europe/Berlin",
    "America/Chicago",
    "Australia/Lord_Howe",
    "America/Havana",
    "Asia/Kathmandu",
    "Pacific/Apia",
]


# --- the slow way ----------------------------------------------------------------------------------------------------


@lru_cache(maxsize=200_000)
def wall(reading: datetime, zone: str) -> datetime:
    """The first instant at which clocks in the zone have reached this reading: by trying every offset there is."""
    tz = ZoneInfo(zone)
    around = [(reading + days * DAY).replace(tzinfo=UTC).astimezone(tz).utcoffset() for days in (-2, -1, 0, 1, 2)]
    instants = sorted((reading - offset).replace(tzinfo=UTC) for offset in set(around) if offset is not None)
    showing = [at for at in instants if at.astimezone(tz).replace(tzinfo=None) == reading]
    if showing:
        return showing[0]
    at = instants[0] - DAY
    while at.astimezone(tz).replace(tzinfo=None) < reading:
        at += timedelta(minutes=15)
    return at


def readings(layer: Layer) -> Iterator[datetime]:
    """What the clocks of the layer show at each of its handoffs, found by counting."""
    day = layer.starts_on
    if layer.cadence is Cadence.HOURLY:
        reading = datetime.combine(day, layer.handoff)
        while True:
            yield reading
            reading += layer.every * HOUR
    count = 0
    while True:
        tomorrow = day + DAY
        is_due = {
            Cadence.DAILY: True,
            Cadence.WEEKLY: day.weekday() == layer.weekday,
            Cadence.MONTHLY: day.day == layer.day or (tomorrow.day == 1 and day.day < layer.day),
        }[layer.cadence]
        if is_due:
            if count % layer.every == 0:
                yield datetime.combine(day, layer.handoff)
            count += 1
        day = tomorrow


class Slow:
    """Answers for one schedule, for instants before `until`."""

    def __init__(self, schedule: Schedule, until: datetime) -> None:
        self.schedule, self.until = schedule, until
        self.layers = sorted(schedule.layers, key=lambda layer: (layer.priority, layer.layer_id), reverse=True)
        self.walked = {layer.layer_id: self.walk(layer) for layer in self.layers}

    def holds(self, place: Place, at: datetime) -> bool:
        paused = any(
            pause.user_id in {None, place.user_id}
            and pause.starts_at <= at
            and (pause.ends_at is None or at < pause.ends_at)
            for pause in self.schedule.pauses
        )
        return not paused and place.starts_at <= at and (place.ends_at is None or at < place.ends_at)

    def walk(self, layer: Layer) -> tuple[list[datetime], list[int | None]]:
        """Every instant at which something happens in a layer, and who has the turn from then on."""
        handoffs: dict[datetime, int] = {}
        for reading in readings(layer):
            at = wall(reading, layer.zone)
            if at >= self.until:
                break
            handoffs[at] = handoffs.get(at, 0) + 1
        if not handoffs:
            return [], []
        first = min(handoffs)
        edges = {at for row in (*layer.places, *self.schedule.pauses) for at in (row.starts_at, row.ends_at) if at}
        instants = sorted({*handoffs, *(at for at in edges if first < at < self.until)})
        on: Place | None = None
        last: Place | None = None
        people: list[int | None] = []
        for at in instants:
            order = sorted((place for place in layer.places if self.holds(place, at)), key=lambda place: place.order)
            for _ in range(handoffs.get(at, 0) or int(on not in order)):
                later = [place for place in order if last is not None and place.order > last.order]
                on = (later or order or [None])[0]
                last = on or last
            people.append(on.user_id if on else None)
        return instants, people

    def works(self, layer: Layer, at: datetime) -> bool:
        day = at.astimezone(ZoneInfo(layer.zone)).date()
        if layer.holidays is not None and layer.holiday_rule is not HolidayRule.IGNORE:
            is_holiday = day in layer.holidays.own_days
            if is_holiday != (layer.holiday_rule is HolidayRule.ONLY):
                return False
        if not layer.restrictions:
            return True
        for rule in layer.restrictions:
            for begins in (day - 2 * DAY, day - DAY, day):
                ends = begins + DAY if rule.ends <= rule.starts else begins
                if begins.weekday() in rule.weekdays and (
                    wall(datetime.combine(begins, rule.starts), layer.zone)
                    <= at
                    < wall(datetime.combine(ends, rule.ends), layer.zone)
                ):
                    return True
        return False

    def duty(self, at: datetime) -> int | None:
        for layer in self.layers:
            instants, people = self.walked[layer.layer_id]
            index = bisect_right(instants, at) - 1
            if index >= 0 and people[index] is not None and self.works(layer, at):
                return people[index]
        return None

    def people_on(self, at: datetime) -> list[int]:
        running = [cover for cover in self.schedule.covers if cover.starts_at <= at < cover.ends_at]
        running.sort(key=lambda cover: (cover.created_at, cover.cover_id))
        on = self.duty(at)
        for cover in running:
            if cover.replaces is None or cover.replaces == on:
                on = cover.user_id
        found = [] if on is None else [on]
        for coverage in sorted(self.schedule.coverages, key=lambda coverage: coverage.coverage_id):
            if coverage.starts_at <= at < coverage.ends_at:
                extra = coverage.user_id
                for cover in running:
                    if cover.replaces == extra:
                        extra = cover.user_id
                if extra not in found:
                    found.append(extra)
        return found

    def edges(self, start: datetime, end: datetime) -> set[datetime]:
        """Every instant in the window at which anything begins or ends, whether or not it matters."""
        found = {at for instants, _ in self.walked.values() for at in instants}
        for row in (*self.schedule.covers, *self.schedule.coverages):
            found |= {row.starts_at, row.ends_at}
        for layer in self.layers:
            day = start.date() - DAY
            while day <= end.date() + DAY:
                found |= {wall(datetime.combine(day, time()), layer.zone)}
                for rule in layer.restrictions:
                    found |= {wall(datetime.combine(day, at), layer.zone) for at in (rule.starts, rule.ends)}
                day += DAY
        return {at for at in found if start <= at <= end}


def assert_agreement(schedule: Schedule, start: datetime, end: datetime, seed: int) -> None:
    """Both ways say the same at every boundary, one second around it, and at 200 random instants."""
    found = shifts(schedule, start, end)
    assert all(start <= shift.starts_at < shift.ends_at <= end for shift in found)
    slow, dice = Slow(schedule, end), random.Random(seed)
    edges = slow.edges(start, end) | {at for shift in found for at in (shift.starts_at, shift.ends_at)}
    asked = {edge + offset for edge in edges for offset in (-SECOND, timedelta(), SECOND)}
    asked |= {start + dice.random() * (end - start) for _ in range(200)}
    waiting, running = found[::-1], list[Shift]()
    for at in sorted(at for at in asked if start <= at < end):
        while waiting and waiting[-1].starts_at <= at:
            running.append(waiting.pop())
        running = [shift for shift in running if shift.ends_at > at]
        on = [shift.user_id for shift in running]
        wanted = slow.people_on(at)
        assert len(set(on)) == len(on), at
        assert sorted(on) == sorted(wanted), at


# --- random schedules ------------------------------------------------------------------------------------------------
# The strategies stand here once: making them anew for each draw is what takes the time.

instants = st.integers(0, HOURS * 4).map(lambda quarters: BEGIN + quarters * timedelta(minutes=15))
clocks = st.builds(time, st.integers(0, 23), st.sampled_from([0, 30]))
people = st.integers(1, 5)
no_or_people = st.none() | people
restriction_lists = st.lists(
    st.builds(Restriction, st.frozensets(st.integers(0, 6), min_size=1), clocks, clocks), max_size=2
).map(tuple)
own_days = st.frozensets(st.integers(1, 330).map(lambda day: date(2026, 1, 1) + day * DAY), min_size=1, max_size=20)
no_or_holidays = st.none() | st.builds(Holidays, own_days=own_days)


def _span(start: datetime, hours: int) -> tuple[datetime, datetime]:
    return start, start + hours * HOUR


spans = st.builds(_span, instants, st.integers(1, 900))
bare_layers = st.builds(
    Layer,
    zone=st.sampled_from(ZONES),
    handoff=clocks,
    starts_on=st.integers(-20, 200).map(lambda day: BEGIN.date() + day * DAY),
    places=st.just(()),
    cadence=st.sampled_from([Cadence.DAILY, Cadence.WEEKLY, Cadence.MONTHLY]),
    every=st.integers(1, 3),
    weekday=st.integers(0, 6),
    day=st.integers(1, 31),
    restrictions=restriction_lists,
    holidays=no_or_holidays,
    holiday_rule=st.sampled_from(HolidayRule),
    priority=st.integers(0, 2),
) | st.builds(
    Layer,
    zone=st.sampled_from(ZONES),
    handoff=clocks,
    starts_on=st.integers(-20, 20).map(lambda day: BEGIN.date() + day * DAY),
    places=st.just(()),
    cadence=st.just(Cadence.HOURLY),
    every=st.sampled_from([1, 4, 8, 12]),
    restrictions=restriction_lists,
    priority=st.integers(0, 2),
)
# A moment is a free instant, or the number of a handoff: who comes or goes exactly then is the hardest case.
moments = instants | st.integers(0, 11)
place_lists = st.lists(
    st.tuples(people, st.integers(0, 2), st.just(LONG_AGO) | moments, st.none() | moments), max_size=4
)
cover_lists = st.lists(st.tuples(st.integers(4, 8), spans, instants, no_or_people), max_size=6)
coverage_lists = st.lists(st.tuples(st.integers(4, 9), spans), max_size=3)
pause_lists = st.lists(st.tuples(spans, st.booleans(), no_or_people), max_size=3)
layer_lists = st.lists(st.tuples(bare_layers, place_lists), max_size=3)


def _layer(number: int, layer: Layer, rows: list[tuple[Any, ...]]) -> Layer:
    """The layer with its places; a moment that is a number becomes that handoff."""
    handoffs = readings(layer)
    at_handoff = [wall(next(handoffs), layer.zone) for _ in range(12)]
    places = []
    for index, (user, position, *ends) in enumerate(rows):
        start, end = (at_handoff[at] if isinstance(at, int) else at for at in ends)
        if end is None or end > start:
            places.append(Place(user, position, start, end, index))
    return replace(layer, places=tuple(places), layer_id=number)


@st.composite
def questions(draw: st.DrawFn) -> tuple[Schedule, datetime, datetime, int]:
    """A schedule of up to three layers, six overrides, three coverages and three pauses in 2026, a window of up to 40
    days, and a seed for the random instants.
    """
    schedule = Schedule(
        layers=tuple(_layer(number, *drawn) for number, drawn in enumerate(draw(layer_lists))),
        covers=tuple(
            Cover(user, *span, made, number, replaces)
            for number, (user, span, made, replaces) in enumerate(draw(cover_lists))
        ),
        coverages=tuple(Coverage(user, *span, number) for number, (user, span) in enumerate(draw(coverage_lists))),
        pauses=tuple(Pause(span[0], span[1] if ends else None, user) for span, ends, user in draw(pause_lists)),
    )
    start, hours, seed = draw(windows)
    return schedule, start, start + hours * HOUR, seed


windows = st.tuples(
    st.integers(0, HOURS - 24 * 41).map(lambda hour: BEGIN + hour * HOUR),
    st.integers(1, 24 * 40),
    st.integers(0, 2**32),
)
