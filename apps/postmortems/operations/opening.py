"""How a review comes to be."""

from __future__ import annotations

from datetime import datetime, timedelta

from apps.engine.operations import publish
from apps.foundation.actor import Actor
from apps.foundation.clock import now
from apps.foundation.errors import Conflict
from apps.foundation.operations import operation
from apps.incidents.metrics import RESOLVED
from apps.incidents.models import Incident
from apps.incidents.operations.recording import lock_incidents
from apps.incidents.policy import roles
from apps.incidents.queries import subject_of
from apps.people.models import User
from apps.people.permissions import require
from apps.postmortems.events import Opened
from apps.postmortems.models import Review, Section
from apps.postmortems.operations import checking
from apps.postmortems.permissions import WRITE, seeing
from apps.postmortems.policy import ReviewRules, rules, template_version, why_required
from apps.postmortems.scheduling import schedule_review
from apps.postmortems.texts import tell_of_review


@operation
def open_review(incident_id: int, *, actor: Actor) -> Review:
    """Open the review of a resolved incident: its sections stand there empty, its figures and timeline filled in.

    Needs `write_review`. Its owner is who commands the incident, else the person who resolved it, else nobody yet. It
    is due as the pack says, counted from the resolution, or from now where that has passed already. An incident has one
    review: a repeat returns it, also when the incident was reopened since. Raises NotFound, Forbidden, and Conflict
    while the incident is open or where neither its pack nor the default one has a template.
    """
    incident = lock_incidents([incident_id]).get(incident_id)
    if incident is None:
        raise checking.gone("incident")
    if seeing(actor, incident.pk, "incident") is not None:
        require(actor, WRITE)
    found = Review.objects.filter(incident=incident).first()
    if found is not None:
        return found
    if incident.resolved_at is None:
        raise Conflict(f"{incident.number} is still open: resolve it first.", code="incident_open")
    version_id = template_version(incident)
    template = rules(version_id) if version_id else None
    if version_id is None or template is None:
        raise Conflict("No pack has a template for reviews.", code="no_review_template")
    review = _create(incident, incident.resolved_at, version_id, template)
    schedule_review(review, template)
    event = Opened(
        review_id=review.pk,
        title=review.title,
        owner_id=review.owner_id,
        owner=review.owner.name if review.owner else "",
        due_at=review.due_at.isoformat() if review.due_at else "",
        required_because=review.required_because,
    )
    publish(event, subject=subject_of(incident), actor=actor)
    if review.owner_id != actor.user_id:
        tell_of_review(review, review.owner, "opened", actor=actor)
    return review


def _create(incident: Incident, resolved_at: datetime, version_id: int, template: ReviewRules) -> Review:
    at = now()
    due_at = template.due_at(resolved_at)
    review = Review.objects.create(
        incident=incident,
        policy_version_id=version_id,
        title=incident.title,
        required_because=why_required(incident),
        owner=_owner(incident),
        opened_at=at,
        due_at=due_at if due_at > at else at + timedelta(seconds=template.due_seconds),
    )
    for position, part in template.written_parts:
        Section.objects.create(
            review=review,
            slug=part.slug,
            title=part.title,
            hint=part.hint,
            required=part.required,
            position=position,
        )
    return review


def _owner(incident: Incident) -> User | None:
    """Who commands, else the person who resolved it in the present cycle."""
    commander = roles(incident.policy_version_id).commander.slug
    held = incident.roles.filter(role=commander, until__isnull=True).select_related("user").first()
    ended = incident.milestones.filter(name=RESOLVED, cycle=incident.reopened_count).select_related("marked_by").first()
    for user in (held.user if held else None, ended.marked_by if ended else None):
        if user is not None and user.is_active and user.kind == User.Kind.PERSON:
            return user
    return None
