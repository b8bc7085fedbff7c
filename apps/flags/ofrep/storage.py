"""What the watcher reads, through its thread's own Django connection. Everything may raise `django.db.Error`."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import datetime
from typing import NamedTuple

from django.db import connections
from django.db.models import Q

from apps.catalog.models import Environment
from apps.flags.models import Flag, FlagRevision, FlagUse, Segment
from apps.flags.plans import read_plans
from apps.flags.snapshot import COLUMNS, Row, Snapshot
from apps.foundation.clock import now
from apps.people.models import ApiToken
from apps.people.queries import covers, usable_tokens

SCOPE = "flags:read"
ALIAS = "default"
_ID = "#"


class Mark(NamedTuple):
    """The number of the newest change, and the environments in their order, since these change without one."""

    number: int
    environments: tuple[tuple[int, str], ...]
    changed_at: datetime | None


class Known(NamedTuple):
    """What is remembered of a usable token."""

    id: int
    may_read: bool
    expires_at: datetime | None


def read_mark() -> Mark:
    """By what one sees that something changed; two small queries."""
    environments = Environment.objects.using(ALIAS).order_by("position", "name", "id").values_list("pk", "slug")
    newest = FlagRevision.objects.using(ALIAS).order_by("pk").values_list("number", "changed_at").first()
    number, changed_at = newest or (0, None)
    return Mark(number, tuple(environments), changed_at)


def read_snapshot(mark: Mark) -> Snapshot:
    """All flags. Read after `mark`, they are as new as it, or newer, and then the next mark differs."""
    rows = Flag.objects.using(ALIAS).order_by().values_list(*COLUMNS)
    segments = dict(Segment.objects.using(ALIAS).order_by().values_list("key", "definition"))
    slugs, plans = [slug for _, slug in mark.environments], read_plans(alias=ALIAS)
    return Snapshot(mark.number, slugs, [Row(*row) for row in rows], segments, plans, changed_at=mark.changed_at)


def by_id(token_id: int) -> str:
    """By what a token is asked for whose text is not at hand: it opened an event stream."""
    return f"{_ID}{token_id}"


def read_tokens(names: Collection[str]) -> dict[str, Known]:
    """The usable tokens among these digests and `by_id`s, in one query."""
    if not names:
        return {}
    ids = {int(name[1:]) for name in names if name.startswith(_ID)}
    wanted = Q(digest__in=[name for name in names if not name.startswith(_ID)])
    rows = usable_tokens().using(ALIAS).filter(wanted | Q(pk__in=ids) if ids else wanted)
    found: dict[str, Known] = {}
    for digest, pk, scopes, expires_at in rows.order_by().values_list("digest", "pk", "scopes", "expires_at"):
        known = Known(pk, covers(scopes, SCOPE), expires_at)
        found |= {name: known for name in (digest, by_id(pk)) if name in names}
    return found


def note_use(token_ids: Collection[int]) -> None:
    """When they were last used. `update()` is right here: this column is not part of the history."""
    ApiToken.objects.using(ALIAS).filter(pk__in=token_ids).update(last_used_at=now())


def note_flags(uses: Mapping[tuple[str, str], set[str]]) -> None:
    """That these flags were asked for, and which variants were given; three queries. Processes may write in turn."""
    at = now()
    ids = {(slug, key): pk for pk, slug, key in Flag.objects.using(ALIAS).values_list("pk", "environment__slug", "key")}
    asked = {ids[flag]: variants for flag, variants in uses.items() if flag in ids}
    known = {row.flag_id: row for row in FlagUse.objects.using(ALIAS).filter(flag__in=asked)}
    rows = []
    for flag_id, variants in asked.items():
        row, only = known.get(flag_id), next(iter(variants)) if len(variants) == 1 else ""
        stays = row is not None and only != "" and row.variant == only
        rows.append(FlagUse(flag_id=flag_id, asked_at=at, variant=only, since=row.since if row and stays else at))
    FlagUse.objects.using(ALIAS).bulk_create(
        sorted(rows, key=lambda row: row.flag_id),
        update_conflicts=True,
        unique_fields=["flag"],
        update_fields=["asked_at", "variant", "since"],
    )


def drop() -> None:
    """Give the thread's connection back; the next read makes a new one."""
    connections[ALIAS].close()
