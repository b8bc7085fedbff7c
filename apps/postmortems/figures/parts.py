"""What the computed parts consist of. All of it goes to JSON and back unchanged."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class Fact:
    """A label and what holds: a line of Metadata, Impact or Detection. `person` says that the value is a name."""

    label: str
    value: str
    person: bool = False


@dataclass(frozen=True, slots=True)
class Figure:
    """A measured time against the pack's limit. `seconds` is None while not reached, `limit_seconds` where none is set.

    `met` is None where nothing can be said. Exactly on the limit has missed it.
    """

    slug: str
    label: str
    seconds: float | None
    text: str
    limit_seconds: int | None = None
    limit_text: str = ""
    met: bool | None = None


@dataclass(frozen=True, slots=True)
class Cycle:
    """One time that the incident was open: from its detection, or its reopening, until it was resolved."""

    number: int
    started_at: datetime | None
    resolved_at: datetime | None
    figures: list[Figure]


@dataclass(frozen=True, slots=True)
class Line:
    """A line of the timeline. `kind` is the entry's."""

    seq: int
    at: datetime
    kind: str
    text: str
    author: str
    author_id: int | None = None


@dataclass(frozen=True, slots=True)
class Holder:
    """Who held a role, from when until when (None: to the end)."""

    role: str
    name: str
    user_id: int
    user: str
    since: datetime
    until: datetime | None


@dataclass(frozen=True, slots=True)
class Participant:
    """Somebody who took part: their roles by name, how often they were paged, how many lines they wrote."""

    user_id: int
    name: str
    roles: list[str]
    pages: int
    lines: int


@dataclass(frozen=True, slots=True)
class Executed:
    """A runbook that was executed, or (a dry run) looked at."""

    id: int
    title: str
    state: str
    state_label: str
    by: str
    at: datetime
    finished_at: datetime | None = None
    approval: str = ""
    steps_done: int = 0
    steps: int = 0


@dataclass(frozen=True, slots=True)
class Touched:
    """Something that was changed: a flag or a config about the incident, or another change of its services."""

    kind: str
    title: str
    at: datetime
    by: str
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Computed:
    """All computed parts of one review. `figures` are those of the present cycle, `cycles` has all of them."""

    incident_id: int
    number: str
    title: str
    severity: str
    is_open: bool
    reopened_count: int
    metadata: list[Fact]
    impact: list[Fact]
    detection: list[Fact]
    figures: list[Figure]
    cycles: list[Cycle]
    timeline: list[Line]
    roles: list[Holder]
    participants: list[Participant]
    pages_sent: int
    people_paged: int
    alerts: list[Line]
    executions: list[Executed]
    dry_runs: list[Executed]
    flags: list[Touched]
    configs: list[Touched]
    changes: list[Touched]
    frozen_at: datetime | None = None
