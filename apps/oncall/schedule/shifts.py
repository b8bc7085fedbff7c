"""From layers, overrides and coverage to shifts."""

from __future__ import annotations

from bisect import bisect_right, insort
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import TypeVar

from apps.oncall.schedule.spans import Span, cut_to, joined, without, working_spans
from apps.oncall.schedule.terms import Cover, Coverage, Schedule, Shift
from apps.oncall.schedule.turns import turns

_INSTANT = timedelta(microseconds=1)
T = TypeVar("T", Cover, Coverage)


def shifts(schedule: Schedule, start: datetime, end: datetime) -> list[Shift]:
    """Everybody's shifts inside [start, end), in order, cut at its edges; instants nobody covers are left out.

    Shifts overlap only where coverage puts people on besides the one on duty, and never for one person. Cost grows
    with the number of handoffs and overrides inside the window and with the number of places, not with the age of
    the rotation. Raises ValueError for instants without a time zone.
    """
    if start.tzinfo is None or end.tzinfo is None:
        raise ValueError("A window needs instants with a time zone.")
    if end <= start:
        return []
    start, end = start.astimezone(UTC), end.astimezone(UTC)
    duties = _duties(schedule, start, end)
    covers, coverages = _inside(schedule.covers, start, end), _inside(schedule.coverages, start, end)
    if not covers and not coverages:
        return duties
    return _laid_over(duties, covers, coverages, (start, end))


def people_on(schedule: Schedule, at: datetime) -> list[int]:
    """Who is on call at an instant: first who has the duty, then who is on besides."""
    return [shift.user_id for shift in shifts(schedule, at, at + _INSTANT)]


def who_is_on(schedule: Schedule, at: datetime) -> int | None:
    """The first of `people_on`, or None."""
    found = people_on(schedule, at)
    return found[0] if found else None


def gaps(found: Sequence[Shift], start: datetime, end: datetime) -> list[Span]:
    """The stretches of [start, end) in which none of the shifts (in order) puts anybody on call."""
    return list(without([(start, end)], joined((shift.starts_at, shift.ends_at) for shift in found)))


def _duties(schedule: Schedule, start: datetime, end: datetime) -> list[Shift]:
    """Who has the duty by the layers alone, the higher ones first; of equal ones the newer is the higher."""
    found: list[Shift] = []
    free = [(start, end)]
    for layer in sorted(schedule.layers, key=lambda layer: (-layer.priority, -layer.layer_id)):
        working = working_spans(layer, start, end)
        there = list(cut_to(turns(layer, schedule.pauses, start, end), working))
        mine = [
            Shift(turn.user_id, turn.starts_at, turn.ends_at, layer_id=layer.layer_id, layer=layer.name)
            for turn in cut_to(there, free)
        ]
        found += mine
        free = list(without(free, joined((shift.starts_at, shift.ends_at) for shift in mine)))
        if not free:
            break
    return sorted(found, key=lambda shift: shift.starts_at)


def _inside(rows: Iterable[T], start: datetime, end: datetime) -> list[T]:
    """Those that reach into the window, cut to it and in UTC, by their start."""
    found = [
        replace(row, starts_at=max(row.starts_at, start).astimezone(UTC), ends_at=min(row.ends_at, end).astimezone(UTC))
        for row in rows
        if row.starts_at < end and start < row.ends_at
    ]
    return sorted(found, key=lambda row: row.starts_at)


def _laid_over(
    duties: Sequence[Shift], covers: Sequence[Cover], coverages: Sequence[Coverage], window: Span
) -> list[Shift]:
    """The duties with overrides and coverage: one walk over all edges.

    What only the edge of something else had cut off grows back together.
    """
    found: list[Shift] = []
    standing: dict[tuple[object, ...], int] = {}
    for (begins, ends), duty, over, besides in _pieces(duties, covers, coverages, window):
        before, standing = standing, {}
        for shift in _on(begins, ends, duty, over, besides):
            turn = duty.starts_at if duty and shift.cover_id is None and shift.coverage_id is None else None
            origin = (shift.user_id, shift.cover_id, shift.coverage_id, turn)
            index = before.get(origin)
            if index is None:
                index = len(found)
                found.append(shift)
            else:
                found[index] = replace(found[index], ends_at=ends)
            standing[origin] = index
    return found


def _pieces(
    duties: Sequence[Shift], covers: Sequence[Cover], coverages: Sequence[Coverage], window: Span
) -> Iterator[tuple[Span, Shift | None, list[Cover], list[Coverage]]]:
    """The stretches in which nothing changes: the duty, and the overrides and coverage that hold, the oldest first."""
    rows: tuple[Sequence[Shift | Cover | Coverage], ...] = (duties, covers, coverages)
    edges = {*window} | {at for some in rows for row in some for at in (row.starts_at, row.ends_at)}
    begun = [duty.starts_at for duty in duties]
    over: list[Cover] = []
    besides: list[Coverage] = []
    next_cover = next_coverage = 0
    for begins, ends in pairwise(sorted(edges)):
        over = [cover for cover in over if cover.ends_at > begins]
        besides = [coverage for coverage in besides if coverage.ends_at > begins]
        while next_cover < len(covers) and covers[next_cover].starts_at <= begins:
            insort(over, covers[next_cover], key=lambda cover: (cover.created_at, cover.cover_id))
            next_cover += 1
        while next_coverage < len(coverages) and coverages[next_coverage].starts_at <= begins:
            insort(besides, coverages[next_coverage], key=lambda coverage: coverage.coverage_id)
            next_coverage += 1
        index = bisect_right(begun, begins) - 1
        duty = duties[index] if index >= 0 and begins < duties[index].ends_at else None
        yield (begins, ends), duty, over, besides


def _on(
    begins: datetime, ends: datetime, duty: Shift | None, over: Iterable[Cover], besides: Iterable[Coverage]
) -> Iterator[Shift]:
    """Who is on in one stretch: whoever has the duty after all overrides, then those besides, each person once."""
    on = duty
    for cover in over:
        if cover.replaces is None or (on is not None and on.user_id == cover.replaces):
            on = _covered(cover, begins, ends)
    seen = set()
    if on is not None:
        seen.add(on.user_id)
        yield on if (on.starts_at, on.ends_at) == (begins, ends) else replace(on, starts_at=begins, ends_at=ends)
    for coverage in besides:
        extra = Shift(coverage.user_id, begins, ends, coverage_id=coverage.coverage_id, reason=coverage.reason)
        for cover in over:
            if cover.replaces is not None and extra.user_id == cover.replaces:
                extra = _covered(cover, begins, ends, coverage.coverage_id)
        if extra.user_id not in seen:
            seen.add(extra.user_id)
            yield extra


def _covered(cover: Cover, begins: datetime, ends: datetime, coverage_id: int | None = None) -> Shift:
    return Shift(
        cover.user_id,
        begins,
        ends,
        cover.cover_id,
        coverage_id=coverage_id,
        replaces=cover.replaces,
        reason=cover.reason,
    )
