"""Making sources of entities, and changing what is said about them."""

from __future__ import annotations

from datetime import timedelta
from typing import TypedDict, Unpack

from apps.catalog.operations.writing import applied, checked
from apps.foundation.actor import Actor
from apps.foundation.clock import now
from apps.foundation.errors import NotFound
from apps.foundation.operations import operation
from apps.state.entities.models import EntitySource
from apps.state.entities.permissions import ADD, CHANGE, require_may
from apps.state.operations.belonging import (
    check_environment,
    check_pause,
    check_source,
    owned_service,
    require_may_move,
    require_revision,
)

LEAST_PAUSE_SECONDS = 60
LONGEST_PAUSE_SECONDS = 30 * 24 * 3600


class SourceFields(TypedDict, total=False):
    """What is said about a source; all of it may change later."""

    slug: str
    name: str
    kind: str
    description: str
    service_id: int
    environment_id: int | None
    base_url: str
    snapshot_every_seconds: int
    keep_count: int
    keep_days: int


_KNOWN = frozenset(SourceFields.__annotations__)


@operation
def create_source(*, actor: Actor, **fields: Unpack[SourceFields]) -> EntitySource:
    """Make a source of a service. Nothing is asked of it yet.

    Needs `state.add_entitysource`, or to lead the team that owns the service. Raises Invalid with the fields,
    Conflict for a slug that is taken. A repeat makes no second one, for its slug is.
    """
    service = owned_service(fields.get("service_id"), actor, add=ADD)
    source = EntitySource(service=service)
    _put(source, fields)
    source.save()
    return source


@operation
def edit_source(
    source_id: int,
    *,
    expected_revision: int | None = None,
    reason: str = "",
    actor: Actor,
    **fields: Unpack[SourceFields],
) -> EntitySource:
    """Change what is said about a source; its snapshots stay. A repeat changes nothing.

    Needs `state.change_entitysource`, or to lead the owning team (and that of a new service). Raises Invalid,
    Conflict "source_changed" for an old revision.
    """
    source = locked_source(source_id)
    require_may(actor, source, CHANGE)
    require_revision(source, expected_revision, code="source_changed")
    require_may_move(source, fields.get("service_id"), actor, add=ADD, change=CHANGE)
    if _put(source, fields):
        source.revision += 1
        source.save()
    return source


def locked_source(source_id: int) -> EntitySource:
    """A source with its service, its row locked. Raises NotFound."""
    rows = EntitySource.objects.select_for_update(of=("self",)).select_related("service")
    found = rows.filter(pk=source_id).first()
    if found is None:
        raise NotFound("There is no such source of entities.")
    return found


def _put(source: EntitySource, fields: SourceFields) -> bool:
    """Check and set fields; whether any changed. Snapshots by themselves start or stop with them."""
    check_environment(fields.get("environment_id"))
    if "base_url" in fields:
        check_source(fields["base_url"], "base_url")
    before = source.snapshot_every_seconds
    changed = applied(source, fields, _KNOWN)
    every = source.snapshot_every_seconds
    check_pause(every, "snapshot_every_seconds", least=LEAST_PAUSE_SECONDS, longest=LONGEST_PAUSE_SECONDS)
    if before != every:
        source.next_snapshot_at = now() + timedelta(seconds=every) if every else None
    checked(source)
    return changed
