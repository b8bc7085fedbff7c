"""Somebody took notice."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import datetime, timedelta
from typing import NoReturn

from apps.engine.operations import publish
from apps.engine.timers import schedule_many
from apps.foundation.actor import Actor
from apps.foundation.clock import now
from apps.foundation.errors import Conflict, Forbidden, NotFound
from apps.foundation.operations import operation
from apps.foundation.subjects import Subject
from apps.paging.events import Acknowledged, PageAnswered, PartlyAcknowledged
from apps.paging.links import is_expired, link_lifetime
from apps.paging.models import Acknowledgement, EscalationRun, Page, PageBundle
from apps.paging.operations.firing import save_runs, subject_of, timer_of
from apps.paging.operations.starting import end_snoozes, lock_runs
from apps.paging.registry import RESPOND, may_respond
from apps.paging.standing import Plans
from apps.people.models import User
from apps.people.operations import portal_user
from apps.people.queries import user_of

_State = EscalationRun.State


@operation
def acknowledge(subject: Subject, *, via: str, actor: Actor) -> Acknowledgement | None:
    """End the page track: its timers and everything in flight for it are void, its open pages are closed.

    Where a level that was called asks for several people, the track goes on until so many have acknowledged; the
    returned row says so (`completes`). The management track goes on. The actor's own open pages of the subject become
    acknowledged in any case. A repeat returns the first acknowledgement of the run; None where paging was stopped or
    never began. For those who were paged and those who may respond; the portal itself answers in its own
    account's name. Raises Forbidden.
    """
    user = portal_user() if actor.is_system else _account(actor)
    runs = lock_runs([subject])[subject]
    allowed = actor.is_system or may_respond(user, subject)
    if not allowed and not Page.objects.filter(**_keys(subject), user=user).exists():
        raise Forbidden(
            f"{actor.name} may not acknowledge: they were not paged and lack the permission {RESPOND}.",
            extra={"permission": RESPOND},
        )
    return _acknowledge(subject, runs, user, via, actor)


@operation
def acknowledge_by_link(page_id: int, *, actor: Actor) -> Acknowledgement | None:
    """Acknowledge with the signed link of a page, once. The actor is the paged person, proved by the link.

    Raises NotFound for an unknown page, Forbidden when the account is closed, and Conflict, whose `code` says why:
    link_expired, link_used, already_acknowledged, page_closed.
    """
    found = Page.objects.filter(pk=page_id).first()
    if found is None:
        raise NotFound("There is no such page.")
    subject = Subject(found.subject_kind, found.subject_key)
    runs = lock_runs([subject])[subject]
    page = Page.objects.select_for_update().get(pk=page_id)
    user = _account(actor)
    if user.pk != page.user_id:
        raise Forbidden("This link belongs to somebody else.")
    refuse_link(page)
    done = _acknowledge(subject, runs, user, Acknowledgement.Via.LINK, actor)
    Page.objects.filter(pk=page.pk).update(link_used_at=now())
    return done


@operation
def acknowledge_bundle(
    bundle_id: int, *, page_ids: Collection[int] | None = None, via: str, actor: Actor
) -> list[Page]:
    """Acknowledge what came in one message: all of it that is open, or only the pages named. Returns these pages.

    Only for the person who was told. A repeat changes nothing. Raises NotFound for somebody else's bundle, Forbidden
    for a closed account, and Conflict (`link_expired`) by a link that is too old.
    """
    user = _account(actor)
    bundle = PageBundle.objects.filter(pk=bundle_id, user=user).first()
    if bundle is None:
        raise NotFound("There is no such message.")
    if via == Acknowledgement.Via.LINK and now() >= bundle.due_at + link_lifetime():
        _refuse("link_expired", "This link is too old. Log in to acknowledge.")
    rows = Page.objects.filter(bundles=bundle, state=Page.State.OPEN)
    wanted = rows if page_ids is None else rows.filter(pk__in=page_ids)
    locked = lock_runs({_subject_of(page) for page in wanted})
    # Read again under the locks: meanwhile others may have answered, or a new run begun, which this does not answer.
    still = list(wanted.order_by("pk"))
    for subject in sorted({_subject_of(page) for page in still} & locked.keys(), key=str):
        _acknowledge(subject, locked[subject], user, via, actor)
    return [page for page in still if _subject_of(page) in locked]


def refuse_link(page: Page) -> None:
    """Raise Conflict, with a code and a sentence, when the link of a page works no more."""
    if page.link_used_at is not None:
        _refuse("link_used", "This link was used already: it works once.")
    if page.state == Page.State.ACKNOWLEDGED:
        _refuse("already_acknowledged", "You have acknowledged this page already.")
    if page.state == Page.State.CLOSED:
        _refuse("page_closed", "This page is no longer needed.")
    if is_expired(page):
        _refuse("link_expired", "This link is too old. Log in to acknowledge.")


def _refuse(code: str, sentence: str) -> NoReturn:
    raise Conflict(sentence, code=code)


def _account(actor: Actor) -> User:
    user = user_of(actor)
    if user is None or not user.is_active:
        raise Forbidden("Only an active account can acknowledge.")
    return user


def _subject_of(page: Page) -> Subject:
    return Subject(page.subject_kind, page.subject_key)


def _keys(subject: Subject) -> dict[str, str]:
    return {"subject_kind": subject.kind, "subject_key": subject.key}


def _acknowledge(
    subject: Subject, runs: Mapping[str, EscalationRun], user: User, via: str, actor: Actor
) -> Acknowledgement | None:
    """With the runs locked: answer the person's own pages, then end the page track unless it has ended."""
    at = now()
    run = runs.get(EscalationRun.Track.PAGE)
    own = list(
        Page.objects.filter(**_keys(subject), user=user, state=Page.State.OPEN)
        .order_by("pk")
        .values_list("pk", flat=True)
    )
    Page.objects.filter(pk__in=own, state=Page.State.OPEN).update(state=Page.State.ACKNOWLEDGED, acknowledged_at=at)
    if run is not None and run.state not in {_State.ACKNOWLEDGED, _State.STOPPED}:
        return _answer(run, runs, user, via=via, at=at, actor=actor)
    if own:
        event = PageAnswered(page_ids=own, user_id=user.pk, name=user.name, via=via)
        publish(event, subject=subject, actor=actor)
    if run is None or run.state == _State.STOPPED:
        return None
    return Acknowledgement.objects.filter(escalation=run, completes=True).order_by("-run").first()


