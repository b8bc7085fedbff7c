"""Beginning, beginning again and ending escalation. Who may do so is decided by the owner of the subject, above."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from django.db.models import Q

from apps.engine.events import DomainEvent
from apps.engine.operations import publish_many
from apps.engine.timers import schedule_many
from apps.foundation.actor import Actor
from apps.foundation.clock import now
from apps.foundation.operations import operation
from apps.foundation.subjects import Subject
from apps.paging.events import EscalationRestarted, EscalationStopped
from apps.paging.models import EscalationCondition, EscalationRun, Page, Snooze
from apps.paging.operations.firing import Advance, advance_many, save_runs, subject_of, timer_of
from apps.paging.operations.holding import hold_for_maintenance
from apps.paging.standing import Plans

_State = EscalationRun.State
ALL_TRACKS = (EscalationRun.Track.PAGE, EscalationRun.Track.MANAGEMENT)


@dataclass(frozen=True, slots=True)
class EscalationStart:
    """What people are to be paged for. `title` is what they read: number and title of the incident.

    `response_at` and `target_at` are the ends of its clocks, for triggers and the gate. `conditions` hold from the
    start on, besides those that are marked. Services decide on maintenance; the teams that own them may be called.
    """

    subject: Subject
    team_id: int | None
    policy_version_id: int
    severity: str
    title: str
    detected_at: datetime = field(default_factory=now)
    response_at: datetime | None = None
    target_at: datetime | None = None
    service_ids: tuple[int, ...] = ()
    owner_team_ids: tuple[int, ...] = ()
    conditions: tuple[str, ...] = ()


def runs_of(subjects: Collection[Subject]) -> Q:
    """A filter for the runs (or pages) of these subjects."""
    found = Q(pk__in=())
    for kind in {subject.kind for subject in subjects}:
        found |= Q(subject_kind=kind, subject_key__in=[item.key for item in subjects if item.kind == kind])
    return found


def lock_runs(subjects: Collection[Subject]) -> dict[Subject, dict[str, EscalationRun]]:
    """All runs of these subjects by track, their rows locked in ascending order."""
    rows = EscalationRun.objects.select_for_update().filter(runs_of(subjects)).order_by("pk")
    found: dict[Subject, dict[str, EscalationRun]] = {subject: {} for subject in subjects}
    for row in rows:
        found[subject_of(row)][row.track] = row
    return found


@operation
def start_escalations(items: Sequence[EscalationStart], *, actor: Actor) -> None:
    """Start both tracks of each subject by its pack's path and page whom it names at once.

    The delays of the levels count from now. A subject that has its tracks already is left as it is. A severity that
    no level of the page track names gets a page run that pages nobody, so that it can be acknowledged all the same.
    What opens in a maintenance window waits for its end. A constant number of queries for any number of subjects.
    Raises NotFound for an unknown policy version.
    """
    by_subject = {item.subject: item for item in items}
    there = set(EscalationRun.objects.filter(runs_of(by_subject)).values_list("subject_kind", "subject_key"))
    fresh = [item for subject, item in by_subject.items() if (subject.kind, subject.key) not in there]
    plans = Plans()
    runs = [run for item in fresh for track in ALL_TRACKS if (run := _new_run(item, track, plans)) is not None]
    EscalationRun.objects.bulk_create(runs, batch_size=500)
    begin(runs, actor, plans, holdable=runs)


def _new_run(
    item: EscalationStart,
    track: str,
    plans: Plans,
    *,
    conditions: Mapping[str, Any] | None = None,
    answered_at: datetime | None = None,
) -> EscalationRun | None:
    """A run that is not saved yet; None for a management track in which nothing could ever call anybody."""
    run = EscalationRun(subject_kind=item.subject.kind, subject_key=item.subject.key, track=track)
    run.conditions = dict(conditions or {})
    set_up(run, item, plans, answered_at=answered_at)
    if run.state == _State.EXHAUSTED and track == EscalationRun.Track.MANAGEMENT:
        return None
    return run


def set_up(run: EscalationRun, item: EscalationStart, plans: Plans, *, answered_at: datetime | None = None) -> None:
    """Put a run before its first step, now, for what `item` says. The conditions that hold go on, as does an answer."""
    at = now()
    run.policy_version_id, run.team_id = item.policy_version_id, item.team_id
    run.severity, run.title, run.detected_at = item.severity, item.title[:300], item.detected_at
    run.response_at, run.target_at = item.response_at, item.target_at
    run.service_ids, run.owner_team_ids = list(item.service_ids), list(item.owner_team_ids)
    run.conditions = {name: {"at": at.isoformat()} for name in item.conditions} | run.conditions
    run.answered_at = answered_at
    begin_again(run, plans)


def begin_again(run: EscalationRun, plans: Plans) -> None:
    """Put a run before its first step, now, as what it says of itself stands."""
    at = now()
    run.step, run.level, run.started_at, run.taken, run.maintenance_id = 0, 0, at, {}, None
    run.next_due_at = plans.next_due_at(run)
    waits = plans.of(run).waits(plans.facts(run))
    run.state = _State.RUNNING if run.next_due_at else _State.WAITING if waits else _State.EXHAUSTED
    run.ended_at = at if run.state == _State.EXHAUSTED else None


def is_held(run: EscalationRun) -> bool:
    """Whether maintenance holds it, also where somebody snoozed it besides."""
    return run.state == _State.HELD or (run.state == _State.SNOOZED and run.maintenance_id is not None)


def begin(runs: Sequence[EscalationRun], actor: Actor, plans: Plans, *, holdable: Sequence[EscalationRun]) -> None:
    """Take the first step of saved, locked runs where it is due at once, and set the timer of the others.

    Those of `holdable` that are in a maintenance window wait for its end instead: a window holds what opens in it.
    """
    held = hold_for_maintenance(holdable, actor) if holdable else set()
    free = [run for run in runs if run.pk not in held]
    running = [run for run in free if run.state == _State.RUNNING and run.next_due_at is not None]
    at = now()
    due = [run for run in running if run.next_due_at is not None and run.next_due_at <= at]
    waiting = [(run, run.next_due_at) for run in running if run.next_due_at is not None and run.next_due_at > at]
    advance_many([Advance(run, at) for run in due], actor=actor, plans=plans)
    schedule_many([timer_of(run, due_at) for run, due_at in waiting])
    saved = {run.pk for run in due}
    save_runs([run for run in runs if run.pk not in saved])


@operation
def restart(
    start: EscalationStart,
    *,
    tracks: Collection[str] | None = None,
    forget: bool = False,
    reason: str = "",
    actor: Actor,
) -> None:
    """Begin a new run of a subject's tracks under its present severity, title and policy version.

    `forget` says that it opens again: the marked conditions are taken back first, and a maintenance window may hold
    it. Otherwise a window holds only what it held before. A snooze ends.

    Without `tracks`: all but an acknowledged one, which only takes over severity and title; a subject that was
    stopped (resolved) has none such. What is in flight for an older run is void, its open pages are closed. Tracks
    that were never started are. Each call begins a new run.
    """
    restart_many([start], tracks=tracks, forget=forget, reason=reason, actor=actor)


@operation
def restart_many(
    starts: Sequence[EscalationStart],
    *,
    tracks: Collection[str] | None = None,
    forget: bool = False,
    reason: str = "",
    actor: Actor,
) -> None:
    """`restart` for many subjects, each named once: a constant number of queries where all were started before."""
    plans, locked = Plans(), lock_runs([start.subject for start in starts])
    end_snoozes(list(locked))
    again: list[EscalationRun] = []
    added: list[EscalationRun] = []
    kept: list[EscalationRun] = []
    holdable: list[EscalationRun] = []
    events: list[tuple[DomainEvent, Subject, Actor]] = []
    for start in starts:
        there = locked[start.subject]
        anew = [run for run in there.values() if _restarts(run, tracks)]
        was_held = any(is_held(run) for run in there.values())
        if forget:
            clear_conditions(start.subject, by=actor.name)
        page = there.get(EscalationRun.Track.PAGE)
        answered_at = page.answered_at if page is not None and page not in anew else None
        for row in there.values():
            if forget:
                row.conditions = {}
            if row in anew:
                row.run += 1
                set_up(row, start, plans, answered_at=answered_at)
            else:
                row.severity, row.title = start.severity, start.title[:300]
                row.response_at, row.target_at = start.response_at, start.target_at
        missing = [track for track in ALL_TRACKS if track not in there and (tracks is None or track in tracks)]
        holding = conditions_that_hold(start.subject) if missing else {}
        made = [_new_run(start, track, plans, conditions=holding, answered_at=answered_at) for track in missing]
        fresh = [run for run in made if run is not None]
        if anew:
            told = EscalationRestarted(tracks=sorted(run.track for run in anew), severity=start.severity)
            events.append((told, start.subject, actor))
        holdable += [*anew, *fresh] if was_held or forget else ()
        again, added, kept = [*again, *anew], [*added, *fresh], [*kept, *there.values()]
    close_pages(again)
    save_runs(kept)
    EscalationRun.objects.bulk_create(added, batch_size=500)
    publish_many(events)
    begin([*again, *added], actor, plans, holdable=holdable)


def conditions_that_hold(subject: Subject) -> dict[str, Any]:
    """What people marked on a subject, as a track that begins later keeps it; one query."""
    rows = list(EscalationCondition.objects.filter(runs_of([subject]), cleared_at__isnull=True))
    amounts = {row.condition: {} if row.amount is None else {"amount": row.amount} for row in rows}
    return {row.condition: {"at": row.at.isoformat(), **amounts[row.condition]} for row in rows}


def _restarts(run: EscalationRun, tracks: Collection[str] | None) -> bool:
    return run.state != _State.ACKNOWLEDGED if tracks is None else run.track in tracks


@operation
def stop(subject: Subject, *, tracks: Collection[str] = ALL_TRACKS, reason: str, actor: Actor) -> None:
    """End tracks of a subject. See `stop_many`."""
    stop_many([subject], tracks=tracks, reason=reason, actor=actor)


@operation
def stop_many(
    subjects: Collection[Subject], *, tracks: Collection[str] = ALL_TRACKS, reason: str, actor: Actor
) -> None:
    """End tracks of many subjects: what is in flight is void, open pages are closed. Repeats change nothing.

    Ending all tracks also closes the pages that people made. A constant number of queries.
    """
    ended: dict[Subject, list[EscalationRun]] = {}
    changed: list[EscalationRun] = []
    for subject, runs in lock_runs(subjects).items():
        for run in runs.values():
            if run.track not in tracks or run.state == _State.STOPPED:
                continue
            if run.state != _State.ACKNOWLEDGED:
                ended.setdefault(subject, []).append(run)
            run.state, run.run, run.next_due_at, run.maintenance_id = _State.STOPPED, run.run + 1, None, None
            run.ended_at = run.ended_at or now()
            changed.append(run)
    save_runs(changed)
    close_pages(changed)
    if set(ALL_TRACKS) <= set(tracks):
        end_snoozes(subjects)
        made_by_people = Page.objects.filter(runs_of(subjects), escalation__isnull=True, state=Page.State.OPEN)
        made_by_people.update(state=Page.State.CLOSED)
    publish_many(
        [
            (EscalationStopped(tracks=sorted(run.track for run in runs), reason=reason), subject, actor)
            for subject, runs in ended.items()
        ]
    )


def close_pages(runs: Collection[EscalationRun]) -> None:
    """What the ended runs asked for is no longer needed; one query."""
    open_pages = Page.objects.filter(escalation__in=[run.pk for run in runs], state=Page.State.OPEN)
    if runs:
        open_pages.update(state=Page.State.CLOSED)


def end_snoozes(subjects: Collection[Subject]) -> None:
    """Write down that the snoozes of these subjects ended now, where one runs; one query."""
    Snooze.objects.filter(runs_of(subjects), ended_at__isnull=True).update(ended_at=now())


def clear_conditions(subject: Subject, *, by: str) -> None:
    """Take back all conditions of a subject; one query."""
    rows = EscalationCondition.objects.filter(runs_of([subject]), cleared_at__isnull=True)
    rows.update(cleared_at=now(), cleared_by=by[:120])
