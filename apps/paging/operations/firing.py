"""Taking steps: whom they page, what they write. Everything is done for many runs at once.

The caller holds the locks of the runs.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from apps.engine.events import DomainEvent
from apps.engine.operations import publish_many
from apps.engine.timers import NewTimer, schedule_many
from apps.foundation.actor import Actor
from apps.foundation.clock import now
from apps.foundation.rows import write_back
from apps.foundation.subjects import Subject
from apps.paging.conditions import MARKED
from apps.paging.events import EscalationExhausted, NobodyReachable, Paged
from apps.paging.models import Acknowledgement, EscalationRun, Page
from apps.paging.operations.fallback import fall_through
from apps.paging.operations.together import tell
from apps.paging.people import Reach, reach_of
from apps.paging.plan import TIMER_KIND, Pending, StepKind
from apps.paging.policy import Call
from apps.paging.standing import Plans
from apps.paging.texts import Call as PageCall
from apps.paging.texts import Haste, call_of
from apps.people.models import User

_State = EscalationRun.State
PAGING = frozenset({_State.RUNNING, _State.WAITING, _State.EXHAUSTED})
"""States in which something that happens may still call somebody."""

# A step this late asks who is on call now: its own instant may lie in a shift that has ended since.
LATE = timedelta(minutes=1)
_END = "end"
_NEVER_CHANGED = {"id", "subject_kind", "subject_key", "track"}
CHANGING = [field.name for field in EscalationRun._meta.concrete_fields if field.name not in _NEVER_CHANGED]
# What taking a step changes. A sweep writes a thousand of these in a second, and each column counts.
STEPPED = ["state", "step", "level", "next_due_at", "ended_at", "taken", "armed"]


@dataclass(frozen=True, slots=True)
class Advance:
    """Take the steps of a locked run that are due at an instant.

    `force` takes the next one at once, `level` that level, called before or not. `reason` goes onto the pages of it.
    """

    run: EscalationRun
    due_at: datetime
    reason: str = ""
    force: bool = False
    level: int | None = None


def subject_of(run: EscalationRun) -> Subject:
    return Subject(run.subject_kind, run.subject_key)


def advance_many(
    items: Sequence[Advance], *, actor: Actor, plans: Plans | None = None, fields: Sequence[str] = CHANGING
) -> None:
    """Take the due steps of locked runs and write all that follows: pages, messages, events, next timers.

    A run without anything due only gets its next timer, where it has none. Who changed nothing of the runs says
    `fields=STEPPED`, so that only these are written. A constant number of queries for any number of runs.
    """
    if not items:
        return
    at = now()
    plans = plans or Plans()
    runs = [item.run for item in items]
    plans.read_activity(runs)
    asked = [(run, call) for run in runs for call in plans.of(run).calls]
    reach = reach_of(asked, since=min(at, *(item.due_at for item in items)), lock_turns=True)
    taken = _Round(at, plans, reach, _answered(runs, plans))
    for item in items:
        taken.advance(item)
    taken.write(runs, actor, fields)


def timer_of(run: EscalationRun, due_at: datetime) -> NewTimer:
    """A new timer for the run's next step. Counts it on the run, which the caller saves."""
    number = run.armed
    run.armed += 1
    return NewTimer(TIMER_KIND, str(run.pk), run.run, number, due_at, {"step": run.step})


def _answered(runs: Sequence[EscalationRun], plans: Plans) -> dict[int, set[int]]:
    """Who acknowledged the present run of those that ask for several answers; no query where none does."""
    several = [run for run in runs if any(call.acknowledgements > 1 for call in plans.of(run).calls)]
    if not several:
        return {}
    current = {run.pk: run.run for run in several}
    found: dict[int, set[int]] = {pk: set() for pk in current}
    rows = Acknowledgement.objects.filter(escalation__in=list(current))
    for pk, number, user_id in rows.values_list("escalation_id", "run", "user_id"):
        if current[pk] == number:
            found[pk].add(user_id)
    return found


