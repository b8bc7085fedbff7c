"""Somebody took notice: the page track ends, and the clock to the first answer stops."""

from __future__ import annotations

from datetime import datetime

from apps.foundation.actor import Actor
from apps.foundation.errors import Forbidden, NotFound
from apps.foundation.operations import operation
from apps.incidents.events import Acknowledged
from apps.incidents.metrics import ACKNOWLEDGED
from apps.incidents.models import Incident
from apps.incidents.operations import checking
from apps.incidents.operations.changing import Change, changing
from apps.incidents.operations.escalating import was_answered
from apps.incidents.operations.marking import mark_milestone
from apps.incidents.permissions import RESPOND, VIEW, user_may
from apps.incidents.queries import SUBJECT_KIND, subject_of
from apps.paging import operations as paging
from apps.paging.models import Acknowledgement, Page
from apps.people.models import User
from apps.people.operations import portal_user


@operation
def acknowledge(
    incident_id: int,
    *,
    via: str | None = None,
    actor: Actor,
    expected_version: int | None = None,
) -> Incident:
    """Say that somebody looks at it: paging stops, and the milestone `acknowledged` is set.

    For holders of `respond_incident`, for whoever was paged, and for the portal when a source of alerts says that
    somebody there took it. The first answer of each cycle is the milestone; a repeat changes nothing. Raises Conflict
    when the incident is resolved.
    """
    with changing(incident_id, actor=actor, permission=VIEW, expected_version=expected_version) as change:
        _require_respond_or_page(change)
        checking.still_open(change.incident, "acknowledge it")
        acknowledge_within(change, via=via)
    return change.incident


def acknowledge_within(change: Change, *, via: str | None = None) -> None:
    """Acknowledge as part of another verb on the same incident, through the edge that the actor came by."""
    if via is None:
        via = change.actor.via if change.actor.via in Acknowledgement.Via.values else Acknowledgement.Via.WEB
    user_id = portal_user().pk if change.actor.is_system else change.actor.user_id
    if user_id is None:
        raise Forbidden("Only a person, or a program with an account, acknowledges.")
    done = paging.acknowledge(subject_of(change.incident), via=via, actor=change.actor)
    change.tell_of_paging()
    if done is not None and not done.completes:
        return  # more people must answer before it counts
    if done is not None:
        # Somebody may have been faster by the link in a page, which tells the incident a moment later.
        first = _first_answer(change, via=done.via, user_id=done.user_id, at=done.at)
        if first is not None:
            change.publish(first)
        return
    first = _first_answer(change, via=via, user_id=user_id, at=change.at)
    if first is not None:
        # Nobody was being paged, so paging has nothing to tell.
        text = f"Acknowledged by {change.actor.name}"
        change.tell(first, "acknowledged", text, user_id=user_id, via=via)


def _first_answer(change: Change, *, via: str, user_id: int | None, at: datetime) -> Acknowledged | None:
    """Set the state and the milestone when nobody had answered in this cycle; the event to publish, else None.

    Where an answer was taken back, the first one stays the milestone: metrics count from it.
    """
    if change.incident.acknowledged_at is not None:
        return None
    change.set(acknowledged_at=at)
    if was_answered(change.incident):
        return None
    mark_milestone(change, ACKNOWLEDGED, at=at)
    return Acknowledged(incident_id=change.incident.pk, user_id=user_id, via=via)


@operation
def note_acknowledgement(incident_id: int, *, user_id: int | None, via: str, at: datetime, actor: Actor) -> None:
    """Take over what paging was told directly (the link in a page): state and milestone, once for each cycle.

    The line on the timeline comes from paging's own event. A repeat, or an incident that is gone, resolved, or was
    reopened since, changes nothing.
    """
    if not Incident.objects.filter(pk=incident_id, acknowledged_at__isnull=True).exists():
        return
    person = User.objects.filter(pk=user_id).first() if user_id is not None else None
    signed = Actor(kind="link", name=person.name if person else actor.name, user_id=user_id, via=via)
    try:
        with changing(incident_id, actor=actor, permission=VIEW) as change:
            reopened = change.incident.milestones.filter(cycle=change.incident.reopened_count, name="reopened").first()
            if not change.incident.is_open or (reopened is not None and reopened.at > at):
                return
            change.actor = signed
            first = _first_answer(change, via=via, user_id=user_id, at=at)
            if first is not None:
                change.publish(first)
    except NotFound:
        return


def _require_respond_or_page(change: Change) -> None:
    if change.actor.is_system:
        return
    user = change.user
    if user is None or user_may(user, RESPOND, change.incident):
        return
    pages = Page.objects.filter(subject_kind=SUBJECT_KIND, subject_key=str(change.incident.pk), user=user)
    if not pages.exists():
        raise Forbidden(
            f"{change.actor.name} may not respond to incidents: it needs the permission {RESPOND}.",
            extra={"permission": RESPOND},
        )
