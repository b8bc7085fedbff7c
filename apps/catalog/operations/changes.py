"""What was changed: deployments and the like. Append-only, recorded in bulk."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from django.db.models import Q

from apps.catalog.events import ChangeRecorded
from apps.catalog.models import Change
from apps.catalog.queries import SERVICE
from apps.engine.operations import publish_many
from apps.foundation.actor import Actor
from apps.foundation.clock import now
from apps.foundation.operations import operation
from apps.foundation.subjects import Subject
from apps.people.permissions import require

Key = tuple[str, str]


@dataclass(frozen=True, slots=True)
class NewChange:
    """A change to record. With a `dedup_key` it is recorded once per `source`, without one each time."""

    title: str
    kind: str = Change.Kind.DEPLOY
    service_id: int | None = None
    environment_id: int | None = None
    version: str = ""
    author: str = ""
    link: str = ""
    source: str = ""
    dedup_key: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    occurred_at: datetime | None = None


def record_change(change: NewChange, *, actor: Actor) -> int:
    """Record one change; returns its id, or that of the one that has its key already. See `record_changes`."""
    return record_changes([change], actor=actor)[0]


@operation
def record_changes(changes: Sequence[NewChange], *, actor: Actor) -> list[int]:
    """Record changes with a constant number of queries; returns their ids in the given order.

    What has the same source and key as a recorded one is not recorded again, nor told again. Needs
    `catalog.add_change`. The caller has checked lengths and that services and environments exist.
    """
    require(actor, "catalog.add_change")
    at = now()
    rows = [_row(change, at) for change in changes]
    keyless = Change.objects.bulk_create([row for row in rows if not row.dedup_key], batch_size=500)
    keyed = [row for row in rows if row.dedup_key]
    fresh = _insert_keyed(keyed, at)
    ids = _ids_by_key(keyed)
    _tell([*keyless, *fresh], ids, actor)
    return [row.pk if not row.dedup_key else ids[row.source, row.dedup_key] for row in rows]


def _row(change: NewChange, at: datetime) -> Change:
    return Change(
        kind=change.kind,
        service_id=change.service_id,
        environment_id=change.environment_id,
        title=change.title,
        version=change.version,
        author=change.author,
        link=change.link,
        source=change.source,
        dedup_key=change.dedup_key,
        labels=dict(change.labels),
        occurred_at=change.occurred_at or at,
        received_at=at,
    )


def _insert_keyed(rows: list[Change], at: datetime) -> list[Change]:
    """Insert what is new; the rows that this very call brought in, also where another one ran at the same time."""
    known = set(_ids_by_key(rows))
    firsts: dict[Key, Change] = {}
    for row in rows:
        if (row.source, row.dedup_key) not in known:
            firsts.setdefault((row.source, row.dedup_key), row)
    if not firsts:
        return []
    Change.objects.bulk_create(firsts.values(), ignore_conflicts=True, batch_size=500)
    mine = _ids_by_key(list(firsts.values()), received_at=at)
    return [row for key, row in firsts.items() if key in mine]


def _ids_by_key(rows: list[Change], **more: datetime) -> dict[Key, int]:
    by_source: dict[str, set[str]] = {}
    for row in rows:
        by_source.setdefault(row.source, set()).add(row.dedup_key)
    if not by_source:
        return {}
    wanted = Q()
    for source, keys in by_source.items():
        wanted |= Q(source=source, dedup_key__in=keys)
    found = Change.objects.filter(wanted, **more).values_list("pk", "source", "dedup_key")
    return {(source, key): pk for pk, source, key in found}


def _tell(rows: list[Change], ids: dict[Key, int], actor: Actor) -> None:
    items = []
    for row in rows:
        event = ChangeRecorded(
            change_id=ids[row.source, row.dedup_key] if row.dedup_key else row.pk,
            change_kind=row.kind,
            title=row.title,
            service_id=row.service_id,
            environment_id=row.environment_id,
            version=row.version,
            occurred_at=row.occurred_at.isoformat(),
        )
        subject = Subject(SERVICE, str(row.service_id)) if row.service_id else Subject("", "")
        items.append((event, subject, actor))
    publish_many(items)
