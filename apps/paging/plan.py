"""The steps of a track: a pure function of the pack's path, the severity and the track."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum

from apps.paging.policy import Escalation, Level, Track

TIMER_KIND = "paging.escalate"
# How long the last people on the page track have before the portal says that nobody answered.
LAST_CALL_SECONDS = 300


class StepKind(Enum):
    LEVEL = "level"
    REPEAT = "repeat"
    LAST_CALL = "last call"


@dataclass(frozen=True, slots=True)
class Step:
    """One step, `after_seconds` from the start of the run. The last call pages nobody: it ends the track."""

    kind: StepKind
    after_seconds: int
    level: Level | None = None
    repeat: int = 0

    @property
    def name(self) -> str:
        return self.level.name if self.level else "nobody acknowledged"

    def due_at(self, started_at: datetime) -> datetime:
        return started_at + timedelta(seconds=self.after_seconds)


@dataclass(frozen=True, slots=True)
class Plan:
    """What a track does for one severity; empty where no level of the track names it."""

    levels: tuple[Level, ...]
    steps: tuple[Step, ...]

    @property
    def roles(self) -> set[str]:
        return {role for level in self.levels for role in level.roles}

    def candidates(self, step: Step, reached: int) -> list[Level]:
        """The levels to try at a step, in order: its own; for a repeat the last one reached, then all others."""
        if step.kind is StepKind.LEVEL and step.level is not None:
            return [step.level]
        if step.kind is StepKind.LAST_CALL:
            return []
        return sorted(self.levels, key=lambda level: level.level != reached)


def plan_of(path: Escalation, severity: str, track: Track) -> Plan:
    """The steps of `track` for `severity`, in order: its levels; on the page track also the repeats and a last call."""
    levels = tuple(path.levels(severity, track))
    if not levels:
        return Plan((), ())
    steps = [Step(StepKind.LEVEL, level.after_seconds, level) for level in levels]
    if track == "page":
        last, every = levels[-1], path.repeat.every_seconds
        steps += [
            Step(StepKind.REPEAT, last.after_seconds + number * every, last, number)
            for number in range(1, path.repeat.times + 1)
        ]
        pause = every if path.repeat.times else LAST_CALL_SECONDS
        steps.append(Step(StepKind.LAST_CALL, steps[-1].after_seconds + pause))
    return Plan(levels, tuple(steps))
