"""What newcomers get when a variant is killed."""

from __future__ import annotations

from collections.abc import Sequence

from apps.flags.experiments.slots import Ranges, joined, sizes, take


def without(ranges: Ranges, variant: str, fallback: str) -> dict[str, list[list[int]]]:
    """The slots when `variant` is killed: its own go to those with the fewest until all have as many.

    No slot of another variant changes hands, so whoever is in one stays, recorded or not. A variant that has more than
    its even share already gets none, nor does one without any slot: it was killed, or left out on purpose. Where none
    has a slot, the fallback gets all. The killed one keeps none. Deterministic: equals are served in their order.
    """
    rest: Sequence[Sequence[int]] = joined(ranges.get(variant, ()))
    kept = {name: [list(each) for each in several] for name, several in ranges.items() if name != variant}
    levels = {name: size for name, size in sizes(kept).items() if size} or {fallback: 0}
    for name, count in _filled(levels, _length(rest)).items():
        taken, rest = take(rest, count)
        kept[name] = joined([*kept.get(name, []), *taken])
    return kept


def _filled(levels: dict[str, int], freed: int) -> dict[str, int]:
    """How many of the freed slots each gets: the lowest are raised together, as water finds its level."""
    order = sorted(levels, key=lambda name: levels[name])
    for raised in range(len(order), 0, -1):
        lowest = order[:raised]
        total = freed + sum(levels[name] for name in lowest)
        level, over = divmod(total, raised)
        if level >= levels[lowest[-1]]:
            return {
                name: level + (place < over) - levels[name]
                for place, name in enumerate(sorted(lowest, key=list(levels).index))
            }
    return {}


def _length(several: Sequence[Sequence[int]]) -> int:
    return sum(end - begin for begin, end in several)
