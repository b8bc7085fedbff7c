"""Versions in the order of Semantic Versioning 2.0.0 (semver.org, section 11)."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any, NamedTuple

_SEMVER = re.compile(
    r"v?(0|[1-9]\d{0,17})(?:\.(0|[1-9]\d{0,17}))?(?:\.(0|[1-9]\d{0,17}))?"
    r"(?:-([0-9A-Za-z-]+(?:\.[0-9A-Za-z-]+)*))?(?:\+[0-9A-Za-z.-]+)?\Z",
    re.ASCII,
)
_LONGEST = 200


class Version(NamedTuple):
    """Ordered by its numbers; a pre-release comes before its release; what follows a plus doesn't count."""

    major: int
    minor: int
    patch: int
    is_release: bool  # no pre-release sorts after any: 1.0.0-rc.1 < 1.0.0
    before: tuple[tuple[int, int, str], ...]


def version_of(value: Any) -> Version | None:
    """A version from a text such as `1.14.2`, `v2.0.0-rc.1`, or short, `3.1`; None for anything else."""
    if not isinstance(value, str) or len(value) > _LONGEST:
        return None
    return _read(value)


@lru_cache(maxsize=2_048)  # one request asks many flags about the same version
def _read(value: str) -> Version | None:
    found = _SEMVER.match(value.strip())
    if found is None:
        return None
    major, minor, patch, before = found.groups()
    # Numbers come before words, and are compared as numbers.
    parts = tuple(
        (0, int(part), "") if part.isdecimal() else (1, 0, part) for part in (before.split(".") if before else [])
    )
    return Version(int(major), int(minor or 0), int(patch or 0), not parts, parts)
