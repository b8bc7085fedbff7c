"""What incidents do when lower apps tell of something: a line on the timeline, and the first answer taken over."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from apps.engine.models import Event
from apps.engine.registry import subscribe_batch
from apps.foundation.actor import Actor
from apps.incidents.operations import append_entries, note_acknowledgement
from apps.incidents.operations.telling import TOLD_KINDS, entry_of
from apps.incidents.queries import SUBJECT_KIND

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


def register() -> None:
    """Called once from `ready()`."""
    subscribe_batch(TOLD_KINDS, TELLER, tell)
