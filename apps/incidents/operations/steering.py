"""Severity and phase: how bad it is, and how far the work has come."""

from __future__ import annotations

from dataclasses import replace

from apps.foundation.actor import Actor
from apps.foundation.checking import checked_text, invalid
from apps.foundation.operations import operation
from apps.incidents.events import PhaseChanged, SeverityChanged
from apps.incidents.metrics import MITIGATED, TRIAGED
from apps.incidents.models import Incident
from apps.incidents.operations import checking
from apps.incidents.operations.changing import Change, changing
from apps.incidents.operations.escalating import escalation_start_again
from apps.incidents.operations.marking import mark_if_known, settle_target_clock, target_clock_stopped
from apps.incidents.permissions import COMMAND, RESPOND
from apps.incidents.policy import lifecycle, severities
from apps.incidents.queries import subject_of
from apps.paging import operations as paging
from apps.paging.conditions import TARGET_MET

# Entering the phase means that the work of the one before is done. Marked only where the pack has the milestone.
_REACHED_BY_ENTERING = {Incident.Phase.MITIGATING: (TRIAGED,), Incident.Phase.VALIDATING: (TRIAGED, MITIGATED)}


@operation
def change_severity(
    incident_id: int,
    severity: str,
    *,
    reason: str = "",
    actor: Actor,
    expected_version: int | None = None,
) -> Incident:
    """Give the incident another severity of its pinned pack and start escalation anew under it.

    What is in flight for the old one is void; an acknowledged page track stays acknowledged. The same severity changes
    nothing. Needs `command_incident`. Raises Invalid, listing the valid ones, for an unknown severity, and Conflict
    when the incident is resolved.
    """
    with changing(incident_id, actor=actor, permission=COMMAND, expected_version=expected_version) as change:
        incident = change.incident
        found = checking.severity(incident.policy_version_id, severity)
        why = checked_text(reason, "reason", most=checking.MAX_REASON, required=False)
        if found.id == incident.severity:
            return incident
        checking.still_open(incident, "change its severity")
        before = incident.severity
        change.set(severity=found.id, severity_rank=found.rank)
        event = SeverityChanged(incident_id=incident.pk, before=before, after=found.id, reason=why)
        text = severity_text(event)
        change.tell(event, "severity", text, before=before, after=found.id)
        restart_escalation(change, reason=text)
    return change.incident


def severity_text(event: SeverityChanged) -> str:
    """The line of the timeline."""
    return f"Severity changed from {event.before} to {event.after}" + (f": {event.reason}" if event.reason else "")


def restart_escalation(change: Change, *, reason: str, forget: bool = False) -> None:
    """Run the pack's path anew for the incident's present severity, or end it where that severity pages nobody.

    `forget` takes back the conditions that were marked.
    """
    incident, subject = change.incident, subject_of(change.incident)
    if severities(incident.policy_version_id).get(incident.severity).paging == "none":
        paging.stop(subject, reason=reason, actor=change.actor)
    else:
        start = escalation_start_again(incident)
        if target_clock_stopped(incident):
            # A step that is due takes place within the restart: it must know by then.
            start = replace(start, conditions=(*start.conditions, TARGET_MET))
        paging.restart(start, forget=forget, reason=reason, actor=change.actor)
        settle_target_clock(change)
    change.tell_of_paging()


@operation
def set_phase(incident_id: int, phase: str, *, actor: Actor, expected_version: int | None = None) -> Incident:
    """Say how far the work has come, forwards or back; the milestones that this implies are marked.

    Needs `respond_incident`. The same phase changes nothing. Raises Invalid for an unknown phase, and for `resolved`,
    which is reached by `resolve`; Conflict when the incident is resolved already.
    """
    with changing(incident_id, actor=actor, permission=RESPOND, expected_version=expected_version) as change:
        incident = change.incident
        if phase == Incident.Phase.RESOLVED:
            raise invalid("phase", "An incident is resolved by resolve, not by its phase.")
        checking.choice(phase, "phase", [item.value for item in Incident.Phase if item != Incident.Phase.RESOLVED])
        checking.still_open(incident, "change its phase")
        if phase == incident.phase:
            return incident
        before = incident.phase
        change.set(phase=phase)
        labels = lifecycle(incident.policy_version_id).labels
        event = PhaseChanged(incident_id=incident.pk, before=before, after=phase)
        change.tell(event, "phase", f"Phase: {labels[phase]}", before=before, after=phase)
        for name in _REACHED_BY_ENTERING.get(Incident.Phase(phase), ()):
            mark_if_known(change, name)
    return change.incident
