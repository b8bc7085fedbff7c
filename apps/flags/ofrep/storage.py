"""What the watcher reads, through its thread's own Django connection. Everything may raise `django.db.Error`."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from typing import NamedTuple

from django.db import connections

from apps.catalog.models import Environment
from apps.flags.models import Flag, FlagRevision, Segment
from apps.flags.snapshot import COLUMNS, Row, Snapshot
from apps.foundation.clock import now
from apps.people.models import ApiToken
from apps.people.queries import covers, usable_tokens

SCOPE = "flags:read"
ALIAS = "default"

# The number of the newest change, and the environments in their order, since these change without one.
Mark = tuple[int, tuple[tuple[int, str], ...]]


class Known(NamedTuple):
    """What is remembered of a usable token."""

    id: int
    may_read: bool
    expires_at: datetime | None


def read_mark() -> Mark:
    """By what one sees that something changed; two small queries."""
    environments = Environment.objects.using(ALIAS).order_by("position", "name", "id").values_list("pk", "slug")
    number = FlagRevision.objects.using(ALIAS).order_by("pk").values_list("number", flat=True).first()
    return number or 0, tuple(environments)


def read_snapshot(mark: Mark) -> Snapshot:
    """All flags. Read after `mark`, they are as new as it, or newer, and then the next mark differs."""
    number, environments = mark
    rows = Flag.objects.using(ALIAS).order_by().values_list(*COLUMNS)
    segments = dict(Segment.objects.using(ALIAS).order_by().values_list("key", "definition"))
    return Snapshot(number, [slug for _, slug in environments], [Row(*row) for row in rows], segments)


def read_tokens(digests: Collection[str]) -> dict[str, Known]:
    """The usable tokens among these, in one query."""
    if not digests:
        return {}
    rows = usable_tokens().using(ALIAS).filter(digest__in=digests)
    found = rows.order_by().values_list("digest", "pk", "scopes", "expires_at")
    return {digest: Known(pk, covers(scopes, SCOPE), expires_at) for digest, pk, scopes, expires_at in found}


def note_use(token_ids: Collection[int]) -> None:
    """When they were last used. `update()` is right here: this column is not part of the history."""
    ApiToken.objects.using(ALIAS).filter(pk__in=token_ids).update(last_used_at=now())


def drop() -> None:
    """Give the thread's connection back; the next read makes a new one."""
    connections[ALIAS].close()
