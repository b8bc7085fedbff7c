"""What people write."""

from __future__ import annotations

from apps.foundation.actor import Actor
from apps.foundation.checking import checked_text
from apps.foundation.operations import operation
from apps.incidents.events import Posted
from apps.incidents.models import TimelineEntry
from apps.incidents.operations import checking
from apps.incidents.operations.changing import changing
from apps.incidents.permissions import RESPOND

POST = "post"
_MAX_KEY = 64


@operation
def post(incident_id: int, text: str, *, client_key: str = "", actor: Actor) -> TimelineEntry:
    """Put a note on the timeline, as Markdown; it may also be written after the incident is resolved.

    Needs `respond_incident`. A repeat with the same `client_key` by the same author returns the first note; without
    a key each call writes another one. The incident's version stays. Raises Invalid for an empty or too long text.
    """
    with changing(incident_id, actor=actor, permission=RESPOND) as change:
        body = checked_text(text, "text", most=checking.MAX_POST)
        key = checked_text(client_key, "client_key", most=_MAX_KEY, required=False)
        if key:
            mine = TimelineEntry.objects.filter(incident=change.incident, kind=POST, author_id=actor.user_id)
            before = mine.filter(data__client_key=key).first()
            if before is not None:
                return before
        event = Posted(incident_id=change.incident.pk, text=body)
        change.tell(event, POST, body, **({"client_key": key} if key else {}))
    return change.written[0]
