"""Taking steps: whom they page, what they write. Everything is done for many runs at once.

The caller holds the locks of the runs.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import cast

from apps.engine.events import DomainEvent
from apps.engine.operations import publish_many
from apps.engine.timers import NewTimer, schedule_many
from apps.foundation.actor import Actor
from apps.foundation.clock import now
from apps.foundation.subjects import Subject
from apps.messaging.operations import enqueue_many
from apps.oncall.queries import Roster, roster
from apps.paging.events import EscalationExhausted, NobodyReachable, Paged
from apps.paging.models import EscalationRun, Page
from apps.paging.operations.fallback import fall_through
from apps.paging.plan import TIMER_KIND, Plan, Step, StepKind, plan_of
from apps.paging.policy import Level, Track, escalation
from apps.paging.texts import Call, call_of, page_messages
from apps.people.models import User

# A step this late asks who is on call now: its own instant may lie in a shift that has ended since.
LATE = timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class Advance:
    """Take the steps of a locked run that are due at an instant, beginning with the next one."""

    run: EscalationRun
    due_at: datetime
    reason: str = ""


def subject_of(run: EscalationRun) -> Subject:
    return Subject(run.subject_kind, run.subject_key)


class Plans:
    """The plans of a batch: each (version, severity, track) is worked out once."""

    def __init__(self) -> None:
        self._known: dict[tuple[int, str, str], Plan] = {}

    def of(self, run: EscalationRun) -> Plan:
        key = (run.policy_version_id, run.severity, run.track)
        if key not in self._known:
            path = escalation(run.policy_version_id)
            self._known[key] = plan_of(path, run.severity, cast("Track", run.track))
        return self._known[key]

    def next_due_at(self, run: EscalationRun) -> datetime | None:
        """When the run's next step is due; None when it has none."""
        steps = self.of(run).steps
        return steps[run.step].due_at(run.started_at) if run.step < len(steps) else None


def roster_for(runs: Iterable[EscalationRun], plans: Plans, since: datetime) -> Roster:
    """Who answers for all roles that these runs may want."""
    return roster({(run.team_id, role) for run in runs for role in plans.of(run).roles}, since=since)


def advance_many(items: Sequence[Advance], *, actor: Actor, plans: Plans | None = None) -> None:
    """Take the due steps of locked, running runs and write all that follows: pages, messages, events, next timers.

    A constant number of queries for any number of runs.
    """
    if not items:
        return
    at = now()
    plans = plans or Plans()
    found = roster_for([item.run for item in items], plans, min(at, *(item.due_at for item in items)))
    taken = _Round(at, plans, found)
    for item in items:
        taken.advance(item)
    taken.write([item.run for item in items], actor)


def timer_of(run: EscalationRun, due_at: datetime) -> NewTimer:
    """The timer of the run's next step."""
    return NewTimer(kind=TIMER_KIND, key=str(run.pk), run=run.run, seq=run.step, due_at=due_at)


