"""What incidents do when lower apps tell of something: a line on the timeline, and the first answer taken over."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from django.db.models import Max

from apps.engine.models import Event
from apps.engine.registry import subscribe_batch
from apps.foundation.actor import Actor
from apps.incidents.models import TimelineEntry
from apps.incidents.operations import append_entries, note_acknowledgement, note_unacknowledged
from apps.incidents.operations.telling import NO_WORK, TOLD_KINDS, entry_of
from apps.incidents.queries import SUBJECT_KIND
from apps.paging.registry import register_activity

TELLER = "incidents.timeline"


def tell(events: Sequence[Event]) -> None:
    """Write one line for each event, once for ever; lines that the verb itself wrote already are left out."""
    ordered = sorted(events, key=lambda event: event.pk)
    append_entries([entry for event in ordered if (entry := entry_of(event)) is not None])
    for event in ordered:
        if event.kind == "paging.acknowledged" and event.subject_kind == SUBJECT_KIND:
            note_acknowledgement(
                int(event.subject_key),
                user_id=event.payload["user_id"],
                via=event.payload["via"],
                at=datetime.fromisoformat(event.payload["at"]),
                actor=Actor.system(TELLER),
            )
        # A snooze also ends an answer: people are paged from the first level on.
        if event.kind in {"paging.unacknowledged", "paging.resumed"} and event.subject_kind == SUBJECT_KIND:
            note_unacknowledged(int(event.subject_key), run_began_at=event.occurred_at, actor=Actor.system(TELLER))


def last_work(keys: Sequence[str]) -> dict[str, datetime]:
    """When somebody or something last worked on these incidents, out of their timelines; one query."""
    rows = TimelineEntry.objects.filter(incident_id__in=[int(key) for key in keys if key.isdecimal()])
    newest = rows.exclude(kind__in=NO_WORK).order_by().values_list("incident_id").annotate(at=Max("recorded_at"))
    return {str(pk): at for pk, at in newest}


def register() -> None:
    """Called once from `ready()`."""
    subscribe_batch(TOLD_KINDS, TELLER, tell)
    register_activity(SUBJECT_KIND, last_work)
