"""Somebody took notice."""

from __future__ import annotations

from datetime import datetime
from typing import NoReturn

from apps.engine.operations import publish
from apps.foundation.actor import Actor
from apps.foundation.clock import now
from apps.foundation.errors import Conflict, Forbidden, NotFound
from apps.foundation.operations import operation
from apps.foundation.subjects import Subject
from apps.paging.events import Acknowledged, PageAnswered
from apps.paging.links import is_expired
from apps.paging.models import Acknowledgement, EscalationRun, Page
from apps.paging.operations.firing import save_runs, subject_of
from apps.paging.operations.starting import lock_runs
from apps.paging.registry import RESPOND, may_respond
from apps.people.models import User
from apps.people.queries import user_of

_State = EscalationRun.State


@operation
def acknowledge(subject: Subject, *, via: str, actor: Actor) -> Acknowledgement | None:
    """End the page track: its timers and everything in flight for it are void, its open pages are closed.

    The management track goes on. The actor's own open pages of the subject become acknowledged in any case. A repeat
    returns the first acknowledgement of the run; None where paging was stopped or never began. For those who were
    paged and those who may respond. Raises Forbidden.
    """
    user = _account(actor)
    runs = lock_runs([subject])[subject]
    if not may_respond(user, subject) and not Page.objects.filter(**_keys(subject), user=user).exists():
        raise Forbidden(
            f"{actor.name} may not acknowledge: they were not paged and lack the permission {RESPOND}.",
            extra={"permission": RESPOND},
        )
    return _acknowledge(subject, runs.get(EscalationRun.Track.PAGE), user, via, actor)


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
    done = _acknowledge(subject, runs.get(EscalationRun.Track.PAGE), user, Acknowledgement.Via.LINK, actor)
    Page.objects.filter(pk=page.pk).update(link_used_at=now())
    return done


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


def _keys(subject: Subject) -> dict[str, str]:
    return {"subject_kind": subject.kind, "subject_key": subject.key}


def _acknowledge(
    subject: Subject, run: EscalationRun | None, user: User, via: str, actor: Actor
) -> Acknowledgement | None:
    """With the runs locked: answer the person's own pages, then end the page track unless it has ended."""
    at = now()
    own = list(
        Page.objects.filter(**_keys(subject), user=user, state=Page.State.OPEN)
        .order_by("pk")
        .values_list("pk", flat=True)
    )
    Page.objects.filter(pk__in=own, state=Page.State.OPEN).update(state=Page.State.ACKNOWLEDGED, acknowledged_at=at)
    if run is not None and run.state in {_State.RUNNING, _State.EXHAUSTED}:
        return _end_run(run, user, via, at, actor)
    if own:
        event = PageAnswered(page_ids=own, user_id=user.pk, name=user.name, via=via)
        publish(event, subject=subject, actor=actor)
    if run is None or run.state == _State.STOPPED:
        return None
    return Acknowledgement.objects.filter(escalation=run).order_by("-run").first()


def _end_run(run: EscalationRun, user: User, via: str, at: datetime, actor: Actor) -> Acknowledgement:
    subject = subject_of(run)
    done = Acknowledgement.objects.create(
        subject_kind=subject.kind, subject_key=subject.key, escalation=run, run=run.run, user=user, via=via, at=at
    )
    event = Acknowledged(run=run.run, user_id=user.pk, name=user.name, via=via, at=at.isoformat())
    run.run, run.state, run.next_due_at, run.ended_at = run.run + 1, _State.ACKNOWLEDGED, None, at
    save_runs([run])
    Page.objects.filter(escalation=run, state=Page.State.OPEN).update(state=Page.State.CLOSED)
    publish(event, subject=subject, actor=actor)
    return done
