"""Somebody took an alert at its source, and PagerDuty's client says so."""

from __future__ import annotations

from collections.abc import Iterable

from apps.alerts.models import Alert, Integration
from apps.foundation.actor import Actor
from apps.incidents.models import Incident
from apps.incidents.operations import acknowledge


def acknowledge_at_source(integration: Integration, dedup_keys: Iterable[str]) -> None:
    """Acknowledge the open incidents of these alerts in the integration's name; those that were already stay so.

    Only alerts that fire and opened or joined their incident by themselves count: one that a dependency holds back
    does not speak for the outage it is attached to.
    """
    alerts = Alert.objects.filter(
        integration=integration, dedup_key__in=list(dedup_keys), state=Alert.State.FIRING, is_suppressed=False
    )
    open_ones = alerts.exclude(group__incident__phase=Incident.Phase.RESOLVED).filter(group__incident__isnull=False)
    actor = Actor.system(integration.name)
    for incident_id in sorted(set(open_ones.values_list("group__incident_id", flat=True))):
        acknowledge(incident_id, via="api", actor=actor)
