"""The clocks of an incident: how long it has been going on, and what is left of the pack's limits."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta

from apps.incidents.admin.showing import Clock, clock_text, span_text
from apps.incidents.models import Incident, Milestone
from apps.incidents.policy import RESOLVED
from apps.incidents.queries import cycle_starts
from apps.incidents.service_levels import clocks_for


def since_clock(incident: Incident, at: datetime) -> Clock:
    """How long it has been going on; standing still once it is resolved."""
    start = incident.detected_at.isoformat()
    if incident.resolved_at is not None:
        return Clock("Lasted", clock_text((incident.resolved_at - incident.detected_at).total_seconds()))
    return Clock("Since detection", clock_text((at - incident.detected_at).total_seconds()), "up", start)


def stops_reached(incidents: Iterable[Incident]) -> dict[int, datetime]:
    """When target clocks stopped at a milestone that their packs name instead of the resolution; one query at most."""
    by_id = {incident.pk: incident for incident in incidents}
    stops = {pk: clocks_for(each).stop for pk, each in by_id.items()}
    wanted = {pk: stop for pk, stop in stops.items() if stop != RESOLVED}
    if not wanted:
        return {}
    rows = Milestone.objects.filter(incident_id__in=wanted, name__in=set(wanted.values()))
    return {
        row.incident_id: row.at
        for row in rows
        if row.name == wanted[row.incident_id] and row.cycle == by_id[row.incident_id].reopened_count
    }


def target_clock(incident: Incident, begun: datetime, at: datetime, stopped_at: datetime | None = None) -> Clock | None:
    """What is left of the pack's target since the present cycle began, or whether it was met when it stopped.

    None without a target or after the end.
    """
    clocks = clocks_for(incident)
    seconds = clocks.target_seconds
    if seconds is None or incident.resolved_at is not None:
        return None
    if stopped_at is not None:
        took = (stopped_at - begun).total_seconds()
        met = clocks.target_met(took)
        name = f"{'Met' if met else 'Missed'} {span_text(seconds)}"
        return Clock(name, clock_text(took), "still", "", "" if met else "danger")
    end = begun + timedelta(seconds=seconds)
    left = (end - at).total_seconds()
    name = f"Left of {span_text(seconds)}" if left > 0 else f"Over {span_text(seconds)}"
    return Clock(name, clock_text(left), "down", end.isoformat(), "" if left > 0 else "danger")


def clocks_of(incident: Incident, at: datetime) -> tuple[Clock, ...]:
    """Since detection, the time to answer while nobody has, and what is left of the time to resolve."""
    answer, begun = None, cycle_starts([incident])[incident.pk]
    seconds = clocks_for(incident).response_seconds
    if seconds is not None and incident.is_open and incident.acknowledged_at is None:
        end = begun + timedelta(seconds=seconds)
        left = (end - at).total_seconds()
        tone = "danger" if left <= 0 else "warn"
        name = "Left to answer" if left > 0 else "Answer overdue by"
        answer = Clock(name, clock_text(left), "down", end.isoformat(), tone)  # type: ignore[arg-type]  # both are tones
    elif incident.acknowledged_at is not None:
        waited = (incident.acknowledged_at - begun).total_seconds()
        answer = Clock("First answer after", clock_text(waited), "still")
    target = target_clock(incident, begun, at, stops_reached([incident]).get(incident.pk))
    return tuple(clock for clock in (since_clock(incident, at), answer, target) if clock)
