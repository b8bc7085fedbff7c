"""The frame of every verb on one incident: lock, authorize, check the version, then write once at the end."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from apps.engine.events import DomainEvent
from apps.engine.operations import publish
from apps.foundation.actor import Actor
from apps.foundation.clock import now
from apps.foundation.errors import PreconditionFailed
from apps.incidents.models import Incident, TimelineEntry
from apps.incidents.operations.recording import (
    NewEntry,
    entry_by,
    lock_incidents,
    save_stream_numbers,
    write_entries,
)
from apps.incidents.operations.telling import paging_entries
from apps.incidents.permissions import authorize, no_such_incident
from apps.incidents.queries import subject_of
from apps.people.models import User


@dataclass(slots=True)
class Change:
    """A verb under way on one locked incident. Nothing done to it means nothing is written: a repeat is free."""

    incident: Incident
    actor: Actor
    user: User | None
    at: datetime
    entries: list[NewEntry] = field(default_factory=list)
    written: list[TimelineEntry] = field(default_factory=list)
    fields: set[str] = field(default_factory=set)
    touched: list[str] = field(default_factory=list)

    def set(self, **values: Any) -> None:
        """Give columns of the incident new values; they are saved, with history, when the verb ends."""
        for name, value in values.items():
            setattr(self.incident, name, value)
            self.fields.add(name)

    def touch(self, what: str) -> None:
        """Say that something that belongs to the incident (a role, a milestone) changed: its version rises."""
        self.touched.append(what)

    def tell(self, event: DomainEvent | None, kind: str, text: str, **data: Any) -> None:
        """Publish `event` and put a line that tells of it on the timeline."""
        event_id = self.publish(event) if event else None
        self.entries.append(
            entry_by(self.actor, self.incident.pk, kind, text, at=self.at, event_id=event_id, data=data)
        )

    def publish(self, event: DomainEvent) -> int:
        """Publish an event about the incident without a line on the timeline."""
        return publish(event, subject=subject_of(self.incident), actor=self.actor)

    def tell_of_paging(self) -> None:
        """Put what paging published since the verb began on the timeline now, not when its events are delivered."""
        self.entries += paging_entries([self.incident.pk], since=self.at)

    def finish(self) -> None:
        """Write everything. The version rises once for all changes; lines alone leave it as it is."""
        if not (self.fields or self.touched or self.entries):
            return
        incident = self.incident
        self.written = write_entries({incident.pk: incident}, self.entries)
        if self.fields or self.touched:
            incident.version += 1
        if self.fields:
            incident.save(update_fields=[*sorted(self.fields), "version", "stream_seq"])
        else:
            save_stream_numbers([incident])


@contextmanager
def changing(
    incident_id: int, *, actor: Actor, permission: str, expected_version: int | None = None
) -> Iterator[Change]:
    """Open a change of one incident, inside the operation's transaction; it is written when the block ends well.

    NotFound where it is missing or invisible to `actor`, Forbidden without `permission`, PreconditionFailed when
    `expected_version` is not the current one.
    """
    incident = lock_incidents([incident_id]).get(incident_id)
    if incident is None:
        raise no_such_incident()
    user = authorize(actor, incident, permission)
    if expected_version is not None and expected_version != incident.version:
        raise PreconditionFailed(
            f"{incident.number} has changed: it is at version {incident.version}, not {expected_version}. Look again.",
            extra={"version": incident.version},
        )
    change = Change(incident=incident, actor=actor, user=user, at=now())
    yield change
    change.finish()
