"""10,000 slots, and which variant has which of them.

Somebody's number is the first 63 bits of SHA-256 over `<salt>/<targetingKey>`; their slot is that number modulo 10,000.
The number fits a signed column, tells people apart (two of a million share one with a probability below 10⁻⁷) and
names nobody.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from hashlib import sha256
from itertools import accumulate, pairwise

SLOTS = 10_000
# A variant's slots as half-open intervals in ascending order.
Ranges = Mapping[str, Sequence[Sequence[int]]]


def unit_number(salt: str, key: str) -> int:
    """0 to 2⁶³ - 1."""
    return int.from_bytes(sha256(f"{salt}/{key}".encode()).digest()[:8], "big") >> 1


def slot_of(number: int) -> int:
    """0 to 9,999."""
    return number % SLOTS


def allot(percents: Mapping[str, float], traffic: float = 100.0) -> dict[str, list[list[int]]]:
    """Slots for shares that add up to 100 %, of the first `traffic` % of all; the rest takes no part.

    Each share lies in a stretch of its own that would hold it at full traffic, so that more traffic moves nobody who
    takes part.
    """
    total = sum(percents.values())
    ends = [round(end * SLOTS / total) for end in accumulate(percents.values())]
    found: dict[str, list[list[int]]] = {}
    begin = 0
    for variant, end in zip(percents, ends, strict=True):
        used = round((end - begin) * traffic / 100)
        found[variant] = [[begin, begin + used]] if used else []
        begin = end
    return found


def sizes(ranges: Ranges) -> dict[str, int]:
    """How many slots each variant has."""
    return {variant: sum(end - begin for begin, end in several) for variant, several in ranges.items()}


def variant_at(ranges: Ranges, slot: int) -> str | None:
    """Whose slot it is; None where nobody takes part."""
    for variant, several in ranges.items():
        for begin, end in several:
            if begin <= slot < end:
                return variant
    return None


def table(ranges: Ranges) -> list[str | None]:
    """The same for all slots at once."""
    found: list[str | None] = [None] * SLOTS
    for variant, several in ranges.items():
        for begin, end in several:
            found[begin:end] = [variant] * (end - begin)
    return found


def fault_in(ranges: Ranges) -> str:
    """What is wrong with ranges: outside of the slots, empty, out of order, or one slot given twice. Empty: nothing."""
    taken: list[tuple[int, int]] = []
    for variant, several in ranges.items():
        for begin, end in several:
            if not 0 <= begin < end <= SLOTS:
                return f"{variant}: [{begin}, {end}) is no range within 0 to {SLOTS}."
            taken.append((begin, end))
    taken.sort()
    for (_, end), (begin, _) in pairwise(taken):
        if begin < end:
            return f"Slot {begin} is given twice."
    return ""


def is_within(inner: Sequence[Sequence[int]], outer: Sequence[Sequence[int]]) -> bool:
    """Whether each slot of `inner` is one of `outer`."""
    around = joined(outer)
    return all(any(low <= begin and end <= high for low, high in around) for begin, end in joined(inner))


def beyond(several: Sequence[Sequence[int]], used: Sequence[Sequence[int]]) -> list[list[int]]:
    """The slots of `several` that are none of `used`."""
    found: list[list[int]] = []
    for begin, end in joined(several):
        at = begin
        for low, high in joined(used):
            if at < high and low < end:
                if at < low:
                    found.append([at, low])
                at = high
        if at < end:
            found.append([at, end])
    return found


def take(several: Sequence[Sequence[int]], count: int) -> tuple[list[list[int]], list[list[int]]]:
    """The first `count` slots of the ranges, and the others."""
    taken: list[list[int]] = []
    rest: list[list[int]] = []
    for begin, end in several:
        cut = min(end, begin + count)
        count -= cut - begin
        if begin < cut:
            taken.append([begin, cut])
        if cut < end:
            rest.append([cut, end])
    return taken, rest


def joined(several: Sequence[Sequence[int]]) -> list[list[int]]:
    """The same slots in ascending order, neighbours as one range."""
    return list(_joined(several))


def _joined(several: Sequence[Sequence[int]]) -> Iterator[list[int]]:
    last: list[int] | None = None
    for begin, end in sorted(map(tuple, several)):
        if last is not None and begin == last[1]:
            last[1] = end
            continue
        if last is not None:
            yield last
        last = [begin, end]
    if last is not None:
        yield last