def _answer(
    run: EscalationRun, runs: Mapping[str, EscalationRun], user: User, *, via: str, at: datetime, actor: Actor
) -> Acknowledgement:
    """One more person took notice of the present run; with the last one that its levels ask for, it ends."""
    plans = Plans()
    needed = plans.of(run).answers_needed(run.taken)
    before = list(Acknowledgement.objects.filter(escalation=run, run=run.run)) if needed > 1 else []
    mine = next((row for row in before if row.user_id == user.pk), None)
    if mine is not None:
        return mine
    count = len(before) + 1
    done = Acknowledgement.objects.create(
        subject_kind=run.subject_kind,
        subject_key=run.subject_key,
        escalation=run,
        run=run.run,
        user=user,
        via=via,
        at=at,
        completes=count >= needed,
    )
    for each in runs.values():
        each.answered_at = each.answered_at or at
    if done.completes:
        _end_run(run, done, plans, actor)
    else:
        event = PartlyAcknowledged(run=run.run, user_id=user.pk, name=user.name, via=via, count=count, needed=needed)
        publish(event, subject=subject_of(run), actor=actor)
    save_runs(list(runs.values()))
    return done


def _end_run(run: EscalationRun, done: Acknowledgement, plans: Plans, actor: Actor) -> None:
    """The page track is acknowledged; it comes back by a timer where the pack asks for it."""
    at, user = done.at, done.user
    event = Acknowledged(run=run.run, user_id=user.pk, name=user.name, via=done.via, at=at.isoformat())
    run.run, run.state, run.next_due_at, run.ended_at = run.run + 1, _State.ACKNOWLEDGED, None, at
    end_snoozes([subject_of(run)])
    quiet = plans.path(run).unacknowledge_seconds
    if quiet is not None:
        run.next_due_at = at + timedelta(seconds=quiet)
        schedule_many([timer_of(run, run.next_due_at)])
    Page.objects.filter(escalation=run, state=Page.State.OPEN).update(state=Page.State.CLOSED)
    publish(event, subject=subject_of(run), actor=actor)
