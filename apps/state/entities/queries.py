"""Reads: sources, snapshots, diffs and restores by who may see them, and what falls due."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from django.contrib.auth.models import AnonymousUser
from django.db.models import CharField, QuerySet
from django.db.models.functions import Cast
from django.urls import reverse

from apps.people.models import User
from apps.state.entities.leases import due
from apps.state.entities.models import EntityRestore, EntitySource, Snapshot, SnapshotDiff

SUBJECT_KIND = "entity_source"


def _seen(user: User | AnonymousUser, model: str) -> bool:
    return user.is_active and user.has_perm("state.view_entitysource") and user.has_perm(f"state.view_{model}")


def visible_sources(user: User | AnonymousUser) -> QuerySet[EntitySource]:
    """The sources that `user` may see: all for holders of `state.view_entitysource`, else none."""
    rows = EntitySource.objects.all()
    return rows if _seen(user, "entitysource") else rows.none()


def visible_snapshots(user: User | AnonymousUser) -> QuerySet[Snapshot]:
    """The snapshots that `user` may see: all with the permission for sources and snapshots."""
    rows = Snapshot.objects.all()
    return rows if _seen(user, "snapshot") else rows.none()


def visible_diffs(user: User | AnonymousUser) -> QuerySet[SnapshotDiff]:
    """The diffs that `user` may see."""
    rows = SnapshotDiff.objects.all()
    return rows if _seen(user, "snapshotdiff") else rows.none()


def visible_restores(user: User | AnonymousUser) -> QuerySet[EntityRestore]:
    """The restores that `user` may see."""
    rows = EntityRestore.objects.all()
    return rows if _seen(user, "entityrestore") else rows.none()


def source_by_slug(slug: str) -> EntitySource | None:
    """The source that programs and runbooks name, with its service."""
    rows = EntitySource.objects.select_related("service")
    return rows.filter(slug=slug).first() if slug and "\x00" not in slug else None


def newest(source: EntitySource) -> Snapshot | None:
    """The newest snapshot of a source that is done."""
    return Snapshot.objects.filter(source=source, state=Snapshot.State.DONE).order_by("-number").first()


def due_sources(at: datetime) -> QuerySet[EntitySource]:
    """The sources of which a snapshot should be taken by itself, the longest waiting first."""
    rows = EntitySource.objects.filter(snapshot_every_seconds__gt=0, next_snapshot_at__lte=at)
    return rows.order_by("next_snapshot_at", "pk")


def work_due(at: datetime) -> bool:
    """Whether there is anything for a worker."""
    return due_sources(at).exists() or any(due(model, at).exists() for model in (Snapshot, EntityRestore, SnapshotDiff))


def kept_anyway(source: EntitySource) -> QuerySet[Snapshot]:
    """Snapshots that retention leaves alone: pinned ones, and those that a restore names, done or about to be."""
    rows = Snapshot.objects.filter(source=source)
    return rows.filter(pinned=True) | rows.filter(pk__in=EntityRestore.objects.filter(source=source).values("snapshot"))


# --- for `Subject("entity_source", …)` ------------------------------------------------------------------------------


def titles(keys: Iterable[str]) -> dict[str, str]:
    """Names of sources by their text keys, in one query."""
    wanted = [int(key) for key in keys if key.isdecimal()]
    return {str(pk): name for pk, name in EntitySource.objects.filter(pk__in=wanted).values_list("pk", "name")}


def url(key: str) -> str:
    """Where a source's page is."""
    return reverse("admin:state_entitysource_change", args=[key])


def visible_keys(user: Any) -> QuerySet[Any, Any]:
    """Text keys of the sources that `user` may see."""
    return visible_sources(user).annotate(text_key=Cast("pk", CharField())).values_list("text_key", flat=True)
