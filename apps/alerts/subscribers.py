"""Reactions to what happens to incidents: the groups that opened them follow."""

from __future__ import annotations

from apps.alerts.models import AlertGroup
from apps.alerts.operations.calming import release_later
from apps.engine.models import Event
from apps.foundation.clock import now
from apps.incidents.models import Incident


def follow_incident(event: Event) -> None:
    """Close the groups of a resolved incident, and open them again with it. A repeat changes nothing.

    What was held back because of it is looked at again after a while.

    A group whose key has a newer open group stays closed: the newer incident has its alerts.
    """
    incident = Incident.objects.filter(pk=event.payload.get("incident_id")).first()
    if incident is None:
        return
    groups = AlertGroup.objects.filter(incident=incident)
    if not incident.is_open:
        groups.filter(state=AlertGroup.State.OPEN).update(state=AlertGroup.State.CLOSED, closed_at=now())
        release_later([incident])
        return
    for group in groups.filter(state=AlertGroup.State.CLOSED).order_by("-pk"):
        rivals = AlertGroup.objects.filter(
            integration_id=group.integration_id, group_key=group.group_key, state=AlertGroup.State.OPEN
        )
        if not rivals.exists():
            AlertGroup.objects.filter(pk=group.pk).update(state=AlertGroup.State.OPEN, closed_at=None)
