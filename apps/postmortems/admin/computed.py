"""The computed parts of a review as its page shows them: read, never typed."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from zoneinfo import ZoneInfo

from django.utils.safestring import SafeString

from apps.foundation.markdown import to_html
from apps.incidents.admin.showing import Moment, Tone, moment
from apps.postmortems.figures import Computed, Cycle, Executed, Fact, Figure, Line, Touched

POST = "post"


@dataclass(frozen=True, slots=True)
class FigureView:
    label: str
    text: str
    limit: str
    tone: Tone
    verdict: str


@dataclass(frozen=True, slots=True)
class CycleView:
    number: int
    started: Moment | None
    figures: tuple[FigureView, ...]


@dataclass(frozen=True, slots=True)
class LineView:
    at: Moment
    day: str
    clock: str
    text: str
    html: SafeString | None
    author: str


@dataclass(frozen=True, slots=True)
class ParticipantView:
    name: str
    roles: str
    did: str


@dataclass(frozen=True, slots=True)
class DoneView:
    """Something that was executed, switched or changed."""

    kind: str
    title: str
    detail: str
    by: str
    at: Moment


@dataclass(frozen=True, slots=True)
class ComputedView:
    metadata: tuple[Fact, ...]
    impact: tuple[Fact, ...]
    detection: tuple[Fact, ...]
    figures: tuple[FigureView, ...]
    cycles: tuple[CycleView, ...]
    timeline: tuple[LineView, ...]
    participants: tuple[ParticipantView, ...]
    paged: str
    done: tuple[DoneView, ...]
    frozen_at: Moment | None


def computed_view(found: Computed, zone: ZoneInfo, now: datetime) -> ComputedView:
    """Everything of `figures.computed` in the reader's time zone; asks the database nothing.

    What `figures` shows against its limit is not shown as a plain fact again.
    """
    measured = {figure.label for figure in found.figures}
    return ComputedView(
        metadata=tuple(found.metadata),
        impact=tuple(found.impact),
        detection=tuple(fact for fact in found.detection if fact.label not in measured),
        figures=_figures(found.figures),
        cycles=tuple(_cycle(cycle, zone, now) for cycle in found.cycles) if len(found.cycles) > 1 else (),
        timeline=_timeline(found.timeline, zone, now),
        participants=tuple(
            ParticipantView(person.name, ", ".join(person.roles), _did(person.pages, person.lines))
            for person in found.participants
        ),
        paged=f"{_count(found.pages_sent, 'page')} to {_count(found.people_paged, 'person', 'people')}",
        done=_done(found, zone, now),
        frozen_at=moment(found.frozen_at, zone, now) if found.frozen_at else None,
    )


def _figures(figures: list[Figure]) -> tuple[FigureView, ...]:
    def view(figure: Figure) -> FigureView:
        tone: Tone = "" if figure.met is None else "ok" if figure.met else "danger"
        verdict = {None: "", True: "met", False: "missed"}[figure.met]
        return FigureView(figure.label, figure.text, figure.limit_text, tone, verdict)

    return tuple(view(figure) for figure in figures)


def _cycle(cycle: Cycle, zone: ZoneInfo, now: datetime) -> CycleView:
    started = moment(cycle.started_at, zone, now) if cycle.started_at else None
    return CycleView(cycle.number + 1, started, _figures(cycle.figures))


def _timeline(lines: list[Line], zone: ZoneInfo, now: datetime) -> tuple[LineView, ...]:
    """The lines in their order; the day is said where it changes."""
    shown: list[LineView] = []
    day = ""
    for line in lines:
        local = line.at.astimezone(zone)
        today = f"{local:%A} {local.day} {local:%B %Y}"
        is_post = line.kind == POST
        shown.append(
            LineView(
                at=moment(line.at, zone, now),
                day=today if today != day else "",
                clock=f"{local:%H:%M:%S}",
                text="" if is_post else line.text,
                html=to_html(line.text) if is_post else None,
                author=line.author,
            )
        )
        day = today
    return tuple(shown)


def _done(found: Computed, zone: ZoneInfo, now: datetime) -> tuple[DoneView, ...]:
    """Executions, dry runs, flags, configs and other changes, in the order in which they happened."""

    def executed(row: Executed, kind: str) -> tuple[datetime, DoneView]:
        steps = f"{row.steps_done} of {_count(row.steps, 'step')}" if row.steps else ""
        detail = ", ".join(part for part in (row.state_label, steps, row.approval) if part)
        return row.at, DoneView(kind, row.title, detail, row.by, moment(row.at, zone, now))

    def touched(row: Touched, kind: str) -> tuple[datetime, DoneView]:
        return row.at, DoneView(kind, row.title, row.detail, row.by, moment(row.at, zone, now))

    rows = [
        *(executed(row, "runbook") for row in found.executions),
        *(executed(row, "dry run") for row in found.dry_runs),
        *(touched(row, "flag") for row in found.flags),
        *(touched(row, "config") for row in found.configs),
        *(touched(row, row.kind) for row in found.changes),
    ]
    return tuple(view for _, view in sorted(rows, key=lambda row: row[0]))


def _did(pages: int, lines: int) -> str:
    said = [_count(pages, "page") if pages else "", _count(lines, "line") + " on the timeline" if lines else ""]
    return ", ".join(part for part in said if part)


def _count(number: int, one: str, many: str = "") -> str:
    return f"{number} {one if number == 1 else many or one + 's'}"
