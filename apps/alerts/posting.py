"""A new incident is told where its pack says: to the channels, services and lists of its domain, by severity."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence

from django.conf import settings

from apps.alerts.models import Alert
from apps.alerts.policy import routing
from apps.engine.models import Event
from apps.foundation.subjects import Subject, subject_url
from apps.incidents.models import Incident
from apps.incidents.queries import SUBJECT_KIND
from apps.messaging.posts import Post, post

logger = logging.getLogger(__name__)

SUBSCRIBER = "alerts.posting"
KINDS = ["incidents.declared"]


def tell_places(events: Sequence[Event]) -> None:
    """Post each new incident to the places of its domain, once. Private incidents are told nowhere, nor is what is
    over by now: nobody would close it again where it opens something.

    The domain is that of the alert that opened it; without one, the pack's default. A repeat changes nothing.
    """
    ids = [int(event.subject_key) for event in events if event.subject_kind == SUBJECT_KIND]
    incidents = Incident.objects.filter(pk__in=ids, visibility=Incident.Visibility.OPEN, resolved_at__isnull=True)
    labels = labels_of(ids)
    for incident in incidents.order_by("pk"):
        found = routing(incident.policy_version_id)
        domain = found.route(labels.get(incident.pk, {})).domain
        places = [(place.channel, place.name) for place in found.destinations(incident.severity, domain)]
        if places and (unknown := post(_post(incident), places)):
            logger.warning("Incident %s: nobody set up the destinations %s.", incident.number, ", ".join(unknown))


def labels_of(incident_ids: Sequence[int]) -> dict[int, Mapping[str, str]]:
    """The labels of each incident's first alert."""
    rows = Alert.objects.filter(group__incident_id__in=incident_ids).order_by("-pk")
    return dict(rows.values_list("group__incident_id", "labels"))


def _post(incident: Incident) -> Post:
    subject = Subject(SUBJECT_KIND, str(incident.pk))
    url = f"{settings.PUBLIC_URL}{subject_url(subject)}"
    title = f"[{incident.severity}] {incident.title}"[:300]
    return Post(f"declared:{incident.pk}", subject, title, f"{incident.number} was declared.\n\n{url}", url)
