"""Working hours as people write them: one line each, like "Mon-Fri 09:00-17:00"."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from django.core.exceptions import ValidationError

WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
SHORT = tuple(name[:3] for name in WEEKDAYS)
_LINE = re.compile(r"(?P<days>[A-Za-z, -]+?)\s+(?P<starts>\d{1,2}:\d{2})\s*[-–]\s*(?P<ends>\d{1,2}:\d{2})")
_HOURS, _MINUTES = 24, 60


def parse_hours(text: str) -> list[dict[str, Any]]:
    """The restrictions of a text; none in an empty one. Raises ValidationError naming the line that is not right."""
    return [_parse_line(line.strip()) for line in text.splitlines() if line.strip()]


def shown_hours(restrictions: Iterable[Mapping[str, Any]]) -> str:
    """The text that `parse_hours` reads."""
    return "\n".join(f"{_shown_days(row['weekdays'])} {row['starts'][:5]}-{row['ends'][:5]}" for row in restrictions)


def _parse_line(line: str) -> dict[str, Any]:
    found = _LINE.fullmatch(line)
    if found is None:
        raise ValidationError(f"{line!r}: write it like Mon-Fri 09:00-17:00, or Sat,Sun 22:00-06:00 for nights.")
    days = sorted({day for part in found["days"].split(",") for day in _days(part.strip(), line)})
    return {"weekdays": days, "starts": _clock(found["starts"], line), "ends": _clock(found["ends"], line)}


def _days(part: str, line: str) -> list[int]:
    ends = [_day(name.strip(), line) for name in part.split("-")]
    if len(ends) == 1:
        return ends
    first, last = ends[0], ends[-1]
    return [(first + step) % len(SHORT) for step in range((last - first) % len(SHORT) + 1)]


def _day(name: str, line: str) -> int:
    short = name[:3].capitalize()
    if short not in SHORT or not WEEKDAYS[SHORT.index(short)].startswith(name.capitalize()):
        raise ValidationError(f"{line!r}: {name!r} is no weekday; write {', '.join(SHORT)}.")
    return SHORT.index(short)


def _clock(text: str, line: str) -> str:
    hour, minute = (int(part) for part in text.split(":"))
    if minute >= _MINUTES or hour > _HOURS or (hour == _HOURS and minute):
        raise ValidationError(f"{line!r}: {text} is no time of day.")
    return f"{hour % _HOURS:02}:{minute:02}"


def _shown_days(days: Iterable[int]) -> str:
    """Mon-Fri for days in a row, Mon,Wed for others."""
    runs: list[list[int]] = []
    for day in sorted(days):
        if runs and day == runs[-1][-1] + 1:
            runs[-1].append(day)
        else:
            runs.append([day])
    return ",".join(SHORT[run[0]] if len(run) == 1 else f"{SHORT[run[0]]}-{SHORT[run[-1]]}" for run in runs)
