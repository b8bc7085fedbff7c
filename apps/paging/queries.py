"""Reads: what comes next and whom it reaches, who sees which pages, and the runs that guard messages."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime

from django.contrib.auth.models import AnonymousUser
from django.db.models import QuerySet

from apps.foundation.clock import now
from apps.foundation.subjects import Subject, visible_subjects
from apps.paging.models import EscalationCondition, EscalationRun, MaintenanceWindow, Page
from apps.paging.people import Reach, reach_of
from apps.paging.plan import StepKind
from apps.paging.policy import Call, Level
from apps.paging.standing import Plans
from apps.people.models import User


@dataclass(frozen=True, slots=True)
class Upcoming:
    """A step to come and whom it reaches as the rotations stand now. Nobody at the last call, which ends the track."""

    track: str
    level: int
    name: str
    due_at: datetime
    user_ids: tuple[int, ...]
    names: tuple[str, ...]
    roles: tuple[str, ...]
    repeat: int
    step: int
    last_call: bool
    why: str = ""

    def as_json(self) -> dict[str, object]:
        """The same for an API."""
        return asdict(self)


def visible_pages(user: User | AnonymousUser) -> QuerySet[Page]:
    """The pages of subjects that `user` may see."""
    return Page.objects.filter(visible_subjects(user)).select_related("user", "escalation")


def visible_runs(user: User | AnonymousUser) -> QuerySet[EscalationRun]:
    """The escalation runs of subjects that `user` may see."""
    return EscalationRun.objects.filter(visible_subjects(user)).select_related("team")


def upcoming(subject: Subject) -> list[Upcoming]:
    """The steps to come of a subject's running tracks, the next one first. See `upcoming_of`."""
    rows = EscalationRun.objects.filter(subject_kind=subject.kind, subject_key=subject.key)
    found = upcoming_of(list(rows))
    return sorted((item for steps in found.values() for item in steps), key=lambda item: item.due_at)


def upcoming_of(runs: Sequence[EscalationRun], *, steps_each: int | None = None) -> dict[int, list[Upcoming]]:
    """The steps to come of many runs by their id, for each run in order; a constant number of queries.

    `steps_each` limits how many are given for each run. What only a trigger that nobody marked would call is not told.
    """
    at, plans = now(), Plans()
    running = [run for run in runs if run.state == EscalationRun.State.RUNNING]
    plans.read_activity(running)
    reach = reach_of([(run, call) for run in running for call in plans.of(run).calls], since=at)
    found: dict[int, list[Upcoming]] = {run.pk: [] for run in runs}
    for run in running:
        found[run.pk] = _forecast(run, plans, reach, at)[:steps_each]
    ids = {user_id for steps in found.values() for item in steps for user_id in item.user_ids}
    names = {user.pk: user.name for user in User.objects.filter(pk__in=ids)} if ids else {}
    return {pk: [_named(item, names) for item in steps] for pk, steps in found.items()}


def _forecast(run: EscalationRun, plans: Plans, reach: Reach, at: datetime) -> list[Upcoming]:
    """The steps that are left; a repeat counts on the levels before it reaching whom they name."""
    plan, facts = plans.of(run), plans.facts(run)
    reached, found = run.level, []
    waking = plans.path(run).waking_hours
    for number, item in enumerate(plan.pending(facts), start=run.step):
        step = item.step
        if step.kind is StepKind.NEXT:
            step = plan.next_level(facts) or step
        called: Call | None = step.call
        users: list[int] = []
        for candidate in plan.candidates(step, reached):
            people = reach.people(run, candidate, max(item.due_at, at), waking=waking, again=bool(step.repeat))
            if people:
                called, users = candidate, list(people)
                break
        level = called if isinstance(called, Level) else None
        reached = level.level if level is not None and users else reached
        found.append(
            Upcoming(
                track=run.track,
                level=level.level if level else 0,
                name=level.name if level else step.name,
                due_at=item.due_at,
                user_ids=tuple(users),
                names=(),
                roles=tuple(called.roles) if called else (),
                repeat=step.repeat,
                step=number,
                last_call=step.kind is StepKind.LAST_CALL,
                why=item.why,
            )
        )
    return found


def _named(item: Upcoming, names: dict[int, str]) -> Upcoming:
    return replace(item, names=tuple(names.get(pk, "") for pk in item.user_ids))


def current_runs(keys: Sequence[str]) -> dict[str, int]:
    """For the guard of messages of a track: the present run of each escalation."""
    rows = EscalationRun.objects.filter(pk__in=_numbers(keys)).values_list("pk", "run")
    return {str(pk): run for pk, run in rows}


def open_pages(keys: Sequence[str]) -> dict[str, int]:
    """For the guard of messages of a page that a person made: run 1 while it is open, none after."""
    rows = Page.objects.filter(pk__in=_numbers(keys), state=Page.State.OPEN).values_list("pk", flat=True)
    return {str(pk): 1 for pk in rows}


def _numbers(keys: Collection[str]) -> list[int]:
    return [int(key) for key in keys if key.isdecimal()]


def conditions_of(subject: Subject) -> list[EscalationCondition]:
    """The conditions that hold for a subject, in the order in which they were marked."""
    rows = EscalationCondition.objects.filter(
        subject_kind=subject.kind, subject_key=subject.key, cleared_at__isnull=True
    )
    return list(rows)


def visible_windows(user: User | AnonymousUser) -> QuerySet[MaintenanceWindow]:
    """Maintenance is no secret: all windows for holders of `paging.view_maintenancewindow`, else none."""
    rows = MaintenanceWindow.objects.select_related("team", "service", "created_by")
    return rows if user.is_active and user.has_perm("paging.view_maintenancewindow") else rows.none()
