"""Versions in the order of Semantic Versioning 2.0.0 (semver.org, section 11)."""

from __future__ import annotations

import re
from functools import total_ordering
from typing import Any

_SEMVER = re.compile(
    r"v?(0|[1-9]\d{0,17})(?:\.(0|[1-9]\d{0,17}))?(?:\.(0|[1-9]\d{0,17}))?"
    r"(?:-([0-9A-Za-z-]+(?:\.[0-9A-Za-z-]+)*))?(?:\+[0-9A-Za-z.-]+)?\Z",
    re.ASCII,
)
_LONGEST = 200


@total_ordering
class Version:
    """Ordered by its numbers; a pre-release comes before its release; what follows a plus doesn't count."""

    __slots__ = ("_key",)

    def __init__(self, numbers: tuple[int, int, int], before: tuple[tuple[int, int, str], ...]) -> None:
        # No pre-release sorts after any: 1.0.0-rc.1 < 1.0.0.
        self._key = (*numbers, not before, before)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Version) and self._key == other._key

    def __lt__(self, other: Version) -> bool:
        return self._key < other._key

    def __hash__(self) -> int:
        return hash(self._key)


def version_of(value: Any) -> Version | None:
    """A version from a text such as `1.14.2`, `v2.0.0-rc.1`, or short, `3.1`; None for anything else."""
    if not isinstance(value, str) or len(value) > _LONGEST:
        return None
    found = _SEMVER.match(value.strip())
    if found is None:
        return None
    major, minor, patch, before = found.groups()
    # Numbers come before words, and are compared as numbers.
    parts = tuple(
        (0, int(part), "") if part.isdecimal() else (1, 0, part) for part in (before.split(".") if before else [])
    )
    return Version((int(major), int(minor or 0), int(patch or 0)), parts)
