"""A kill of a flag or of a variant is told where the pack says: to the channels of its domain, however it came."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from django.conf import settings

from apps.alerts.policy import routing
from apps.alerts.posting import labels_of
from apps.engine.models import Event
from apps.flags.models import Flag
from apps.foundation.errors import NotFound
from apps.foundation.subjects import Subject, subject_url
from apps.incidents.models import Incident
from apps.incidents.queries import SUBJECT_KIND as INCIDENT
from apps.messaging.posts import Post, post
from apps.policies.queries import active_version

logger = logging.getLogger(__name__)

SUBSCRIBER = "alerts.kills"
KINDS = ["flags.killed", "flags.variant_killed"]


def tell_kills(events: Sequence[Event]) -> None:
    """Post each kill to Slack and Discord, and as a change to PagerDuty, once. A repeat changes nothing.

    The domain is that of the incident it is about, else that of the flag's first service or the pack's default. Why it
    was killed is told only where that is about nothing, or about an incident that everybody may see. Without a pack
    nobody is told; the pages say it all the same.
    """
    flags = {row.pk: row for row in _flags([event.payload["flag_id"] for event in events])}
    for event in events:
        flag = flags.get(event.payload["flag_id"])
        if flag is not None:
            _tell(event, flag)


def _flags(ids: Sequence[int]) -> list[Flag]:
    rows = Flag.objects.filter(pk__in=ids).select_related("owner", "environment")
    return list(rows.prefetch_related("services"))


def _tell(event: Event, flag: Flag) -> None:
    incident = _open_incident(event)
    try:
        version_id = incident.policy_version_id if incident is not None else active_version(team=flag.owner).pk
    except NotFound:
        return
    found = routing(version_id)
    labels = dict(labels_of([incident.pk]).get(incident.pk, {})) if incident is not None else {}
    slugs = sorted(service.slug for service in flag.services.all())
    if not labels and slugs:
        labels = dict.fromkeys(found.service_labels, slugs[0])
    places = [(place.channel, place.name) for place in found.readers(found.route(labels).domain)]
    if places and (unknown := post(_post(event, flag, incident), places)):
        logger.warning("Kill %s: nobody set up the destinations %s.", event.pk, ", ".join(unknown))


def _open_incident(event: Event) -> Incident | None:
    """The incident that it is about, if everybody may see that."""
    kind, key = event.payload.get("about_kind", ""), str(event.payload.get("about_key", ""))
    if kind != INCIDENT or not key.isdecimal():
        return None
    return Incident.objects.filter(pk=int(key), visibility=Incident.Visibility.OPEN).first()


def _post(event: Event, flag: Flag, incident: Incident | None) -> Post:
    told, subject = event.payload, Subject(event.subject_kind, event.subject_key)
    what, lines = f"The flag {flag.key}", [f"It answers its `off` variant in {flag.environment.name}."]
    if event.kind == "flags.variant_killed":
        what = f"Variant {told['variant']} of {told['title']}"
        shares = ", ".join(f"{name} {percent:g} %" for name, percent in told["shares"].items())
        moved = f"{told['moved']:,} enrolled went to {told['moved_to'] or 'the others'}"
        lines = [f"{moved}; newcomers in {flag.environment.name} get {shares}."]
    lines[0] += f" By {event.actor.get('name') or 'the portal'}."
    if incident is not None:
        lines.append(f"For {incident.number}: {incident.title}")
    if told["reason"] and (incident is not None or not told["about_kind"]):
        lines.append(f"Why: {told['reason']}")
    url = f"{settings.PUBLIC_URL}{subject_url(subject)}"
    body = "\n\n".join([*lines, url])
    return Post(f"kill:{event.pk}", subject, f"{what} was killed"[:300], body, url, opens=False)
