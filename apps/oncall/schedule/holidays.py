"""Holidays: the days of a country or a part of it, and days of one's own."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from functools import lru_cache


@dataclass(frozen=True, slots=True)
class Holidays:
    """A calendar of holidays. `country` and `subdivision` are ISO 3166 codes; without a country only own days count."""

    country: str = ""
    subdivision: str = ""
    own_days: frozenset[date] = frozenset()

    def includes(self, day: date) -> bool:
        """Whether this day is a holiday."""
        return day in self.own_days or (
            bool(self.country) and day in national_days(self.country, self.subdivision, day.year)
        )


@lru_cache(maxsize=1024)
def national_days(country: str, subdivision: str, year: int) -> frozenset[date]:
    """The public holidays of a year, days off in lieu included. Raises NotImplementedError for unknown codes."""
    import holidays  # it takes half a second to load, and few rotations ask for it

    return frozenset(holidays.country_holidays(country, subdiv=subdivision or None, years=year))
