"""Severities that alerts raise, of many incidents at once: in a storm every incident gets worse within a second."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from simple_history.utils import bulk_update_with_history

from apps.engine.events import DomainEvent
from apps.engine.operations import publish_many
from apps.foundation.actor import Actor
from apps.foundation.checking import checked_text
from apps.foundation.clock import now
from apps.foundation.errors import Forbidden
from apps.foundation.operations import operation
from apps.foundation.subjects import Subject
from apps.incidents.events import SeverityChanged
from apps.incidents.models import Incident
from apps.incidents.operations import checking
from apps.incidents.operations.escalating import escalation_starts_again
from apps.incidents.operations.marking import target_clocks_stopped
from apps.incidents.operations.recording import NewEntry, entry_by, lock_incidents, write_entries
from apps.incidents.operations.signing import history_signature
from apps.incidents.operations.steering import severity_text
from apps.incidents.operations.telling import paging_entries
from apps.incidents.policy import severities
from apps.incidents.queries import subject_of
from apps.paging import operations as paging
from apps.paging.conditions import TARGET_MET


@dataclass(frozen=True, slots=True)
class Raise:
    """Another severity for one incident, and why."""

    severity: str
    reason: str


@operation
def raise_severities(wanted: Mapping[int, Raise], *, reason: str = "alerts are worse", actor: Actor) -> None:
    """`change_severity` for many incidents, by the portal itself: a constant number of queries.

    Those that are gone, resolved, or have the severity already stay as they are; `reason` signs the history. Raises
    Forbidden for anybody else, Invalid for an unknown severity.
    """
    if not actor.is_system:
        raise Forbidden("Only the portal itself raises severities of many incidents.")
    at, changed = now(), []
    events: list[tuple[DomainEvent, Subject, Actor]] = []
    for pk, incident in lock_incidents(wanted).items():
        found = checking.severity(incident.policy_version_id, wanted[pk].severity)
        if not incident.is_open or found.id == incident.severity:
            continue
        why = checked_text(wanted[pk].reason, "reason", most=checking.MAX_REASON, required=False)
        event = SeverityChanged(incident_id=pk, before=incident.severity, after=found.id, reason=why)
        incident.severity, incident.severity_rank = found.id, found.rank
        changed.append(incident)
        events.append((event, subject_of(incident), actor))
    if not changed:
        return
    entries = [
        _entry(incident, event, event_id, actor)
        for incident, (event, _, _), event_id in zip(changed, events, publish_many(events), strict=True)
    ]
    _escalate_anew(changed, actor)
    entries += paging_entries([incident.pk for incident in changed], since=at)
    write_entries({incident.pk: incident for incident in changed}, entries)
    for incident in changed:
        incident.version += 1
    fields = ["severity", "severity_rank", "stream_seq", "version"]
    bulk_update_with_history(changed, Incident, fields, batch_size=200, **history_signature())


def _entry(incident: Incident, event: DomainEvent, event_id: int, actor: Actor) -> NewEntry:
    assert isinstance(event, SeverityChanged)
    data = {"before": event.before, "after": event.after}
    return entry_by(actor, incident.pk, "severity", severity_text(event), event_id=event_id, data=data)


def _escalate_anew(incidents: list[Incident], actor: Actor) -> None:
    """As `restart_escalation` does for one."""
    calling = [row for row in incidents if severities(row.policy_version_id).get(row.severity).paging != "none"]
    silent = [subject_of(row) for row in incidents if row not in calling]
    if silent:
        paging.stop_many(silent, reason="The severity pages nobody.", actor=actor)
    if not calling:
        return
    stopped = target_clocks_stopped(calling)
    starts = [
        replace(start, conditions=(*start.conditions, TARGET_MET)) if incident.pk in stopped else start
        for incident, start in zip(calling, escalation_starts_again(calling), strict=True)
    ]
    paging.restart_many(starts, reason="alerts are worse", actor=actor)
    paging.settle_targets({subject_of(row): row.pk in stopped for row in calling}, actor=actor)
