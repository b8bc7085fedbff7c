"""Epochs of an allocation: what each gave to newcomers, and where it left those who were enrolled.

Somebody is enrolled by their first recorded exposure, in the newest epoch that gives their slot the variant they saw.
Where they are now follows from the epochs since: they stay, unless their variant was killed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from apps.flags.experiments.slots import Ranges, slot_of, variant_at

# Where a kill leaves the enrolled of a variant when they are split like newcomers; no variant can be called so.
EVENLY = ""


class Epoch(NamedTuple):
    """Who gets what from here on. `moves`: of each variant killed by it, where its enrolled go, a variant or EVENLY."""

    number: int
    ranges: Ranges
    moves: Mapping[str, str] = {}


def epoch_of(number: int, variant: str, epochs: Sequence[Epoch]) -> int:
    """The newest epoch that gives this variant to this number; 0 where none does: a rule, or a program's mistake."""
    slot = slot_of(number)
    for epoch in reversed(epochs):
        if variant_at({variant: epoch.ranges.get(variant, ())}, slot) is not None:
            return epoch.number
    return 0


def place_of(number: int, variant: str, enrolled_in: int, epochs: Iterable[Epoch]) -> str | None:
    """The variant of somebody enrolled with `variant` in the epoch `enrolled_in`, by what happened since."""
    place: str | None = variant
    for epoch in epochs:
        if epoch.number > enrolled_in and place is not None and (to := epoch.moves.get(place)) is not None:
            place = variant_at(epoch.ranges, slot_of(number)) if to == EVENLY else to
    return place


def killed_in(epochs: Iterable[Epoch]) -> dict[str, int]:
    """The variants that were killed, each with its epoch."""
    return {variant: epoch.number for epoch in epochs for variant in epoch.moves}
