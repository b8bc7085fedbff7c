"""Where somebody falls in a split: always the same place for the same salt and the same key, anywhere.

The first 8 bytes of SHA-256 over `<salt>/<key>` as a number, modulo 100,000. A thousandth of a percent is one slot, so
the error of the modulo is below 10⁻¹⁴. Other programs can compute the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256
from itertools import accumulate
from typing import NamedTuple

SLOTS = 100_000


def slot_of(salt: str, key: str) -> int:
    """0 to 99,999."""
    return int.from_bytes(sha256(f"{salt}/{key}".encode()).digest()[:8], "big") % SLOTS


class Share(NamedTuple):
    """A variant, and how much of all it gets; only the ratio of the weights counts."""

    variant: str
    weight: int


def bounds(shares: Sequence[Share]) -> list[tuple[int, str]]:
    """The first slot after each share, in order. Raising one share at the expense of the last moves nobody else."""
    total = sum(share.weight for share in shares)
    ends = accumulate(share.weight for share in shares)
    return [(round(end * SLOTS / total), share.variant) for end, share in zip(ends, shares, strict=True)]
