"""The portal's alerts about itself: what the engine finds wrong becomes an incident that pages somebody."""

from __future__ import annotations

from django.conf import settings

from apps.alerts.policy import routing
from apps.catalog.models import Team
from apps.engine.models import Event
from apps.foundation.actor import Actor
from apps.foundation.errors import NotFound
from apps.incidents.models import Incident
from apps.incidents.operations import declare, post
from apps.policies.queries import active_version

SOURCE = "portal"


def open_incident(event: Event) -> None:
    """Open an incident for a fault, for the team PORTAL_TEAM, or note it in the one that is open for the same fault.

    Its severity is what the pack gives alerts that name none. Before a pack is there nothing can be opened; the fault
    stays in the log and in the event.
    """
    actor = Actor.system("portal self-check")
    title = f"The portal itself: {event.payload['title']}"[:300]
    team = Team.objects.filter(slug=settings.PORTAL_TEAM).first() if settings.PORTAL_TEAM else None
    known = Incident.objects.filter(source=SOURCE, title=title).exclude(phase=Incident.Phase.RESOLVED).first()
    if known is not None:
        post(known.pk, event.payload["detail"] or title, client_key=f"fault-{event.pk}", actor=actor)
        return
    try:
        version = active_version(team=team)
    except NotFound:
        return
    declare(
        title,
        routing(version.pk).default_severity,
        summary=event.payload["detail"],
        team_id=team.pk if team else None,
        source=SOURCE,
        actor=actor,
    )
