"""What a schedule is made of, as plain values."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date, datetime, time
from enum import StrEnum

from apps.oncall.schedule.holidays import Holidays

EVERY_DAY = frozenset(range(7))


class Cadence(StrEnum):
    """What a layer counts between two handoffs."""

    HOURLY = "hourly"
    DAILY = "daily"
    WEEKLY = "weekly"
    MONTHLY = "monthly"


class HolidayRule(StrEnum):
    """What a layer does on the days of its holiday calendar."""

    IGNORE = "ignore"
    SKIP = "skip"
    ONLY = "only"


@dataclass(frozen=True, slots=True)
class Place:
    """A person's place in the order, from `starts_at` until before `ends_at`."""

    user_id: int
    position: int
    starts_at: datetime
    ends_at: datetime | None = None
    place_id: int = 0

    @property
    def order(self) -> tuple[int, int]:
        return (self.position, self.place_id)

    def holds_at(self, at: datetime) -> bool:
        return self.starts_at <= at and (self.ends_at is None or at < self.ends_at)


@dataclass(frozen=True, slots=True)
class Restriction:
    """A layer works from `starts` until before `ends` on these weekdays (0 is Monday), on clocks in its zone.

    An `ends` that is not after `starts` lies on the next day: 22:00 to 06:00 is a night that belongs to the weekday on
    which it begins, 00:00 to 00:00 a whole day.
    """

    weekdays: frozenset[int] = EVERY_DAY
    starts: time = time()
    ends: time = time()


@dataclass(frozen=True, slots=True)
class Layer:
    """People who take turns. The handoff is at `handoff` on clocks in `zone`, the first one on or after `starts_on`.

    `weekday` (0 is Monday) counts for weekly layers, `day` (of the month) for monthly ones. Hourly layers hand over
    each `every` hours as clocks show them, from `handoff` on `starts_on`.
    """

    zone: str
    handoff: time
    starts_on: date
    places: tuple[Place, ...]
    cadence: Cadence = Cadence.WEEKLY
    every: int = 1
    weekday: int = 0
    day: int = 1
    restrictions: tuple[Restriction, ...] = ()
    holidays: Holidays | None = None
    holiday_rule: HolidayRule = HolidayRule.IGNORE
    priority: int = 0
    layer_id: int = 0
    name: str = ""


@dataclass(frozen=True, slots=True)
class Cover:
    """An override: `user_id` is on call instead, from `starts_at` until before `ends_at`.

    Instead of `replaces` wherever that person would be on, or, without it, instead of whoever has the duty.
    """

    user_id: int
    starts_at: datetime
    ends_at: datetime
    created_at: datetime
    cover_id: int = 0
    replaces: int | None = None
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Coverage:
    """`user_id` is on call besides whoever has the duty, from `starts_at` until before `ends_at`."""

    user_id: int
    starts_at: datetime
    ends_at: datetime
    coverage_id: int = 0
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Pause:
    """`user_id`, or everybody, takes no turns from `starts_at` until before `ends_at`, or until further notice."""

    starts_at: datetime
    ends_at: datetime | None = None
    user_id: int | None = None


@dataclass(frozen=True, slots=True)
class Schedule:
    """All that decides who is on call in one rotation."""

    layers: tuple[Layer, ...]
    covers: tuple[Cover, ...] = ()
    coverages: tuple[Coverage, ...] = ()
    pauses: tuple[Pause, ...] = ()

    def user_ids(self) -> Iterator[int]:
        """Everybody it could put on call; some of them more than once."""
        for layer in self.layers:
            yield from (place.user_id for place in layer.places)
        yield from (cover.user_id for cover in self.covers)
        yield from (coverage.user_id for coverage in self.coverages)


@dataclass(frozen=True, slots=True)
class Shift:
    """`user_id` is on call from `starts_at` until before `ends_at`, and why.

    One of three names why: the layer whose turn it is, the override (`cover_id`, with `replaces` if it stands in for
    one person only), or the coverage, which puts the person on besides the one on duty.
    """

    user_id: int
    starts_at: datetime
    ends_at: datetime
    cover_id: int | None = None
    layer_id: int | None = field(default=None, kw_only=True)
    layer: str = field(default="", kw_only=True)
    coverage_id: int | None = field(default=None, kw_only=True)
    replaces: int | None = field(default=None, kw_only=True)
    reason: str = field(default="", kw_only=True)
