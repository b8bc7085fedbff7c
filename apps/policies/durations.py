"""Durations as people write them in a pack: `0s`, `90s`, `5m`, `2h`, `1d`, or a whole number of seconds."""

from __future__ import annotations

import re
from typing import Annotated, Any

from pydantic import BeforeValidator

LONGEST_SECONDS = 366 * 86400
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_WRITTEN = re.compile(r"(\d{1,9})([smhd])")


def parse_duration(value: Any) -> int:
    """Whole seconds of a written duration. ValueError, with a sentence, for anything else."""
    if isinstance(value, int) and not isinstance(value, bool):
        seconds = value
    elif isinstance(value, str) and (found := _WRITTEN.fullmatch(value)):
        seconds = int(found[1]) * _SECONDS[found[2]]
    else:
        raise ValueError(f"{value!r} is not a duration: write 90s, 5m, 2h, 1d or a whole number of seconds.")
    if not 0 <= seconds <= LONGEST_SECONDS:
        raise ValueError(f"{value!r} is out of range: a duration is from 0s to 366d.")
    return seconds


def duration_text(seconds: int | None) -> str:
    """A duration for people, in its largest whole unit: 300 → "5 min"; None → "–"."""
    if seconds is None:
        return "–"
    for size, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds and seconds % size == 0:
            return f"{seconds // size} {unit}"
    return f"{seconds} s"


Duration = Annotated[int, BeforeValidator(parse_duration)]
"""Seconds in the model, any written form in the pack."""
