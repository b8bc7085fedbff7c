"""Experiments that do harm, or that can't be trusted: the portal raises the alarm with the team of the flag."""

from __future__ import annotations

from apps.alerts.policy import routing
from apps.engine.models import Event
from apps.flags.models import Flag
from apps.foundation.actor import Actor
from apps.foundation.errors import NotFound
from apps.incidents.models import Incident
from apps.incidents.operations import declare, post
from apps.policies.queries import active_version

KINDS = ("flags.guardrail_breached", "flags.sample_ratio_mismatch")
SOURCE = "experiment"


def open_incident(event: Event) -> None:
    """Open an incident for the team and the services of the flag, or note it in the open one of the same experiment.

    Its severity is what the pack gives alerts that name none. Before a pack is there nothing can be opened; the page of
    the experiment says it all the same.
    """
    flag = Flag.objects.filter(pk=event.payload["flag_id"]).select_related("owner").first()
    if flag is None:
        return
    actor = Actor.system("experiments")
    title = f"The experiment {event.payload['experiment']} needs a decision"[:300]
    known = Incident.objects.filter(source=SOURCE, title=title).exclude(phase=Incident.Phase.RESOLVED).first()
    if known is not None:
        post(known.pk, _sentence(event), client_key=f"experiment-{event.pk}", actor=actor)
        return
    try:
        version = active_version(team=flag.owner)
    except NotFound:
        return
    declare(
        title,
        routing(version.pk).default_severity,
        summary=_sentence(event),
        team_id=flag.owner_id,
        service_ids=list(flag.services.order_by("pk").values_list("pk", flat=True)),
        environment_id=flag.environment_id,
        source=SOURCE,
        actor=actor,
    )


def _sentence(event: Event) -> str:
    """What was found, and what was done about it."""
    found, done = event.payload["reason"], event.payload.get("response", "")
    return f"{found}. Variant {event.payload['variant']}: {done}." if done else f"{found}."
