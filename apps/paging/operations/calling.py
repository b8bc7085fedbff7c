"""Calling people by hand: the next level now, or somebody in particular."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta

from apps.engine.operations import publish
from apps.foundation.actor import Actor
from apps.foundation.clock import now
from apps.foundation.errors import Conflict, Invalid
from apps.foundation.operations import operation
from apps.foundation.subjects import Subject, subject_title
from apps.oncall.queries import people_for_roles
from apps.paging.events import NobodyReachable, Paged
from apps.paging.models import EscalationRun, Page
from apps.paging.operations.firing import Advance, advance_many
from apps.paging.operations.resting import require_respond
from apps.paging.operations.starting import ALL_TRACKS, lock_runs
from apps.paging.operations.together import tell
from apps.paging.standing import Plans
from apps.paging.texts import Call
from apps.people.models import User

# Paging the same person again within this time is a double click, not a wish.
SAME_CALL = timedelta(minutes=1)


@operation
def escalate_now(
    subject: Subject,
    *,
    track: str | None = None,
    level: int | None = None,
    expected_step: int | None = None,
    reason: str = "",
    actor: Actor,
) -> EscalationRun:
    """Take the next step at once: of the page track while it runs, else of the management track. Or call that `level`,
    also once somebody acknowledged or snoozed; one that was called within the last minute is not called again.

    The steps after it keep their times; a level that was called is not called again at its own time.

    With `expected_step` (the run's `step` as the caller saw it) a repeat changes nothing; without it each call takes
    one step. For those who may respond. Raises Forbidden, Conflict when no track runs, and Invalid for a level that the
    severity does not reach.
    """
    require_respond(subject, actor)
    runs = lock_runs([subject])[subject]
    run = _run_to_escalate(runs, track) if level is None else _run_of_level(runs, level)
    if level is not None and _was_just_called(run, level):
        return run
    if expected_step is None or expected_step == run.step:
        why = reason or f"{actor.name} escalated now."
        advance_many([Advance(run, now(), why[:300], force=level is None, level=level)], actor=actor)
    return run


def _run_to_escalate(runs: Mapping[str, EscalationRun], track: str | None) -> EscalationRun:
    wanted = [runs[name] for name in ALL_TRACKS if name in runs and track in {None, name}]
    plans = Plans()
    for run in wanted:
        left = plans.pending(run) or plans.of(run).next_level(plans.facts(run))
        if run.state in {EscalationRun.State.RUNNING, EscalationRun.State.WAITING} and left:
            return run
    raise Conflict("No escalation is running, so there is no next level.", code="no_escalation_running")


def _run_of_level(runs: Mapping[str, EscalationRun], level: int) -> EscalationRun:
    there = [run for run in runs.values() if run.state != EscalationRun.State.STOPPED]
    if not there:
        raise Conflict("Escalation has ended here, so there is no level to call.", code="no_escalation_running")
    plans = Plans()
    for run in there:
        if plans.of(run).step_of_level(level) is not None:
            return run
    known = sorted(found.level for run in there for found in plans.of(run).levels)
    text = f"There is no level {level} for this severity; there are {', '.join(map(str, known)) or 'none'}."
    raise Invalid(text, fields={"level": [text]})


def _was_just_called(run: EscalationRun, level: int) -> bool:
    step = Plans().of(run).step_of_level(level)
    before = run.taken.get(step.key) if step is not None else None
    return before is not None and now() - datetime.fromisoformat(before) < SAME_CALL


@operation
def page_people(subject: Subject, user_ids: Collection[int], *, reason: str = "", actor: Actor) -> list[Page]:
    """Page these people in, outside of any level. Who was paged in within the last minute and has not answered is not
    paged again; the page that is there is returned for them.

    For those who may respond. Raises Forbidden, and Invalid for somebody who is no active person.
    """
    require_respond(subject, actor)
    runs = lock_runs([subject])[subject]
    return _page_in(subject, dict.fromkeys(user_ids, ""), runs, reason, actor)


@operation
def page_roles(
    subject: Subject, roles: Sequence[str], *, team_id: int | None = None, reason: str = "", actor: Actor
) -> list[Page]:
    """Page in whoever answers for these roles now, of the given team, else of the team that is being paged.

    A role that nobody answers for is told by an event; an empty list means that nobody at all was reached. See
    `page_people`.
    """
    require_respond(subject, actor)
    runs = lock_runs([subject])[subject]
    if team_id is None:
        team_id = next((run.team_id for run in runs.values() if run.team_id is not None), None)
    found = people_for_roles(team_id, roles, now())
    empty = sorted(role for role in set(roles) if not found.get(role))
    if empty:
        nobody = NobodyReachable(track="", level=0, name=", ".join(empty), run=0, step=0, roles=empty)
        publish(nobody, subject=subject, actor=actor)
    people = {user_id: role for role in reversed(roles) for user_id in found.get(role, ())}
    return _page_in(subject, people, runs, reason, actor)


def _page_in(
    subject: Subject, people: Mapping[int, str], runs: Mapping[str, EscalationRun], reason: str, actor: Actor
) -> list[Page]:
    """Make the pages of people, each with the role that names them (or none), and send them."""
    users = User.objects.filter(is_active=True, kind=User.Kind.PERSON).in_bulk(people)
    if len(users) < len(people):
        raise Invalid("Only active people can be paged.", fields={"user_ids": ["There is no such active person."]})
    at = now()
    recent = Page.objects.filter(
        subject_kind=subject.kind,
        subject_key=subject.key,
        escalation__isnull=True,
        user_id__in=list(people),
        state=Page.State.OPEN,
        created_at__gt=at - SAME_CALL,
    )
    there = {page.user_id: page for page in recent}
    text = reason.strip()[:200]
    why = f"{actor.name} asks you to join" + (f": {text}" if text else ".")
    fresh = [
        Page(
            subject_kind=subject.kind,
            subject_key=subject.key,
            role=role,
            user_id=user_id,
            reason=why[:300],
            due_at=at,
            created_at=at,
        )
        for user_id, role in people.items()
        if user_id not in there
    ]
    if fresh:
        Page.objects.bulk_create(fresh)
        _send(subject, fresh, users, runs, actor)
    return [*there.values(), *fresh]


def _send(
    subject: Subject, fresh: Sequence[Page], users: Mapping[int, User], runs: Mapping[str, EscalationRun], actor: Actor
) -> None:
    run = runs.get(EscalationRun.Track.PAGE) or next(iter(runs.values()), None)
    severity, title, detected_at = (
        (run.severity, run.title, run.detected_at) if run else ("", subject_title(subject), None)
    )
    names = {user_id: user.name for user_id, user in users.items()}
    tell([Call(page, severity, title, detected_at, "") for page in fresh], names)
    event = Paged(
        track="",
        level=0,
        name="",
        run=0,
        step=0,
        user_ids=[page.user_id for page in fresh],
        names=[names[page.user_id] for page in fresh],
        roles=sorted({page.role for page in fresh if page.role}),
        reason=fresh[0].reason,
    )
    publish(event, subject=subject, actor=actor)
