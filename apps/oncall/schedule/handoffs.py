"""When a layer hands over: the n-th handoff, and the last one before an instant, by arithmetic."""

from __future__ import annotations

from calendar import monthrange
from datetime import date, datetime, timedelta

from apps.oncall.schedule.clocks import local_reading, wall_clock
from apps.oncall.schedule.terms import Cadence, Layer

_STEPS = {
    Cadence.HOURLY: timedelta(hours=1),
    Cadence.DAILY: timedelta(days=1),
    Cadence.WEEKLY: timedelta(days=7),
}
_MONTHS = 12


class Handoffs:
    """The handoffs of a layer, counted from 0. They never go back in time; a clock change may make two coincide."""

    def __init__(self, layer: Layer) -> None:
        self._layer = layer
        self._zone = layer.zone
        self._step = _STEPS.get(layer.cadence, timedelta()) * layer.every
        self._first = datetime.combine(_first_day(layer), layer.handoff)

    def at(self, number: int) -> datetime:
        """The instant of a handoff."""
        if self._step:
            reading = self._first + number * self._step
        else:
            day = _day_of_month(self._month(self._first) + number * self._layer.every, self._layer.day)
            reading = datetime.combine(day, self._layer.handoff)
        return wall_clock(reading.date(), reading.time(), self._zone)

    def before(self, at: datetime) -> int:
        """The number of the last handoff at or before an instant; negative before the first one."""
        reading = local_reading(at, self._zone)
        if self._step:
            number = (reading - self._first) // self._step
        else:
            number = (self._month(reading) - self._month(self._first)) // self._layer.every
        while self.at(number) > at:
            number -= 1
        while self.at(number + 1) <= at:
            number += 1
        return number

    @staticmethod
    def _month(reading: datetime) -> int:
        return reading.year * _MONTHS + reading.month - 1


def _first_day(layer: Layer) -> date:
    """The day of the first handoff, on or after `starts_on`."""
    if layer.cadence is Cadence.WEEKLY:
        return layer.starts_on + timedelta(days=(layer.weekday - layer.starts_on.weekday()) % 7)
    if layer.cadence is Cadence.MONTHLY:
        month = layer.starts_on.year * _MONTHS + layer.starts_on.month - 1
        day = _day_of_month(month, layer.day)
        return day if day >= layer.starts_on else _day_of_month(month + 1, layer.day)
    return layer.starts_on


def _day_of_month(month: int, day: int) -> date:
    """This day of a month counted from year 0, or the month's last one if it lacks that day."""
    year, index = divmod(month, _MONTHS)
    return date(year, index + 1, min(day, monthrange(year, index + 1)[1]))


def next_handoff(layer: Layer, after: datetime) -> datetime:
    """The first handoff of the layer after an instant."""
    handoffs = Handoffs(layer)
    return handoffs.at(max(handoffs.before(after) + 1, 0))
