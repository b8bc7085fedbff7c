"""Opening the review of an incident by hand, where no policy opens one."""

from __future__ import annotations

from django.http import Http404, HttpRequest

from apps.incidents.models import Incident
from apps.incidents.queries import visible_to
from apps.postmortems import operations
from apps.postmortems.admin.forms import Verb

OPEN_VERB = Verb(
    "Open a review?",
    "Open the review",
    lambda sent: operations.open_review(sent.incident_id, actor=sent.actor),
    "Opened: figures and timeline are filled in.",
    text="Its policy asks for none, so it is voluntary. Figures and timeline are filled in by the portal; people write "
    "what was learnt.",
)


def find_incident(incident_id: int, request: HttpRequest) -> Incident:
    """The incident, or 404: for what does not exist and for what the person of `request` may not see alike."""
    found = visible_to(request.user).filter(pk=incident_id).first()
    if found is None:
        raise Http404("There is no such incident, or you may not see it.")
    return found
