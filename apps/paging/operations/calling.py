"""Calling people by hand: the next level now, or somebody in particular."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import timedelta

from apps.engine.operations import publish
from apps.foundation.actor import Actor
from apps.foundation.clock import now
from apps.foundation.errors import Conflict, Forbidden, Invalid
from apps.foundation.operations import operation
from apps.foundation.subjects import Subject, subject_title
from apps.messaging.operations import enqueue_many
from apps.oncall.queries import people_for_roles
from apps.paging.events import NobodyReachable, Paged
from apps.paging.models import EscalationRun, Page
from apps.paging.operations.firing import Advance, advance_many
from apps.paging.operations.starting import ALL_TRACKS, lock_runs
from apps.paging.registry import RESPOND, may_respond
from apps.paging.texts import Call, page_messages
from apps.people.models import User
from apps.people.queries import user_of

# Paging the same person again within this time is a double click, not a wish.
SAME_CALL = timedelta(minutes=1)


@operation
def escalate_now(
    subject: Subject, *, track: str | None = None, expected_step: int | None = None, reason: str = "", actor: Actor
) -> EscalationRun:
    """Take the next step at once: of the page track while it runs, else of the management track.

    The steps after it keep their times.

    With `expected_step` (the run's `step` as the caller saw it) a repeat changes nothing; without it each call takes
    one step. For those who may respond. Raises Forbidden, and Conflict when no track runs.
    """
    _require_respond(subject, actor)
    runs = lock_runs([subject])[subject]
    wanted = [name for name in ALL_TRACKS if name in runs and track in {None, name}]
    running = [runs[name] for name in wanted if runs[name].state == EscalationRun.State.RUNNING]
    if not running:
        raise Conflict("No escalation is running, so there is no next level.", code="no_escalation_running")
    run = running[0]
    if expected_step is None or expected_step == run.step:
        why = reason or f"{actor.name} escalated now."
        advance_many([Advance(run, now(), why[:300])], actor=actor)
    return run


@operation
def page_people(subject: Subject, user_ids: Collection[int], *, reason: str = "", actor: Actor) -> list[Page]:
    """Page these people in, outside of any level. Who was paged in within the last minute and has not answered is not
    paged again; the page that is there is returned for them.

    For those who may respond. Raises Forbidden, and Invalid for somebody who is no active person.
    """
    _require_respond(subject, actor)
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
    _require_respond(subject, actor)
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


def _require_respond(subject: Subject, actor: Actor) -> None:
    if actor.is_system:
        return
    user = user_of(actor)
    if user is None or not may_respond(user, subject):
        raise Forbidden(
            f"{actor.name} may not page people for this: it needs the permission {RESPOND}.",
            extra={"permission": RESPOND},
        )


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
    enqueue_many(page_messages([Call(page, severity, title, detected_at, "") for page in fresh], names))
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
