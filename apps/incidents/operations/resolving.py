"""The end of an incident, and its return."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from simple_history.utils import bulk_create_with_history, bulk_update_with_history

from apps.engine.events import DomainEvent
from apps.engine.operations import publish_many
from apps.foundation.actor import Actor
from apps.foundation.checking import checked_text
from apps.foundation.clock import now
from apps.foundation.operations import operation
from apps.foundation.subjects import Subject
from apps.incidents.events import Reopened, Resolved
from apps.incidents.metrics import DETECTED, REOPENED, RESOLVED
from apps.incidents.models import Incident, Milestone
from apps.incidents.operations import checking
from apps.incidents.operations.changing import changing
from apps.incidents.operations.marking import mark_milestone
from apps.incidents.operations.recording import entry_by, write_entries
from apps.incidents.operations.signing import history_signature
from apps.incidents.operations.steering import restart_escalation
from apps.incidents.permissions import COMMAND
from apps.incidents.queries import subject_of
from apps.paging import operations as paging


@operation
def resolve(incident_id: int, *, summary: str = "", actor: Actor, expected_version: int | None = None) -> Incident:
    """End the incident: both tracks of paging stop, and the milestone `resolved` is set for this cycle.

    Needs `command_incident`. Roles stay with their holders. A resolved one stays as it is.
    """
    with changing(incident_id, actor=actor, permission=COMMAND, expected_version=expected_version) as change:
        note = checked_text(summary, "summary", most=checking.MAX_POST, required=False)
        if change.incident.is_open:
            text = f"Resolved by {actor.name}" + (f": {note}" if note else "")
            close_many([change.incident], text=text, at=change.at, actor=actor)
    return change.incident


def close_many(incidents: Sequence[Incident], *, text: str, at: datetime, actor: Actor) -> None:
    """Resolve locked open incidents, with a number of queries that does not grow with them."""
    signature = history_signature()
    events: list[tuple[DomainEvent, Subject, Actor]] = [
        (Resolved(incident_id=item.pk, by=actor.name, cycle=item.reopened_count), subject_of(item), actor)
        for item in incidents
    ]
    entries = [
        entry_by(actor, item.pk, "resolved", text, at=at, event_id=event_id)
        for item, event_id in zip(incidents, publish_many(events), strict=True)
    ]
    write_entries({item.pk: item for item in incidents}, entries)
    for item in incidents:
        item.phase, item.resolved_at, item.resolve_proposed_at = Incident.Phase.RESOLVED, at, None
        item.version += 1
    fields = ["phase", "resolved_at", "resolve_proposed_at", "version", "stream_seq"]
    bulk_update_with_history(list(incidents), Incident, fields, batch_size=200, **signature)
    milestones = [
        Milestone(incident=item, name=RESOLVED, at=at, cycle=item.reopened_count, marked_by_id=actor.user_id)
        for item in incidents
    ]
    bulk_create_with_history(milestones, Milestone, batch_size=500, **signature)
    paging.stop_many([subject_of(item) for item in incidents], reason=text[:300], actor=actor)


@operation
def reopen(incident_id: int, *, reason: str = "", actor: Actor, expected_version: int | None = None) -> Incident:
    """Open a resolved incident again: a new cycle of milestones begins and escalation starts from its first level.

    Needs `command_incident`. An open one stays as it is.
    """
    with changing(incident_id, actor=actor, permission=COMMAND, expected_version=expected_version) as change:
        incident = change.incident
        why = checked_text(reason, "reason", most=checking.MAX_REASON, required=False)
        if incident.is_open:
            return incident
        change.set(
            phase=Incident.Phase.DETECTED,
            resolved_at=None,
            resolve_proposed_at=None,
            acknowledged_at=None,
            reopened_count=incident.reopened_count + 1,
        )
        event = Reopened(incident_id=incident.pk, cycle=incident.reopened_count, reason=why)
        text = f"Reopened by {actor.name}" + (f": {why}" if why else "")
        change.tell(event, "reopened", text, cycle=incident.reopened_count)
        mark_milestone(change, REOPENED)
        mark_milestone(change, DETECTED)
        restart_escalation(change, reason=text, forget=True)
    return change.incident


def resolve_by_itself(incidents: Sequence[Incident], *, actor: Actor) -> None:
    """Resolve locked incidents whose alerts are all gone and that nobody commands."""
    if incidents:
        close_many(incidents, text="Resolved by itself: all alerts cleared", at=now(), actor=actor)