@dataclass(slots=True)
class _Round:
    """The steps of a batch: what they add up to is gathered first and written once."""

    at: datetime
    plans: Plans
    reach: Reach
    answered: Mapping[int, set[int]]
    pages: list[Page] = field(default_factory=list)
    calls: list[PageCall] = field(default_factory=list)
    events: list[tuple[EscalationRun, DomainEvent]] = field(default_factory=list)
    timers: list[NewTimer] = field(default_factory=list)
    fallen: list[EscalationRun] = field(default_factory=list)

    def advance(self, item: Advance) -> None:
        """Take what is due, and the next level at once whenever a level reaches nobody."""
        run, before = item.run, item.run.step
        missed = False
        due = self._first(item)
        while due is not None:
            missed = not self._take(item, due) and due.step.kind is not StepKind.REPEAT
            due = (self._above(run, due) if missed else None) or self._due(item)
        if missed and run.track == EscalationRun.Track.PAGE:
            self.fallen.append(run)
        self._arm(run, moved=run.step > before)

    def _first(self, item: Advance) -> Pending | None:
        plan, facts = self.plans.of(item.run), self.plans.facts(item.run)
        if item.level is not None:
            step = plan.step_of_level(item.level)
        elif item.force:
            pending = plan.pending(facts)
            step = plan.next_level(facts) or (pending[0].step if pending else None)
        else:
            return self._due(item)
        return Pending(item.due_at, step) if step is not None else None

    def _due(self, item: Advance) -> Pending | None:
        if item.run.state not in PAGING:
            return None  # what rests or was answered takes only the level that was asked for
        pending = self.plans.pending(item.run)
        return pending[0] if pending and pending[0].due_at <= item.due_at else None

    def _above(self, run: EscalationRun, missed: Pending) -> Pending | None:
        """The next level after something that reached nobody."""
        above = missed.step.level.level if missed.step.level is not None else 0
        step = self.plans.of(run).next_level(self.plans.facts(run), above)
        return Pending(missed.due_at, step, condition=missed.condition) if step is not None else None

    def _take(self, item: Advance, due: Pending) -> bool:
        """Take one step; whether it reached anybody. The last call has nobody to reach, and misses nobody."""
        run, step = item.run, due.step
        plan = self.plans.of(run)
        run.taken[step.key] = self.at.isoformat()
        if step.kind is StepKind.NEXT:
            level = plan.next_level(self.plans.facts(run))
            if level is None:
                return True
            due, step = replace(due, step=level), level
            run.taken[step.key] = self.at.isoformat()
        if step.kind is StepKind.LAST_CALL:
            run.step += 1
            return True
        done = self._call(item, due, plan.candidates(step, run.level))
        run.step += 1
        return done

    def _call(self, item: Advance, due: Pending, candidates: Sequence[Call]) -> bool:
        run, step = item.run, due.step
        on_call_at = due.due_at if self.at - due.due_at <= LATE else self.at
        waking = self.plans.path(run).waking_hours
        for call in candidates:
            people = self.reach.people(
                run, call, on_call_at, waking=waking, again=bool(step.repeat), but=self.answered.get(run.pk, ())
            )
            if people:
                self._page(item, due, call, people)
                return True
        nobody = NobodyReachable(
            track=run.track,
            level=step.level.level if step.level else 0,
            name=step.name,
            run=run.run,
            step=run.step,
            roles=sorted({role for call in candidates for role in call.roles}),
            repeat=step.repeat,
        )
        self.events.append((run, nobody))
        return False

    def _page(self, item: Advance, due: Pending, call: Call, people: Mapping[int, str]) -> None:
        run = item.run
        number = getattr(call, "level", 0)
        name = due.step.name if number == 0 else getattr(call, "name", "")
        # Whoever called by hand gives the reason; else it is what brought the step about.
        reason = item.reason or (f"{due.why}." if due.why else "")
        channels = self.plans.path(run).channels_of(call, run.severity)
        for user_id, role in people.items():
            page = Page(
                subject_kind=run.subject_kind,
                subject_key=run.subject_key,
                escalation=run,
                run=run.run,
                step=run.step,
                level=number,
                role=role,
                user_id=user_id,
                reason=reason,
                due_at=min(item.due_at, due.due_at),
                created_at=self.at,
            )
            self.pages.append(page)
            self.calls.append(call_of(page, run, name, channels, _haste(item, due)))
        if number:
            run.level = number
        event = Paged(
            track=run.track,
            level=number,
            name=name,
            run=run.run,
            step=run.step,
            user_ids=list(people),
            names=[],
            roles=list(dict.fromkeys(people.values())),
            repeat=due.step.repeat,
            reason=reason,
        )
        self.events.append((run, event))

    def _arm(self, run: EscalationRun, *, moved: bool) -> None:
        """Set the run's next timer, or say that its path has ended. What is over or rests stays so."""
        if run.state not in PAGING:
            return
        plan, facts = self.plans.of(run), self.plans.facts(run)
        pending = plan.pending(facts)
        due_at = pending[0].due_at if pending else None
        # A timer for an instant that was known before is there already.
        if due_at is not None and (moved or run.next_due_at != due_at):
            self.timers.append(timer_of(run, due_at))
        run.next_due_at = due_at
        if due_at is not None:
            run.state, run.ended_at = _State.RUNNING, None
            return
        waits = plan.waits(facts)
        run.state, run.ended_at = (_State.WAITING, None) if waits else (_State.EXHAUSTED, self.at)
        over = "last-call" in run.taken or (plan.levels and plan.next_level(facts) is None)
        if over and _END not in run.taken:
            run.taken[_END] = self.at.isoformat()
            self.events.append((run, EscalationExhausted(track=run.track, run=run.run, severity=run.severity)))

    def write(self, runs: Sequence[EscalationRun], actor: Actor, fields: Sequence[str]) -> None:
        """Everything in one go, in the caller's transaction."""
        write_back(runs, fields)
        self.reach.keep_turns()
        names = names_of(page.user_id for page in self.pages)
        if self.pages:
            Page.objects.bulk_create(self.pages, batch_size=500)
            tell(self.calls, names)
        publish_many([(_with_names(event, names), subject_of(run), actor) for run, event in self.events])
        schedule_many(self.timers)
        fall_through(self.fallen, self.at)


def _haste(item: Advance, due: Pending) -> Haste:
    # Only whoever calls by hand gives a reason.
    if item.reason:
        return Haste.BY_HAND
    return Haste.MARKED if due.condition in MARKED else Haste.NONE


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
    """Write back changed, locked runs with one statement."""
    write_back(runs, CHANGING)
