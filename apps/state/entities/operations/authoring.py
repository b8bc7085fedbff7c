"""Making sources of entities, and changing what is said about them."""

from __future__ import annotations

from datetime import timedelta
from typing import TypedDict, Unpack

from apps.catalog.models import Environment, Service
from apps.catalog.operations.writing import applied, checked
from apps.foundation.actor import Actor
from apps.foundation.clock import now
from apps.foundation.errors import Conflict, Invalid, NotFound
from apps.foundation.operations import operation
from apps.people.permissions import allowed, require
from apps.state.entities.models import EntitySource
from apps.state.entities.permissions import ADD, CHANGE, require_may
from apps.state.operations.authoring import check_source
from apps.state.permissions import leads_owner

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
    service = _service(fields.get("service_id"), actor)
    if not leads_owner(actor, service.owner_id):
        require(actor, ADD)
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
    if expected_revision is not None and source.revision != expected_revision:
        raise Conflict(f"{source.name} was changed since you read it: read it again.", code="source_changed")
    wanted = fields.get("service_id")
    if wanted is not None and wanted != source.service_id:
        service = _service(wanted, actor)
        if not allowed(actor, CHANGE) and not leads_owner(actor, service.owner_id):
            require(actor, CHANGE)
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


def _service(service_id: int | None, actor: Actor) -> Service:
    found = Service.objects.filter(pk=service_id or 0).first()
    if found is None:
        require(actor, ADD)
        raise NotFound("There is no such service.", fields={"service": ["There is no such service."]})
    return found


def _put(source: EntitySource, fields: SourceFields) -> bool:
    """Check and set fields; whether any changed. Snapshots by themselves start or stop with them."""
    environment = fields.get("environment_id")
    if environment is not None and not Environment.objects.filter(pk=environment).exists():
        raise NotFound("There is no such environment.", fields={"environment": ["There is no such environment."]})
    if "base_url" in fields:
        check_source(fields["base_url"], "base_url")
    before = source.snapshot_every_seconds
    changed = applied(source, fields, _KNOWN)
    every = source.snapshot_every_seconds
    if every and not LEAST_PAUSE_SECONDS <= every <= LONGEST_PAUSE_SECONDS:
        sentence = f"0 (never by itself), or {LEAST_PAUSE_SECONDS} to {LONGEST_PAUSE_SECONDS} seconds."
        raise Invalid(f"snapshot_every_seconds: {sentence}", fields={"snapshot_every_seconds": [sentence]})
    if before != every:
        source.next_snapshot_at = now() + timedelta(seconds=every) if every else None
    checked(source)
    return changed