@dataclass(slots=True)
class _Round:
    """The steps of a batch: what they add up to is gathered first and written once."""

    at: datetime
    plans: Plans
    roster: Roster
    pages: list[Page] = field(default_factory=list)
    calls: list[Call] = field(default_factory=list)
    events: list[tuple[EscalationRun, DomainEvent]] = field(default_factory=list)
    timers: list[NewTimer] = field(default_factory=list)
    fallen: list[EscalationRun] = field(default_factory=list)

    def advance(self, item: Advance) -> None:
        """Take the next step, those due with it, and the next level at once whenever a level reaches nobody."""
        run, steps = item.run, self.plans.of(item.run).steps
        first, fell_through = run.step, False
        while run.step < len(steps):
            step = steps[run.step]
            in_time = step.due_at(run.started_at) <= item.due_at
            if not (run.step == first or in_time or (fell_through and step.kind is StepKind.LEVEL)):
                break
            fell_through = not self._take(item, step) and step.kind is StepKind.LEVEL
            run.step += 1
        if fell_through and run.track == EscalationRun.Track.PAGE:
            self.fallen.append(run)
        run.next_due_at = self.plans.next_due_at(run)
        if run.next_due_at is None:
            run.state, run.ended_at = EscalationRun.State.EXHAUSTED, self.at
            self.events.append((run, EscalationExhausted(track=run.track, run=run.run, severity=run.severity)))
        else:
            self.timers.append(timer_of(run, run.next_due_at))

    def _take(self, item: Advance, step: Step) -> bool:
        """Take one step; whether it reached anybody. The last call has nobody to reach."""
        run = item.run
        if step.kind is StepKind.LAST_CALL:
            return False
        on_call_at = item.due_at if self.at - item.due_at <= LATE else self.at
        levels = self.plans.of(run).candidates(step, run.level)
        for level in levels:
            people = self._people(level, run.team_id, on_call_at)
            if people:
                self._page(item, step, level, people)
                run.level = level.level
                return True
        nobody = NobodyReachable(
            track=run.track,
            level=step.level.level if step.level else 0,
            name=step.name,
            run=run.run,
            step=run.step,
            roles=sorted({role for level in levels for role in level.roles}),
            repeat=step.repeat,
        )
        self.events.append((run, nobody))
        return False

    def _people(self, level: Level, team_id: int | None, at: datetime) -> dict[int, str]:
        """The people of a level, each with the first role that names them."""
        people: dict[int, str] = {}
        for role in level.roles:
            for user_id in self.roster.people(team_id, role, at):
                people.setdefault(user_id, role)
        return people

    def _page(self, item: Advance, step: Step, level: Level, people: Mapping[int, str]) -> None:
        run = item.run
        for user_id, role in people.items():
            page = Page(
                subject_kind=run.subject_kind,
                subject_key=run.subject_key,
                escalation=run,
                run=run.run,
                step=run.step,
                level=level.level,
                role=role,
                user_id=user_id,
                reason=item.reason,
                due_at=min(item.due_at, step.due_at(run.started_at)),
                created_at=self.at,
            )
            self.pages.append(page)
            self.calls.append(call_of(page, run, level.name, level.channels))
        event = Paged(
            track=run.track,
            level=level.level,
            name=level.name,
            run=run.run,
            step=run.step,
            user_ids=list(people),
            names=[],
            roles=list(dict.fromkeys(people.values())),
            repeat=step.repeat,
            reason=item.reason,
        )
        self.events.append((run, event))

    def write(self, runs: Sequence[EscalationRun], actor: Actor) -> None:
        """Everything in one go, in the caller's transaction."""
        save_runs(runs)
        names = names_of(page.user_id for page in self.pages)
        if self.pages:
            Page.objects.bulk_create(self.pages, batch_size=500)
            enqueue_many(page_messages(self.calls, names))
        publish_many([(_with_names(event, names), subject_of(run), actor) for run, event in self.events])
        schedule_many(self.timers)
        fall_through(self.fallen, self.at)


def names_of(user_ids: Iterable[int]) -> dict[int, str]:
    """How the portal calls these people; one query."""
    wanted = set(user_ids)
    if not wanted:
        return {}
    rows = User.objects.filter(pk__in=wanted).only("username", "display_name", "first_name", "last_name")
    return {user.pk: user.name for user in rows}


def _with_names(event: DomainEvent, names: Mapping[int, str]) -> DomainEvent:
    if not isinstance(event, Paged):
        return event
    return replace(event, names=[names.get(user_id, "") for user_id in event.user_ids])


def save_runs(runs: Sequence[EscalationRun]) -> None:
    """Write back changed, locked runs with one statement.

    An upsert on the primary key: `bulk_update` would build a CASE for each column and row, many times slower.
    """
    if runs:
        EscalationRun.objects.bulk_create(
            runs, update_conflicts=True, unique_fields=["id"], update_fields=CHANGING, batch_size=500
        )


CHANGING = [
    "policy_version",
    "team",
    "severity",
    "title",
    "state",
    "run",
    "step",
    "level",
    "detected_at",
    "started_at",
    "next_due_at",
    "ended_at",
]
