"""Whose turn it is in one layer, before restrictions and holidays hide any of it."""

from __future__ import annotations

from bisect import insort
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise

from apps.oncall.schedule.handoffs import Handoffs
from apps.oncall.schedule.terms import Layer, Pause, Place

_INSTANT = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class Turn:
    """Somebody's uninterrupted turn."""

    starts_at: datetime
    ends_at: datetime
    user_id: int


def turns(layer: Layer, pauses: Sequence[Pause], start: datetime, end: datetime) -> Iterator[Turn]:
    """The turns inside [start, end), in order and cut at its edges.

    Time is cut where the set of effective places changes. Inside a cut the order is fixed, so the person at any
    handoff follows by arithmetic: the cuts before the window are walked, the weeks are not.
    """
    handoffs = Handoffs(layer)
    on: Place | None = None
    last: tuple[int, int] | None = None
    for begins, ends, order in _cuts(layer, pauses, handoffs.at(0), end):
        number = handoffs.before(begins)
        passed = number - handoffs.before(begins - _INSTANT)
        if on not in order or passed:
            on = _next_in(order, last, max(passed, 1))
        if on is None:
            continue
        if ends > start:
            yield from _turns_of_cut(handoffs, order, order.index(on) - number, (max(begins, start), ends))
        on = order[(order.index(on) + handoffs.before(ends - _INSTANT) - number) % len(order)]
        last = on.order


def _cuts(
    layer: Layer, pauses: Sequence[Pause], first: datetime, end: datetime
) -> Iterator[tuple[datetime, datetime, list[Place]]]:
    """The stretches from the first handoff to `end` in which the same places are effective, with those in order."""
    changes: dict[datetime, list[tuple[bool, Place]]] = defaultdict(list)
    for place in _pieces(layer.places, pauses):
        if place.ends_at is None or place.ends_at > first:
            changes[max(place.starts_at.astimezone(UTC), first)].append((True, place))
            if place.ends_at is not None:
                changes[place.ends_at.astimezone(UTC)].append((False, place))
    order: list[Place] = []
    for begins, ends in pairwise([*sorted(at for at in changes if at < end), end]):
        for comes, place in sorted(changes[begins], key=lambda change: change[0]):
            if comes:
                insort(order, place, key=lambda found: found.order)
            else:
                order.remove(place)
        yield begins, ends, order


def _pieces(places: Sequence[Place], pauses: Sequence[Pause]) -> Iterator[Place]:
    """The places without what pauses take out of them; each piece keeps the place in the order."""
    ordered = sorted(pauses, key=lambda pause: pause.starts_at)
    for place in places:
        rest: Place | None = place
        for pause in ordered:
            if rest is None or pause.user_id not in {None, place.user_id}:
                continue
            if pause.ends_at is not None and pause.ends_at <= rest.starts_at:
                continue
            if rest.ends_at is not None and rest.ends_at <= pause.starts_at:
                break
            if pause.starts_at > rest.starts_at:
                yield replace(rest, ends_at=pause.starts_at)
            if pause.ends_at is None or (rest.ends_at is not None and rest.ends_at <= pause.ends_at):
                rest = None
            else:
                rest = replace(rest, starts_at=pause.ends_at)
        if rest is not None:
            yield rest


def _next_in(order: list[Place], last: tuple[int, int] | None, steps: int) -> Place | None:
    """The place so many steps after `last` in the order, round and round; None where there is none."""
    if not order:
        return None
    first = next((index for index, place in enumerate(order) if last is not None and place.order > last), 0)
    return order[(first + steps - 1) % len(order)]


def _turns_of_cut(
    handoffs: Handoffs, order: list[Place], offset: int, window: tuple[datetime, datetime]
) -> Iterator[Turn]:
    """The turns of one cut inside the window; `offset` plus the number of a handoff is an index into the order."""
    at, end = window
    number = handoffs.before(at)
    while at < end:
        until = min(handoffs.at(number + 1), end)
        if until > at:
            yield Turn(at, until, order[(offset + number) % len(order)].user_id)
        at, number = until, number + 1
