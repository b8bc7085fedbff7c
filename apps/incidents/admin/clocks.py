"""The clocks of an incident: how long it has been going on, and what is left of the pack's limits."""

from __future__ import annotations

from datetime import datetime, timedelta

from apps.incidents.admin.showing import Clock, clock_text, span_text
from apps.incidents.models import Incident
from apps.incidents.policy import severities


def since_clock(incident: Incident, at: datetime) -> Clock:
    """How long it has been going on; standing still once it is resolved."""
    start = incident.detected_at.isoformat()
    if incident.resolved_at is not None:
        return Clock("Lasted", clock_text((incident.resolved_at - incident.detected_at).total_seconds()))
    return Clock("Since detection", clock_text((at - incident.detected_at).total_seconds()), "up", start)


def target_clock(incident: Incident, at: datetime) -> Clock | None:
    """What is left of the pack's time to resolve; None where it sets none or the incident is over."""
    found = severities(incident.policy_version_id).find(incident.severity)
    seconds = found.clocks.target_seconds if found else None
    if seconds is None or incident.resolved_at is not None:
        return None
    end = incident.detected_at + timedelta(seconds=seconds)
    left = (end - at).total_seconds()
    name = f"Left of {span_text(seconds)}" if left > 0 else f"Over {span_text(seconds)}"
    return Clock(name, clock_text(left), "down", end.isoformat(), "" if left > 0 else "danger")


def clocks_of(incident: Incident, at: datetime) -> tuple[Clock, ...]:
    """Since detection, the time to answer while nobody has, and what is left of the time to resolve."""
    answer = None
    found = severities(incident.policy_version_id).find(incident.severity)
    seconds = found.clocks.response_seconds if found else None
    if seconds is not None and incident.is_open and incident.acknowledged_at is None:
        end = incident.detected_at + timedelta(seconds=seconds)
        left = (end - at).total_seconds()
        tone = "danger" if left <= 0 else "warn"
        name = "Left to answer" if left > 0 else "Answer overdue by"
        answer = Clock(name, clock_text(left), "down", end.isoformat(), tone)  # type: ignore[arg-type]  # both are tones
    elif incident.acknowledged_at is not None:
        waited = (incident.acknowledged_at - incident.detected_at).total_seconds()
        answer = Clock("First answer after", clock_text(waited), "still")
    return tuple(clock for clock in (since_clock(incident, at), answer, target_clock(incident, at)) if clock)
