"""Measured times: from milestones, in words, and against the pack's clocks."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime

from apps.incidents.metrics import ACKNOWLEDGED, DECLARED, DETECTED, REOPENED, RESOLVED, TRIAGED
from apps.incidents.models import Milestone
from apps.incidents.policy import Clocks, Lifecycle
from apps.postmortems.figures.parts import Cycle, Figure

_UNITS = ((86400, "day"), (3600, "hour"), (60, "minute"), (1, "second"))
_LABELS = {
    DECLARED: "Time to declare",
    ACKNOWLEDGED: "Time to acknowledge (TTA)",
    TRIAGED: "Time to triage",
    "cause_identified": "Time to root cause",
    RESOLVED: "Time to resolve (TTR)",
}


def span_words(seconds: float | None) -> str:
    """A time in its two largest units: 1740 → "29 minutes", 3900 → "1 hour 5 minutes"; None → "not reached"."""
    if seconds is None:
        return "not reached"
    rest = int(seconds)  # as clocks show it: 299.6 seconds met a target of less than 5 minutes
    if rest == 0:
        return "0 seconds"
    words: list[str] = []
    for size, unit in _UNITS:
        count, left = divmod(rest, size)
        if count:
            words.append(f"{count} {unit}{'s' if count > 1 else ''}")
            rest = left
        elif words:
            break
        if len(words) == 2:  # noqa: PLR2004  # the two largest units
            break
    return " ".join(words)


def cycles_of(milestones: Sequence[Milestone], last: int, lifecycle: Lifecycle, clocks: Clocks) -> list[Cycle]:
    """One for each time that the incident was open, 0 to `last`, with its figures."""
    return [_cycle(milestones, number, lifecycle, clocks) for number in range(last + 1)]


def _cycle(milestones: Iterable[Milestone], number: int, lifecycle: Lifecycle, clocks: Clocks) -> Cycle:
    at: dict[str, datetime] = {row.name: row.at for row in milestones if row.cycle == number}
    start = at.get(DETECTED) or at.get(REOPENED)
    # A later cycle is declared by reopening it.
    slugs = [slug for slug in lifecycle.milestone_slugs if slug != DETECTED and (number == 0 or slug != DECLARED)]
    ordered = [slug for slug in slugs if slug != RESOLVED] + [RESOLVED]
    figures = [_figure(slug, _label(slug, lifecycle), start, at.get(slug), clocks) for slug in ordered]
    return Cycle(number=number, started_at=start, resolved_at=at.get(RESOLVED), figures=figures)


def _label(slug: str, lifecycle: Lifecycle) -> str:
    return _LABELS.get(slug, f"Time until {lifecycle.milestone_label(slug).lower()}")


def _figure(slug: str, label: str, start: datetime | None, end: datetime | None, clocks: Clocks) -> Figure:
    """The same formula as `incidents.metrics`: never negative, also when a corrected start lies after the end."""
    seconds = max(0.0, (end - start).total_seconds()) if start and end else None
    limit = {ACKNOWLEDGED: clocks.response_seconds, clocks.stop: clocks.target_seconds}.get(slug)
    met = None if limit is None or seconds is None else seconds < limit
    limit_text = f"less than {span_words(limit)}" if limit is not None else ""
    return Figure(slug, label, seconds, span_words(seconds), limit, limit_text, met)


def lasted(cycles: Iterable[Cycle]) -> float | None:
    """How long the incident was open in all, in seconds; None where no cycle has ended."""
    ended = [
        max(0.0, (cycle.resolved_at - cycle.started_at).total_seconds())
        for cycle in cycles
        if cycle.started_at and cycle.resolved_at
    ]
    return sum(ended) if ended else None
