"""Small values that pages show: instants in the reader's time zone, durations, severity chips, people."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Literal
from zoneinfo import ZoneInfo

from django.urls import NoReverseMatch, reverse

from apps.foundation.errors import NotFound
from apps.incidents.models import Incident
from apps.incidents.policy import severities
from apps.people.models import User

Tone = Literal["", "ok", "warn", "danger", "accent"]
_MINUTE, _HOUR, _DAY = 60, 3600, 86400
_FALLBACK_COLOR = "#5b6672"
_LINEAR_UP_TO = 0.04045


@dataclass(frozen=True, slots=True)
class Moment:
    """An instant: `local` in the reader's zone, `utc` for the hover, `ago` as it was when the page was made."""

    iso: str
    local: str
    day: str
    utc: str
    ago: str


@dataclass(frozen=True, slots=True)
class Clock:
    """A running or standing clock. `up` counts from `at`, `down` to it and then on in the tone of danger."""

    name: str
    text: str
    mode: Literal["up", "down", "still"] = "still"
    at: str = ""
    tone: Tone = ""


@dataclass(frozen=True, slots=True)
class SeverityChip:
    """A severity as its pack paints it; `on_color` is black or white, whichever reads better."""

    id: str
    name: str
    color: str
    on_color: str

    @property
    def style(self) -> str:
        return f"--sev:{self.color};--on-sev:{self.on_color}"


@dataclass(frozen=True, slots=True)
class Person:
    id: int
    name: str
    initials: str


def moment(at: datetime, zone: ZoneInfo, now: datetime) -> Moment:
    """`at` for people: the time, with the day where it is another one than today's."""
    local = at.astimezone(zone)
    same_day = local.date() == now.astimezone(zone).date()
    return Moment(
        iso=at.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z"),
        local=f"{local:%H:%M:%S}" if same_day else f"{local:%b} {local.day} {local:%H:%M}",
        day=f"{local:%a} {local.day} {local:%b} {local:%H:%M}",
        utc=f"{at.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC",
        ago=ago_text(now - at),
    )


def ago_text(span: timedelta) -> str:
    """How long ago, or in how long: in the largest unit that says enough. portal.js writes the same."""
    seconds = span.total_seconds()
    size = abs(int(seconds))
    if size < _MINUTE:
        return "just now" if seconds >= 0 else "in a moment"
    for unit, length in (("d", _DAY), ("h", _HOUR), ("min", _MINUTE)):
        if size >= length:
            return f"{size // length} {unit} ago" if seconds > 0 else f"in {size // length} {unit}"
    raise AssertionError("unreachable")


def clock_text(seconds: float) -> str:
    """A duration as a clock shows it: 4:07, 1:02:33, 2d 3h. portal.js writes the same."""
    size = abs(int(seconds))
    if size >= 2 * _DAY:
        return f"{size // _DAY}d {size % _DAY // _HOUR}h"
    hours, rest = divmod(size, _HOUR)
    minutes, left = divmod(rest, _MINUTE)
    return f"{hours}:{minutes:02d}:{left:02d}" if hours else f"{minutes}:{left:02d}"


def span_text(seconds: float) -> str:
    """A duration in words, for sentences: "4 min 7 s", "2 h 5 min"."""
    size = abs(int(seconds))
    parts: list[str] = []
    for unit, length in (("d", _DAY), ("h", _HOUR), ("min", _MINUTE), ("s", 1)):
        count, size = divmod(size, length)
        if count:
            parts.append(f"{count} {unit}")
    return " ".join(parts[:2]) or "0 s"


def chip_for(version_id: int, severity_id: str) -> SeverityChip:
    """How the pinned pack names and paints a severity; a plain chip for one that it does not know."""
    try:
        found = severities(version_id).find(severity_id)
    except NotFound:
        found = None
    if found is None:
        return SeverityChip(severity_id, "", _FALLBACK_COLOR, "#ffffff")
    return SeverityChip(found.id, found.name, found.color, readable_on(found.color))


def chip_of(incident: Incident) -> SeverityChip:
    """The chip of an incident's present severity."""
    return chip_for(incident.policy_version_id, incident.severity)


def readable_on(color: str) -> str:
    """Black or white, whichever has the higher contrast on `color` (#rrggbb).

    Relative luminance and contrast ratio as WCAG 2.2 defines them; the better of the two is never under 4.5:1.
    """
    light = luminance(color)
    return "#ffffff" if 1.05 / (light + 0.05) >= (light + 0.05) / 0.05 else "#000000"


def luminance(color: str) -> float:
    """WCAG 2.2 relative luminance of #rrggbb, from 0 to 1."""
    parts = [int(color[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    red, green, blue = (part / 12.92 if part <= _LINEAR_UP_TO else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def admin_url(page: str, key: int) -> str:
    """The address of an admin page of another app; empty where that app has none."""
    try:
        return reverse(f"admin:{page}", args=[key])
    except NoReverseMatch:
        return ""


def person_of(user: User) -> Person:
    """A person with the letters that stand in their circle."""
    words = user.name.split()
    letters = "".join(word[0] for word in (words[:1] + words[-1:] if len(words) > 1 else words)) or "?"
    return Person(user.pk, user.name, letters.upper())
