"""What one process needs to place anybody: the newest epoch's slots, and those enrolled who stay elsewhere."""

from __future__ import annotations

import sys
from array import array
from bisect import bisect_left
from collections.abc import Iterable, Mapping
from hashlib import sha256
from typing import NamedTuple

from apps.flags.experiments.slots import SLOTS, Ranges, table, unit_number


def pack(numbers: Iterable[int]) -> bytes:
    """Numbers in ascending order, eight bytes each, little end first: a million are 8 MB."""
    found = array("q", sorted(numbers))
    if sys.byteorder == "big":
        found.byteswap()
    return found.tobytes()


def unpack(packed: bytes | memoryview) -> array[int]:
    """The same numbers, to be searched."""
    found = array("q")
    found.frombytes(bytes(packed))
    if sys.byteorder == "big":
        found.byteswap()
    return found


class Plan(NamedTuple):
    """An experiment that runs, as its flag is evaluated by it. `held`: who is not where the slots say, by variant."""

    experiment: str
    epoch: int
    salt: str
    ranges: Ranges
    held: Mapping[str, bytes] = {}

    def __repr__(self) -> str:
        """By which two plans are told apart: the held, who may be a million, by their hash."""
        held = {variant: sha256(packed).hexdigest() for variant, packed in sorted(self.held.items())}
        return f"Plan{(self.experiment, self.epoch, self.salt, dict(self.ranges), held)}"


class Placement:
    """A plan made ready to be asked: one hash, one look into a table, one search among the held."""

    __slots__ = ("_held", "_salt", "_table", "variants")

    def __init__(self, plan: Plan) -> None:
        self._salt = plan.salt
        self._table = table(plan.ranges)
        self._held = [(unpack(packed), variant) for variant, packed in plan.held.items() if packed]
        self.variants = {*plan.ranges, *plan.held}

    def variant(self, key: str) -> str | None:
        """Of whom this key names; None where they take no part."""
        number = unit_number(self._salt, key)
        for numbers, variant in self._held:
            at = bisect_left(numbers, number)
            if at < len(numbers) and numbers[at] == number:
                return variant
        return self._table[number % SLOTS]
