"""Milestones: instants that metrics are computed from."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from apps.foundation.actor import Actor
from apps.foundation.checking import invalid
from apps.foundation.operations import operation
from apps.incidents.events import MilestoneMarked
from apps.incidents.metrics import ACKNOWLEDGED, DECLARED, DETECTED, RESOLVED
from apps.incidents.models import Incident, Milestone
from apps.incidents.operations import checking
from apps.incidents.operations.changing import Change, changing
from apps.incidents.permissions import RESPOND
from apps.incidents.policy import lifecycle
from apps.incidents.queries import subject_of
from apps.incidents.service_levels import clocks_for
from apps.paging.models import EscalationRun
from apps.paging.operations import settle_target, stop
from apps.paging.policy import escalation

# These are marked by their own verbs, at the instant at which these run.
_MARKED_BY_VERBS = {DECLARED: "declare", ACKNOWLEDGED: "acknowledge", RESOLVED: "resolve"}
# Clocks of other machines may run a little ahead of ours.
_CLOCK_TOLERANCE = timedelta(minutes=1)


def milestones_to_mark(incident: Incident) -> dict[str, str]:
    """The milestones that people may mark under the incident's pinned pack: slug -> label."""
    known = lifecycle(incident.policy_version_id)
    return {slug: known.milestone_label(slug) for slug in known.milestone_slugs if slug not in _MARKED_BY_VERBS}


@operation
def mark(
    incident_id: int,
    milestone: str,
    *,
    at: datetime | None = None,
    actor: Actor,
    expected_version: int | None = None,
) -> Milestone:
    """Mark that a milestone of the incident's pack was reached, now or `at` an earlier instant.

    Needs `respond_incident`. Marking it again changes nothing; with another `at` it corrects the instant. When the
    pack escalates until this milestone, the management track stops. Raises Invalid for an unknown milestone, one that
    has its own verb, or a future instant.
    """
    with changing(incident_id, actor=actor, permission=RESPOND, expected_version=expected_version) as change:
        if verb := _MARKED_BY_VERBS.get(milestone):
            raise invalid("milestone", f"{milestone.capitalize()} can't be marked by hand: use {verb}.")
        known = milestones_to_mark(change.incident)
        checking.choice(milestone, "milestone", known)
        if at is not None and at > change.at + _CLOCK_TOLERANCE:
            raise invalid("at", "A milestone lies in the past: this instant is still to come.")
        return mark_milestone(change, milestone, at=at, label=known[milestone])


def mark_milestone(change: Change, name: str, *, at: datetime | None = None, label: str = "") -> Milestone:
    """Set a milestone of the current cycle within a change; with a `label`, also a line on the timeline."""
    incident = change.incident
    row = Milestone.objects.filter(incident=incident, name=name, cycle=incident.reopened_count).first()
    if row is not None and (at is None or row.at == at):
        return row
    before = row.at if row else None
    if row is None:
        row = Milestone(incident=incident, name=name, cycle=incident.reopened_count)
    row.at = at or change.at
    row.marked_by_id = change.actor.user_id
    row.save()
    change.touch(f"milestone {name}")
    if name == DETECTED and incident.reopened_count == 0:
        change.set(detected_at=row.at)
    if label:
        event = MilestoneMarked(incident_id=incident.pk, name=name, at=row.at.isoformat(), cycle=row.cycle)
        text = f"{label}, at {row.at:%H:%M:%S} UTC" if at or before else label
        change.tell(event, "milestone", f"{text} (corrected)" if before else text, name=name, at=row.at.isoformat())
    _stop_at_milestone(change, name)
    return row


def mark_if_known(change: Change, name: str) -> None:
    """Mark a milestone that a phase implies, where the pack has it and nobody marked it before."""
    if name in milestones_to_mark(change.incident):
        mark_milestone(change, name)


def _stop_at_milestone(change: Change, name: str) -> None:
    """Escalation of the management track ends at the milestone that the pack names, and so does the target's clock."""
    if name == clocks_for(change.incident).stop:
        settle_target(subject_of(change.incident), met=True, actor=change.actor)
    if name == escalation(change.incident.policy_version_id).until and name not in _MARKED_BY_VERBS:
        stop(
            subject_of(change.incident),
            tracks=[EscalationRun.Track.MANAGEMENT],
            reason=f"{name} was reached",
            actor=change.actor,
        )


def settle_target_clock(change: Change) -> None:
    """Let paging know whether the milestone is reached at which the target's clock stops now: which one that is, or
    the severity that says so, has changed."""
    settle_target(subject_of(change.incident), met=target_clock_stopped(change.incident), actor=change.actor)


def target_clock_stopped(incident: Incident) -> bool:
    """Whether the milestone at which the clock of the target stops is reached in this cycle. One query at most."""
    return bool(target_clocks_stopped([incident]))


def target_clocks_stopped(incidents: Sequence[Incident]) -> set[int]:
    """Which of the incidents have reached it. One query at most."""
    names = {row.pk: name for row in incidents if (name := clocks_for(row).stop) != RESOLVED}
    if not names:
        return set()
    cycles = {row.pk: row.reopened_count for row in incidents}
    rows = Milestone.objects.filter(incident__in=list(names), name__in=set(names.values()))
    found = rows.values_list("incident_id", "name", "cycle")
    return {pk for pk, name, cycle in found if names[pk] == name and cycles[pk] == cycle}
