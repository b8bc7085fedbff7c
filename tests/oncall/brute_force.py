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

instants = st.integers(0, HOURS * 4).map(lambda quarters: BEGIN + quarters * timedelta(minutes=15))
clocks = st.builds(time, st.integers(0, 23), st.sampled_from([0, 30]))
people = st.integers(1, 5)


@st.composite
def spans(draw: st.DrawFn, hours: int) -> tuple[datetime, datetime]:
    start = draw(instants)
    return start, start + draw(st.integers(1, hours)) * HOUR


@st.composite
def layers(draw: st.DrawFn, number: int) -> Layer:
    cadence = draw(st.sampled_from(list(Cadence)))
    zone = draw(st.sampled_from(ZONES))
    most_days = 20 if cadence is Cadence.HOURLY else 200
    layer = Layer(
        zone=zone,
        handoff=draw(clocks),
        starts_on=BEGIN.date() + draw(st.integers(-20, most_days)) * DAY,
        places=(),
        cadence=cadence,
        every=draw(st.sampled_from([1, 4, 8, 12]) if cadence is Cadence.HOURLY else st.integers(1, 3)),
        weekday=draw(st.integers(0, 6)),
        day=draw(st.integers(1, 31)),
        restrictions=tuple(draw(st.lists(restrictions, max_size=2))),
        holidays=draw(st.none() | holidays),
        holiday_rule=draw(st.sampled_from(list(HolidayRule))),
        priority=draw(st.integers(0, 2)),
        layer_id=number,
    )
    handoffs = readings(layer)
    at_handoff = [wall(next(handoffs), zone) for _ in range(12)]
    moments = instants | st.sampled_from(at_handoff)
    places = []
    for index in range(draw(st.integers(0, 4))):
        start = draw(st.just(LONG_AGO) | moments)
        end = draw(st.none() | moments)
        if end is None or end > start:
            places.append(Place(draw(people), draw(st.integers(0, 2)), start, end, index))
    return replace(layer, places=tuple(places))


restrictions = st.builds(Restriction, st.frozensets(st.integers(0, 6), min_size=1), clocks, clocks)
holidays = st.builds(
    Holidays, own_days=st.frozensets(st.dates(date(2026, 1, 1), date(2026, 12, 1)), min_size=1, max_size=60)
)


@st.composite
def schedules(draw: st.DrawFn) -> Schedule:
    """Up to three layers, six overrides, three coverages and three pauses in 2026."""
    covers = []
    for number, (start, end) in enumerate(draw(st.lists(spans(900), max_size=6))):
        replaces = draw(st.none() | people)
        covers.append(Cover(draw(st.integers(4, 8)), start, end, draw(instants), number, replaces))
    coverages = [
        Coverage(draw(st.integers(4, 9)), start, end, number)
        for number, (start, end) in enumerate(draw(st.lists(spans(900), max_size=3)))
    ]
    pauses = [
        Pause(start, draw(st.just(end) | st.none()), draw(st.none() | people))
        for start, end in draw(st.lists(spans(1500), max_size=3))
    ]
    return Schedule(
        layers=tuple(draw(layers(number)) for number in range(draw(st.integers(0, 3)))),
        covers=tuple(covers),
        coverages=tuple(coverages),
        pauses=tuple(pauses),
    )


@st.composite
def questions(draw: st.DrawFn) -> tuple[Schedule, datetime, datetime, int]:
    """A schedule, a window of up to 40 days, and a seed for the random instants."""
    start = BEGIN + draw(st.integers(0, HOURS - 24 * 41)) * HOUR
    return draw(schedules()), start, start + draw(st.integers(1, 24 * 40)) * HOUR, draw(st.integers(0, 2**32))
