"""The steps of a track and when each is due: pure functions of the pack, the severity and what has happened."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import Enum

from apps.paging.conditions import BY_CLOCK, MARKED, NO_PROGRESS, TARGET_MET
from apps.paging.policy import Call, Escalation, Level, Track, Trigger

TIMER_KIND = "paging.escalate"
# How long the last people on the page track have before the portal says that nobody answered.
LAST_CALL_SECONDS = 300


class StepKind(Enum):
    LEVEL = "level"
    TRIGGER = "trigger"
    NEXT = "next level"
    REPEAT = "repeat"
    LAST_CALL = "last call"


@dataclass(frozen=True, slots=True)
class Noted:
    """A condition that holds: since when, and with which amount."""

    at: datetime
    amount: int | None = None


@dataclass(frozen=True, slots=True)
class Facts:
    """What has happened to one run, as far as its steps depend on it. `taken` tells when each step was, by its key."""

    started_at: datetime
    response_at: datetime | None = None
    target_at: datetime | None = None
    answered_at: datetime | None = None
    active_at: datetime | None = None
    conditions: Mapping[str, Noted] = field(default_factory=dict)
    taken: Mapping[str, datetime] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Step:
    """One step. `after_seconds` counts from the start of the run; None means that only its triggers bring it about.

    The last `behind_seconds` of them count from the gate on, where it holds the step back. `of_path` repeats `level`,
    not the one that was last reached. The last call pages nobody: it ends the track.
    """

    kind: StepKind
    key: str
    after_seconds: int | None = None
    call: Call | None = None
    level: Level | None = None
    repeat: int = 0
    gated: bool = False
    behind_seconds: int = 0
    of_path: bool = False
    triggers: tuple[Trigger, ...] = ()

    @property
    def name(self) -> str:
        if self.level is not None:
            return self.level.name
        if self.triggers:
            return self.triggers[0].name or self.triggers[0].title
        return "nobody acknowledged"


@dataclass(frozen=True, slots=True)
class Pending:
    """A step that is due at an instant, and what brings it about, in words and as a condition (empty: its own time)."""

    due_at: datetime
    step: Step
    why: str = ""
    condition: str = ""


@dataclass(frozen=True, slots=True)
class Plan:
    """What a track does for one severity; empty where nothing of the track names it."""

    levels: tuple[Level, ...]
    steps: tuple[Step, ...]
    gate: bool = False

    @property
    def calls(self) -> list[Call]:
        return [step.call for step in self.steps if step.call is not None]

    @property
    def waits_for_activity(self) -> bool:
        """Whether any of its steps counts the time without progress."""
        return any(trigger.when == NO_PROGRESS for step in self.steps for trigger in step.triggers)

    def pending(self, facts: Facts) -> list[Pending]:
        """What is to come as things stand, the soonest first; at one instant in the order of the pack."""
        found = [item for step in self.steps if (item := self._due(step, facts)) is not None]
        return sorted(found, key=lambda item: item.due_at)

    def next_level(self, facts: Facts, above: int = 0) -> Step | None:
        """The lowest level above `above` that was not called yet."""
        levels = (step for step in self.steps if step.kind is StepKind.LEVEL and step.key not in facts.taken)
        return next((step for step in levels if step.level is not None and step.level.level > above), None)

    def step_of_level(self, number: int) -> Step | None:
        return next((step for step in self.steps if step.key == f"level:{number}"), None)

    def waits(self, facts: Facts) -> bool:
        """Whether something may still call somebody, though nothing is due now."""
        return any(
            step.key not in facts.taken
            for step in self.steps
            if step.triggers and (step.kind is not StepKind.NEXT or self.next_level(facts) is not None)
        )

    def candidates(self, step: Step, reached: int) -> list[Call]:
        """Whom to try at a step, in order: its own; for a repeat its level, or the last reached, then the others."""
        if step.kind is not StepKind.REPEAT:
            return [step.call] if step.call is not None else []
        first = step.level.level if step.level is not None and step.of_path else reached
        levels = sorted(self.levels, key=lambda level: level.level != first)
        return list(levels)

    def answers_needed(self, taken: Mapping[str, datetime]) -> int:
        """How many people must acknowledge, given what was called: the most that any of it asks for."""
        asked = [step.call.acknowledgements for step in self.steps if step.call is not None and step.key in taken]
        return max(asked, default=1)

    def _due(self, step: Step, facts: Facts) -> Pending | None:
        """When one step is due, by its own time or by the first of its triggers; None while nothing brings it about."""
        again = step.kind is StepKind.NEXT and step.triggers[0].when == NO_PROGRESS
        if step.key in facts.taken and not again:
            return None
        if step.kind is StepKind.NEXT and self.next_level(facts) is None:
            return None
        found: list[Pending] = []
        if step.after_seconds is not None:
            behind = timedelta(seconds=step.behind_seconds)
            own = facts.started_at + timedelta(seconds=step.after_seconds) - behind
            found.append(Pending((self._behind_gate(own, facts) if step.gated else own) + behind, step))
        for trigger in step.triggers:
            at = self._instant(trigger, step, facts)
            if at is not None:
                found.append(Pending(at, step, trigger.title, trigger.when))
        return min(found, key=lambda item: item.due_at, default=None)

    def _instant(self, trigger: Trigger, step: Step, facts: Facts) -> datetime | None:
        """When a trigger calls. The gate does not hold back what somebody marked: people decide that."""
        delay = timedelta(seconds=trigger.after_seconds)
        if trigger.when in MARKED:
            noted = facts.conditions.get(trigger.when)
            if noted is None or (trigger.over is not None and (noted.amount or 0) <= trigger.over):
                return None
            return max(noted.at, facts.started_at) + delay
        if trigger.when == NO_PROGRESS:
            since = max(at for at in (facts.started_at, facts.active_at, facts.taken.get(step.key)) if at is not None)
            return self._behind_gate(since + timedelta(seconds=trigger.for_seconds or 0) + delay, facts)
        at = facts.response_at if BY_CLOCK[trigger.when] == "response" else facts.target_at
        if at is None or (BY_CLOCK[trigger.when] == "target" and TARGET_MET in facts.conditions):
            return None
        # Strict: an answer exactly at the limit has missed it.
        if BY_CLOCK[trigger.when] == "response" and facts.answered_at is not None and facts.answered_at < at:
            return None
        return self._behind_gate(at + delay, facts)

    def _behind_gate(self, at: datetime, facts: Facts) -> datetime:
        return max(at, facts.target_at) if self.gate and facts.target_at is not None else at


def plan_of(path: Escalation, severity: str, track: Track) -> Plan:
    """The steps of `track` for `severity`: its levels and what triggers call; on the page track also the repeats and a
    last call."""
    levels = tuple(path.levels(severity, track))
    triggers = path.triggers_of(severity)
    steps = [_level_step(path, level, triggers) for level in levels]
    # Triggers of their own outlast the acknowledgement; `next` goes up whatever path there is.
    management = path.levels(severity, "management")
    for place, trigger in triggers:
        if trigger.roles and track == "management":
            steps.append(Step(StepKind.TRIGGER, f"trigger:{place}", call=trigger, triggers=(trigger,)))
        if trigger.call == "next" and track == ("management" if management else "page"):
            steps.append(Step(StepKind.NEXT, f"next:{place}", triggers=(trigger,)))
    timed = [level for level in levels if level.after_seconds is not None]
    if track == "page" and timed:
        steps += _repeats(path, timed)
    return Plan(levels, tuple(steps), gate=path.basis == "gate")


def _level_step(path: Escalation, level: Level, triggers: list[tuple[int, Trigger]]) -> Step:
    return Step(
        StepKind.LEVEL,
        f"level:{level.level}",
        level.after_seconds,
        call=level,
        level=level,
        gated=path.basis == "gate" and bool(level.after_seconds),
        triggers=tuple(trigger for _, trigger in triggers if trigger.call == level.level),
    )


def _repeats(path: Escalation, timed: list[Level]) -> list[Step]:
    """The repeats and the last call, after the last level that has a time of its own."""
    last, repeat = timed[-1], path.repeat
    start = end = last.after_seconds or 0
    gated = path.basis == "gate" and bool(start)
    found: list[tuple[StepKind, str, int, Level | None, int]] = []
    for number in range(1, repeat.times + 1):
        end += repeat.every_seconds
        if repeat.what == "path":
            for level in timed:
                key, after = f"repeat:{number}:{level.level}", end + (level.after_seconds or 0)
                found.append((StepKind.REPEAT, key, after, level, number))
            end += start
        else:
            found.append((StepKind.REPEAT, f"repeat:{number}", end, last, number))
    end += repeat.every_seconds if repeat.times else LAST_CALL_SECONDS
    found.append((StepKind.LAST_CALL, "last-call", end, None, 0))
    return [
        Step(
            kind,
            key,
            after,
            level=level,
            repeat=number,
            gated=gated,
            behind_seconds=after - start,
            of_path=repeat.what == "path",
        )
        for kind, key, after, level, number in found
    ]
