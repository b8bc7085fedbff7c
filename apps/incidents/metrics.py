"""Times that are computed from milestones, never typed in. All are seconds.

The formulas are those of the NovaCron playbook v2 (its "Incident Metrics" and post-mortem "Metadata"): MTTR is the
mean of resolved minus detected, and detection, triage and mitigation times are measured from the same start. A
reopened incident is measured once for each time it was open ("cycle"); the start of a later cycle is its reopening.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from apps.incidents.models import Milestone

DETECTED, DECLARED, ACKNOWLEDGED = "detected", "declared", "acknowledged"
TRIAGED, MITIGATED, RESOLVED, REOPENED = "triaged", "mitigated", "resolved", "reopened"


@dataclass(frozen=True, slots=True)
class Times:
    """The times of one incident in one cycle, in seconds; None while the end isn't reached."""

    to_declare: float | None
    to_acknowledge: float | None
    to_triage: float | None
    to_mitigate: float | None
    to_resolve: float | None


def time_to_declare(milestones: Iterable[Milestone], cycle: int = 0) -> float | None:
    """Seconds from detected to declared (the playbook's "detection time" as far as the portal can know it)."""
    return _seconds(milestones, DECLARED, cycle)


def time_to_acknowledge(milestones: Iterable[Milestone], cycle: int = 0) -> float | None:
    """Seconds from detected to acknowledged; its mean over incidents is the MTTA."""
    return _seconds(milestones, ACKNOWLEDGED, cycle)


def time_to_triage(milestones: Iterable[Milestone], cycle: int = 0) -> float | None:
    """Seconds from detected to triaged."""
    return _seconds(milestones, TRIAGED, cycle)


def time_to_mitigate(milestones: Iterable[Milestone], cycle: int = 0) -> float | None:
    """Seconds from detected to mitigated, that is when the harm to users ended."""
    return _seconds(milestones, MITIGATED, cycle)


def time_to_resolve(milestones: Iterable[Milestone], cycle: int = 0) -> float | None:
    """Seconds from detected to resolved; its mean over incidents is the MTTR."""
    return _seconds(milestones, RESOLVED, cycle)


def times_by_incident(incident_ids: Iterable[int], cycle: int = 0) -> dict[int, Times]:
    """The times of many incidents with one query."""
    by_incident: dict[int, list[Milestone]] = {pk: [] for pk in incident_ids}
    for milestone in Milestone.objects.filter(incident_id__in=list(by_incident), cycle=cycle):
        by_incident[milestone.incident_id].append(milestone)
    return {pk: times(found, cycle) for pk, found in by_incident.items()}


def times(milestones: Iterable[Milestone], cycle: int = 0) -> Times:
    """All times of one incident from its milestones, without a query."""
    known = list(milestones)
    return Times(
        to_declare=time_to_declare(known, cycle),
        to_acknowledge=time_to_acknowledge(known, cycle),
        to_triage=time_to_triage(known, cycle),
        to_mitigate=time_to_mitigate(known, cycle),
        to_resolve=time_to_resolve(known, cycle),
    )


def _seconds(milestones: Iterable[Milestone], end: str, cycle: int) -> float | None:
    """`end` minus the start of the cycle; zero when a corrected start lies after the end."""
    at: dict[str, datetime] = {m.name: m.at for m in milestones if m.cycle == cycle}
    start, stop = at.get(DETECTED) or at.get(REOPENED), at.get(end)
    if start is None or stop is None:
        return None
    return max(0.0, (stop - start).total_seconds())
