"""How an incident escalates: conditions, snooze, an answer taken back, and what paging is told at the start."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta

from apps.foundation.actor import Actor
from apps.foundation.checking import checked_text
from apps.foundation.errors import NotFound
from apps.foundation.operations import operation
from apps.incidents.models import Incident, Milestone
from apps.incidents.operations import checking
from apps.incidents.operations.changing import changing
from apps.incidents.permissions import RESPOND, VIEW
from apps.incidents.queries import subject_of
from apps.incidents.service_levels import clocks_for
from apps.paging import operations as paging
from apps.paging.conditions import SEVERAL_SERVICES


def escalation_start(
    incident: Incident, services: Iterable[tuple[int, int]], *, since: datetime | None = None
) -> paging.EscalationStart:
    """What paging needs to know of an incident. `services` are ids with their owners'; clocks run from `since`, the
    detection unless the incident was opened again."""
    affected = list(services)
    clocks = clocks_for(incident)
    begun = since or incident.detected_at

    def ends_at(seconds: int | None) -> datetime | None:
        return None if seconds is None else begun + timedelta(seconds=seconds)

    return paging.EscalationStart(
        subject=subject_of(incident),
        team_id=incident.team_id,
        policy_version_id=incident.policy_version_id,
        severity=incident.severity,
        title=f"{incident.number} {incident.title}"[:300],
        detected_at=incident.detected_at,
        response_at=ends_at(clocks.response_seconds),
        target_at=ends_at(clocks.target_seconds),
        service_ids=tuple(service_id for service_id, _ in affected),
        owner_team_ids=tuple(dict.fromkeys(owner_id for _, owner_id in affected)),
        conditions=(SEVERAL_SERVICES,) if len(affected) > 1 else (),
    )


def escalation_start_again(incident: Incident) -> paging.EscalationStart:
    """The same of an incident that is there: two queries."""
    return escalation_starts_again([incident])[0]


def escalation_starts_again(incidents: Sequence[Incident]) -> list[paging.EscalationStart]:
    """The same of several incidents, in their order, with two queries too."""
    ids = [incident.pk for incident in incidents]
    reopened = Milestone.objects.filter(incident__in=ids, name="reopened").order_by("pk")
    since = {(pk, cycle): at for pk, cycle, at in reopened.values_list("incident_id", "cycle", "at")}
    services: dict[int, list[tuple[int, int]]] = {}
    affected = Incident.services.through.objects.filter(incident__in=ids).order_by("service_id")
    for pk, service_id, owner_id in affected.values_list("incident_id", "service_id", "service__owner_id"):
        services.setdefault(pk, []).append((service_id, owner_id))
    return [
        escalation_start(row, services.get(row.pk, ()), since=since.get((row.pk, row.reopened_count)))
        for row in incidents
    ]


@operation
def mark_condition(
    incident_id: int,
    condition: str,
    *,
    amount: int | None = None,
    note: str = "",
    actor: Actor,
    expected_version: int | None = None,
) -> Incident:
    """Say that something holds which the pack may escalate on: security, data loss, revenue lost, several services.

    Its triggers call their levels, at once or after their delays. Marking it again changes nothing, unless with another
    amount. Needs `respond_incident`. Raises Conflict when the incident is resolved, Invalid for an unknown condition or
    a wrong amount.
    """
    with changing(incident_id, actor=actor, permission=RESPOND, expected_version=expected_version) as change:
        text = checked_text(note, "note", most=checking.MAX_REASON, required=False)
        checking.still_open(change.incident, "escalate on something")
        paging.mark_condition(subject_of(change.incident), condition, amount=amount, note=text, actor=actor)
        change.tell_of_paging()
    return change.incident


@operation
def clear_condition(incident_id: int, condition: str, *, actor: Actor, expected_version: int | None = None) -> Incident:
    """Take a condition back. Who was called because of it stays called. Needs `respond_incident`."""
    with changing(incident_id, actor=actor, permission=RESPOND, expected_version=expected_version) as change:
        paging.clear_condition(subject_of(change.incident), condition, actor=actor)
        change.tell_of_paging()
    return change.incident


@operation
def snooze(
    incident_id: int,
    *,
    until: datetime | str,
    reason: str = "",
    actor: Actor,
    expected_version: int | None = None,
) -> Incident:
    """Call nobody until an instant, or until `working_hours` of the acting person. Then escalation begins anew.

    Needs `respond_incident`. Raises Conflict when it is resolved, Invalid for an instant that is past or too far.
    """
    with changing(incident_id, actor=actor, permission=RESPOND, expected_version=expected_version) as change:
        why = checked_text(reason, "reason", most=checking.MAX_REASON, required=False)
        checking.still_open(change.incident, "snooze it")
        paging.snooze(subject_of(change.incident), until=until, reason=why, actor=actor)
        change.tell_of_paging()
    return change.incident


@operation
def unsnooze(incident_id: int, *, actor: Actor, expected_version: int | None = None) -> Incident:
    """End a snooze, or what maintenance holds back, now; else it changes nothing. Needs `respond_incident`."""
    with changing(incident_id, actor=actor, permission=RESPOND, expected_version=expected_version) as change:
        paging.unsnooze(subject_of(change.incident), actor=actor)
        change.tell_of_paging()
    return change.incident


@operation
def unacknowledge(incident_id: int, *, reason: str = "", actor: Actor, expected_version: int | None = None) -> Incident:
    """Take the answer back: people are paged from the first level on. The first answer stays what metrics count.

    Needs `respond_incident`. Where nobody had answered it changes nothing. Raises Conflict when it is resolved.
    """
    with changing(incident_id, actor=actor, permission=RESPOND, expected_version=expected_version) as change:
        why = checked_text(reason, "reason", most=checking.MAX_REASON, required=False)
        checking.still_open(change.incident, "take its answer back")
        if change.incident.acknowledged_at is not None:
            change.set(acknowledged_at=None)
        paging.unacknowledge(subject_of(change.incident), reason=why, actor=actor)
        change.tell_of_paging()
    return change.incident


@operation
def note_unacknowledged(incident_id: int, *, run_began_at: datetime, actor: Actor) -> None:
    """Take over that paging came back by itself: nobody answers for the incident now, unless somebody did since.

    A repeat, or an incident that is gone or resolved, changes nothing.
    """
    answered = Incident.objects.filter(pk=incident_id, acknowledged_at__lte=run_began_at)
    if not answered.exclude(phase=Incident.Phase.RESOLVED).exists():
        return
    try:
        with changing(incident_id, actor=actor, permission=VIEW) as change:
            at = change.incident.acknowledged_at
            if at is not None and at <= run_began_at and change.incident.is_open:
                change.set(acknowledged_at=None)
    except NotFound:
        return


def was_answered(incident: Incident) -> bool:
    """Whether somebody answered before in this cycle, though the answer may have been taken back."""
    return Milestone.objects.filter(incident=incident, name="acknowledged", cycle=incident.reopened_count).exists()
