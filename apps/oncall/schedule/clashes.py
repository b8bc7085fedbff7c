"""What is wrong in shifts that are laid side by side: people who are on twice at once, and duty that nobody has."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from apps.oncall.schedule.shifts import gaps, shifts
from apps.oncall.schedule.spans import Span, common, joined, working_spans
from apps.oncall.schedule.terms import Layer, Schedule, Shift


@dataclass(frozen=True, slots=True)
class Clash:
    """`user_id` is on call in several rotations at once, from `starts_at` until before `ends_at`."""

    user_id: int
    rotation_ids: tuple[int, ...]
    starts_at: datetime
    ends_at: datetime


def clashes(found: Mapping[int, Iterable[Shift]]) -> list[Clash]:
    """Where somebody has shifts in more than one of these rotations at once, in order; n log n in their shifts."""
    edges: dict[int, list[tuple[datetime, int, int]]] = defaultdict(list)
    for rotation_id, theirs in found.items():
        for shift in theirs:
            edges[shift.user_id] += [(shift.starts_at, 1, rotation_id), (shift.ends_at, -1, rotation_id)]
    clashing = [clash for user_id, marks in edges.items() for clash in _of_person(user_id, sorted(marks))]
    return sorted(clashing, key=lambda clash: (clash.starts_at, clash.user_id, clash.rotation_ids))


def _of_person(user_id: int, marks: Sequence[tuple[datetime, int, int]]) -> Iterable[Clash]:
    """Ends come before beginnings at one instant, since intervals are half-open; equal neighbours are one."""
    on: dict[int, int] = defaultdict(int)
    last: Clash | None = None
    since = marks[0][0]
    for at, step, rotation_id in marks:
        both = tuple(sorted(pk for pk, count in on.items() if count))
        if at > since and len(both) > 1:
            if last is not None and (last.ends_at, last.rotation_ids) == (since, both):
                last = replace(last, ends_at=at)
            else:
                if last is not None:
                    yield last
                last = Clash(user_id, both, since, at)
        on[rotation_id] += step
        since = at
    if last is not None:
        yield last


def own_turns(schedule: Schedule, layer: Layer, start: datetime, end: datetime) -> list[Shift]:
    """The shifts of one layer of a schedule as if there were no others, and no covers."""
    return shifts(Schedule((layer,), pauses=schedule.pauses), start, end)


def unmanned(
    schedule: Schedule, found: Sequence[Shift], start: datetime, end: datetime
) -> tuple[list[Span], list[Span]]:
    """The gaps in the shifts of a schedule: those in which a layer should work and nobody has it, and planned rest.

    Without layers everything is a gap. Rest is when all layers' hours and holidays say so.
    """
    empty = gaps(found, start, end)
    if not empty or not schedule.layers:
        return list(empty), []
    working = joined(span for layer in schedule.layers for span in working_spans(layer, start, end))
    missing = list(common(empty, working))
    resting = list(common(empty, list(_outside(working, start, end))))
    return missing, resting


def _outside(spans: Sequence[Span], start: datetime, end: datetime) -> Iterable[Span]:
    at = start
    for begins, ends in spans:
        if begins > at:
            yield at, begins
        at = max(at, ends)
    if at < end:
        yield at, end
