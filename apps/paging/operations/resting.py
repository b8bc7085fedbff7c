"""Tracks that rest: snoozed by a person, held by maintenance, or acknowledged and forgotten. All wake by a timer."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from apps.engine.operations import publish, publish_many
from apps.engine.timers import NewTimer, schedule_many
from apps.foundation.actor import Actor
from apps.foundation.clock import now
from apps.foundation.errors import Conflict, Forbidden, Invalid
from apps.foundation.operations import operation
from apps.foundation.subjects import Subject
from apps.paging.events import Resumed, Snoozed, Unacknowledged
from apps.paging.models import EscalationRun, Snooze
from apps.paging.operations.firing import PAGING, Advance, advance_many, save_runs, subject_of, timer_of
from apps.paging.operations.starting import begin, begin_again, close_pages, end_snoozes, is_held, lock_runs, runs_of
from apps.paging.operations.together import told_together
from apps.paging.policy import WEEKDAYS, WorkingHours, escalation
from apps.paging.registry import RESPOND, may_respond
from apps.paging.standing import Plans
from apps.people.models import User
from apps.people.queries import user_of
from apps.people.zones import zone_named, zone_of
from apps.policies.durations import duration_text

_State = EscalationRun.State
RESTING = frozenset({_State.SNOOZED, _State.HELD})
WORKING_HOURS = "working_hours"


@operation
def snooze(subject: Subject, *, until: datetime | str, reason: str = "", actor: Actor) -> Snooze:
    """Call nobody about this until an instant, or until `working_hours`: the next ones of the acting person.

    What is in flight is void and open pages are closed. At the end escalation begins with its first level, unless
    somebody resolved it before. Snoozing again moves the end. For those who may respond. Raises Forbidden, Conflict
    where nothing escalates (any more), and Invalid for an instant that is past or beyond the pack's limit.
    """
    user = require_respond(subject, actor)
    runs = lock_runs([subject])[subject]
    there = [run for run in runs.values() if run.state != _State.STOPPED]
    if not there:
        raise Conflict("Nothing escalates here, so there is nothing to snooze.", code="no_escalation_running")
    limits = escalation(there[0].policy_version_id).snooze
    end = _end_of(until, limits.working_hours, user)
    if end <= now():
        raise Invalid("A snooze ends in the future.", fields={"until": ["This instant is past."]})
    if end > now() + timedelta(seconds=limits.at_most_seconds):
        text = f"The pack allows to snooze for at most {duration_text(limits.at_most_seconds)}."
        raise Invalid(text, fields={"until": [text]})
    end_snoozes([subject])
    row = Snooze.objects.create(
        subject_kind=subject.kind,
        subject_key=subject.key,
        user=user,
        by=actor.name[:120],
        reason=reason.strip()[:300],
        at=now(),
        until=end,
    )
    close_pages(there)
    for run in there:
        run.run, run.state, run.next_due_at, run.ended_at = run.run + 1, _State.SNOOZED, end, None
    schedule_many([timer_of(run, end) for run in there])
    save_runs(there)
    event = Snoozed(until=end.isoformat(), by=actor.name, reason=row.reason)
    publish(event, subject=subject, actor=actor)
    return row


def _end_of(until: datetime | str, hours: WorkingHours, user: User | None) -> datetime:
    if isinstance(until, datetime):
        return until.astimezone(UTC)
    if until != WORKING_HOURS:
        text = f"Give an instant, or {WORKING_HOURS}."
        raise Invalid(text, fields={"until": [text]})
    return next_working_hours(hours, zone_of(user).key, now())


def next_working_hours(hours: WorkingHours, zone: str, at: datetime) -> datetime:
    """The next beginning of working hours after `at`, on clocks in `zone`."""
    here = zone_named(zone)
    day = at.astimezone(here).date()
    for ahead in range(9):
        candidate = day + timedelta(days=ahead)
        start = datetime.combine(candidate, hours.starts, here).astimezone(UTC)
        if WEEKDAYS[candidate.weekday()] in hours.days and start > at:
            return start
    raise AssertionError("some day of the next nine is a working day")


@operation
def unsnooze(subject: Subject, *, reason: str = "", actor: Actor) -> None:
    """End a snooze, or what maintenance holds back, now: escalation begins with its first level.

    Where nothing rests it changes nothing. For those who may respond. Raises Forbidden.
    """
    require_respond(subject, actor)
    runs = [run for run in lock_runs([subject])[subject].values() if run.state in RESTING]
    wake(runs, actor=actor, held_no_more=True)


def require_respond(subject: Subject, actor: Actor) -> User | None:
    """The account behind the actor when it may respond to the subject; None for the portal itself. Raises Forbidden."""
    if actor.is_system:
        return None
    user = user_of(actor)
    if user is None or not may_respond(user, subject):
        raise Forbidden(
            f"{actor.name} may not decide on paging here: it needs the permission {RESPOND}.",
            extra={"permission": RESPOND},
        )
    return user


def wake_up(runs: Sequence[EscalationRun], *, actor: Actor) -> None:
    """Let locked runs go on whose rest is over by time; those in another window still rest. Constant queries."""
    wake([run for run in runs if run.next_due_at is None or run.next_due_at <= now()], actor=actor)


def wake(runs: Sequence[EscalationRun], *, actor: Actor, held_no_more: bool = False) -> None:
    """Begin locked, resting runs with their first level. `held_no_more` lets no window of maintenance hold them.

    One that was snoozed while it paged opened before any window, or was let go from it, and is held by none.
    """
    if not runs:
        return
    plans = Plans()
    pages = [run for run in runs if run.track == EscalationRun.Track.PAGE]
    held = set() if held_no_more else {run.pk for run in runs if is_held(run)}
    after = {run.pk: "maintenance" if run.state == _State.HELD else "snooze" for run in pages}
    for run in runs:
        run.run += 1
        # Nobody was asked while it rested, so nobody is late to answer.
        run.response_at = _anew(run, now()) if run.answered_at is None else run.response_at
        begin_again(run, plans)
    end_snoozes([subject_of(run) for run in runs])
    publish_many([(Resumed(after=after[run.pk], run=run.run), subject_of(run), actor) for run in pages])
    begin(runs, actor, plans, holdable=[run for run in runs if run.pk in held])


def come_back(runs: Sequence[EscalationRun], *, actor: Actor) -> None:
    """Acknowledged page tracks on which nothing happened for as long as the pack allows begin anew; the others wait on.

    A constant number of queries.
    """
    if not runs:
        return
    plans, at = Plans(), now()
    plans.read_activity(runs, all_of_them=True)
    quiet: list[EscalationRun] = []
    timers: list[NewTimer] = []
    for run in runs:
        seconds = plans.path(run).unacknowledge_seconds
        if seconds is None:
            continue
        since = max(moment for moment in (run.answered_at, run.ended_at, plans.active_at(run)) if moment is not None)
        run.next_due_at = since + timedelta(seconds=seconds)
        if run.next_due_at <= at:
            quiet.append(run)
        else:
            timers.append(timer_of(run, run.next_due_at))
    schedule_many(timers)
    begun = {run.pk for run in quiet}
    save_runs([run for run in runs if run.pk not in begun])
    unacknowledge_runs(quiet, why="nothing happened since", actor=actor, plans=plans)


def unacknowledge_runs(runs: Sequence[EscalationRun], *, why: str, actor: Actor, plans: Plans) -> None:
    """Begin locked, acknowledged page tracks with their first level, and say so.

    Nobody answers any more, for their management tracks too: the time to answer begins anew, and may pass again.
    """
    if not runs:
        return
    at = now()
    for run in runs:
        run.run += 1
        run.answered_at, run.response_at = None, _anew(run, at)
        begin_again(run, plans)
    others = EscalationRun.objects.select_for_update().filter(
        runs_of({subject_of(run) for run in runs}), track=EscalationRun.Track.MANAGEMENT, answered_at__isnull=False
    )
    above = list(others.exclude(state=_State.STOPPED).order_by("pk"))
    for run in above:
        run.answered_at, run.response_at = None, _anew(run, at)
    save_runs([run for run in above if run.state not in PAGING])
    with told_together():
        advance_many([Advance(run, at) for run in above if run.state in PAGING], actor=actor, plans=plans)
        publish_many([(Unacknowledged(run=run.run, reason=why), subject_of(run), actor) for run in runs])
        # Maintenance holds what opens in it; what was open and answered before goes on.
        begin(runs, actor, plans, holdable=())


def _anew(run: EscalationRun, at: datetime) -> datetime | None:
    """When the time to answer is over, if it begins now: as long as it was from the detection on."""
    return at + (run.response_at - run.detected_at) if run.response_at is not None else None


@operation
def unacknowledge(subject: Subject, *, reason: str = "", actor: Actor) -> None:
    """Take an acknowledgement back: people are paged from the first level on. Where there is none it changes nothing.

    For those who may respond. Raises Forbidden.
    """
    require_respond(subject, actor)
    run = lock_runs([subject])[subject].get(EscalationRun.Track.PAGE)
    if run is not None and run.state == _State.ACKNOWLEDGED:
        why = reason.strip()[:200] or f"{actor.name} can't take it on"
        unacknowledge_runs([run], why=why, actor=actor, plans=Plans())
