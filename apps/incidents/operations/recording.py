"""Writing to timelines, under the locks of their incidents."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from apps.engine.models import Event
from apps.foundation.actor import Actor
from apps.foundation.clock import now
from apps.foundation.rows import write_back
from apps.incidents.models import Incident, TimelineEntry
from apps.incidents.wakeup import wake


@dataclass(frozen=True, slots=True)
class NewEntry:
    """One line for one timeline. `event_id` names the engine event it tells of, which makes a repeat harmless."""

    incident_id: int
    kind: str
    text: str
    author_name: str
    author_id: int | None = None
    at: datetime | None = None
    event_id: int | None = None
    data: dict[str, Any] = field(default_factory=dict)


def entry_by(actor: Actor, incident_id: int, kind: str, text: str, **rest: Any) -> NewEntry:
    """A line that `actor` is the author of."""
    return NewEntry(
        incident_id=incident_id,
        kind=kind,
        text=text,
        author_name=actor.name[:120],
        author_id=actor.user_id,
        **rest,
    )


def entry_about(event: Event, incident_id: int, kind: str, text: str, data: dict[str, Any]) -> NewEntry:
    """A line that tells of an engine event, by whom and at the time that the event names."""
    return NewEntry(
        incident_id=incident_id,
        kind=kind,
        text=text,
        author_name=str(event.actor.get("name") or "portal")[:120],
        author_id=event.actor.get("user_id"),
        at=event.occurred_at,
        event_id=event.pk,
        data=data,
    )


def lock_incidents(incident_ids: Iterable[int]) -> dict[int, Incident]:
    """Lock many incidents in ascending order; those that don't exist are left out.

    The lock does not hinder others from adding rows that point at the incident.
    """
    ids = sorted(set(incident_ids))
    rows = Incident.objects.select_for_update(no_key=True).filter(pk__in=ids).order_by("pk")
    return {incident.pk: incident for incident in rows}


def write_entries(incidents: Mapping[int, Incident], entries: Sequence[NewEntry]) -> list[TimelineEntry]:
    """Number and insert lines of locked incidents and raise their `stream_seq` in memory; two queries at most.

    Lines of events that a timeline already tells of are left out. The caller saves `stream_seq`.
    """
    fresh = _untold(entries)
    at = now()
    rows: list[TimelineEntry] = []
    for entry in fresh:
        incident = incidents[entry.incident_id]
        incident.stream_seq += 1
        rows.append(
            TimelineEntry(
                incident_id=entry.incident_id,
                seq=incident.stream_seq,
                kind=entry.kind,
                text=entry.text,
                data=entry.data,
                author_id=entry.author_id,
                author_name=entry.author_name,
                event_id=entry.event_id,
                at=entry.at or at,
                recorded_at=at,
            )
        )
    if rows:
        TimelineEntry.objects.bulk_create(rows, batch_size=500)
        wake({row.incident_id for row in rows})
    return rows


def _untold(entries: Sequence[NewEntry]) -> list[NewEntry]:
    event_ids = [entry.event_id for entry in entries if entry.event_id is not None]
    if not event_ids:
        return list(entries)
    told = set(
        TimelineEntry.objects.filter(
            incident_id__in={entry.incident_id for entry in entries}, event_id__in=event_ids
        ).values_list("incident_id", "event_id")
    )
    fresh: list[NewEntry] = []
    for entry in entries:
        if (entry.incident_id, entry.event_id) in told:
            continue
        if entry.event_id is not None:
            told.add((entry.incident_id, entry.event_id))
        fresh.append(entry)
    return fresh


def save_stream_numbers(incidents: Iterable[Incident]) -> None:
    """Keep `stream_seq` and `version` of locked incidents, with one query.

    Both columns are kept out of history on purpose, so nothing is missed by not going through `save`.
    """
    write_back(list(incidents), ["stream_seq", "version"])


def append_entries(entries: Sequence[NewEntry]) -> list[TimelineEntry]:
    """Add lines to timelines without changing the incidents otherwise: for what other apps have to tell.

    Runs inside the caller's transaction, locks the incidents in ascending order, and needs four queries for any
    number. Repeats (the same `event_id`) and lines of incidents that are gone are left out. Returns the new rows.
    """
    if not entries:
        return []
    incidents = lock_incidents(entry.incident_id for entry in entries)
    rows = write_entries(incidents, [entry for entry in entries if entry.incident_id in incidents])
    if rows:
        save_stream_numbers(incidents[pk] for pk in {row.incident_id for row in rows})
    return rows
