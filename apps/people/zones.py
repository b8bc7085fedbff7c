"""The time zone in which a person reads times."""

from __future__ import annotations

from functools import lru_cache
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError, available_timezones

from django.contrib.auth.models import AnonymousUser

from apps.foundation.errors import Invalid
from apps.people.models import User


def zone_of(user: User | AnonymousUser | None) -> ZoneInfo:
    """The zone of an account; UTC where it names none that exists: a wrong name must not stop a page."""
    return zone_named(getattr(user, "time_zone", ""))


@lru_cache(maxsize=256)
def zone_named(name: str) -> ZoneInfo:
    """The zone of this name, or UTC where there is none."""
    try:
        return ZoneInfo(name or "UTC")
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return ZoneInfo("UTC")


def check_time_zone(name: str) -> None:
    """Raise Invalid, with what to write, unless there is a time zone of this name."""
    if name not in available_timezones():
        sentence = f"{name!r} is no time zone: write one such as Europe/Berlin."
        raise Invalid(sentence, fields={"time_zone": [sentence]})
