"""Spans of time, half-open, in order and apart; and what restrictions and holidays leave of a layer's time."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import date, datetime, time, timedelta

from apps.oncall.schedule.clocks import local_reading, wall_clock
from apps.oncall.schedule.terms import HolidayRule, Layer
from apps.oncall.schedule.turns import Turn

Span = tuple[datetime, datetime]
_DAY = timedelta(days=1)


def working_spans(layer: Layer, start: datetime, end: datetime) -> list[Span]:
    """When the layer works at all inside [start, end)."""
    found = [(start, end)]
    if layer.restrictions:
        found = list(common(found, _restricted(layer, start, end)))
    if layer.holidays is not None and layer.holiday_rule is not HolidayRule.IGNORE:
        days = _holidays(layer, start, end)
        others = days if layer.holiday_rule is HolidayRule.ONLY else list(without([(start, end)], days))
        found = list(common(found, others))
    return found


def _restricted(layer: Layer, start: datetime, end: datetime) -> list[Span]:
    spans = []
    for day in _days(layer.zone, start, end):
        weekday = day.weekday()
        for rule in layer.restrictions:
            if weekday in rule.weekdays:
                until = day if rule.starts < rule.ends else day + _DAY
                spans.append((wall_clock(day, rule.starts, layer.zone), wall_clock(until, rule.ends, layer.zone)))
    return joined(spans)


def _holidays(layer: Layer, start: datetime, end: datetime) -> list[Span]:
    calendar = layer.holidays
    days = [day for day in _days(layer.zone, start, end) if calendar is not None and calendar.includes(day)]
    return joined((wall_clock(day, time(), layer.zone), wall_clock(day + _DAY, time(), layer.zone)) for day in days)


def _days(zone: str, start: datetime, end: datetime) -> Iterator[date]:
    """Every day whose hours, or whose night, may reach into the window; two before it, as zones may skip a day."""
    day, last = local_reading(start, zone).date() - 2 * _DAY, local_reading(end, zone).date()
    while day <= last:
        yield day
        day += _DAY


def joined(spans: Iterable[Span]) -> list[Span]:
    """The union of spans in any order; empty ones are dropped."""
    found: list[Span] = []
    for begins, ends in sorted(spans):
        if ends <= begins:
            continue
        if found and begins <= found[-1][1]:
            found[-1] = (found[-1][0], max(found[-1][1], ends))
        else:
            found.append((begins, ends))
    return found


def common(ones: Sequence[Span], others: Sequence[Span]) -> Iterator[Span]:
    """What lies in both."""
    first = second = 0
    while first < len(ones) and second < len(others):
        begins, ends = max(ones[first][0], others[second][0]), min(ones[first][1], others[second][1])
        if begins < ends:
            yield begins, ends
        if ones[first][1] <= others[second][1]:
            first += 1
        else:
            second += 1


def without(spans: Sequence[Span], taken: Sequence[Span]) -> Iterator[Span]:
    """What of the spans is not taken."""
    index = 0
    for begins, ends in spans:
        at = begins
        while index < len(taken) and taken[index][1] <= at:
            index += 1
        reached = index
        while reached < len(taken) and taken[reached][0] < ends:
            if taken[reached][0] > at:
                yield at, taken[reached][0]
            at = taken[reached][1]
            reached += 1
        if at < ends:
            yield at, ends


def cut_to(found: Iterable[Turn], spans: Sequence[Span]) -> Iterator[Turn]:
    """The turns inside the spans; a turn that several spans share becomes several."""
    index = 0
    for turn in found:
        while index < len(spans) and spans[index][1] <= turn.starts_at:
            index += 1
        reached = index
        while reached < len(spans) and spans[reached][0] < turn.ends_at:
            begins, ends = max(spans[reached][0], turn.starts_at), min(spans[reached][1], turn.ends_at)
            yield Turn(begins, ends, turn.user_id)
            reached += 1
