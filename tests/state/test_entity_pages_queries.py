"""How many queries the pages of entities need does not grow with what they show."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from apps.state.entities.comparing import packed
from apps.state.entities.models import (
    DiffChunk,
    EntityRestore,
    EntitySource,
    RestoreItem,
    Snapshot,
    SnapshotChunk,
    SnapshotDiff,
)
from apps.state.entities.packing import chunk_sum, pack
from apps.state.entities.protocol import Entity
from tests.factories import named
from tests.pages.test_queries import queries
from tests.state.herd import Herd, player, source_of

pytestmark = pytest.mark.django_db


@pytest.fixture
def source() -> EntitySource:
    herd = Herd()
    herd.server_close()
    return source_of(herd)


def grows(path: str, fill: Callable[[int], Any], most: int) -> None:
    mia = named("mia", "manager")
    fill(3)
    few = queries(mia, path)
    fill(27)
    many = queries(mia, path)
    assert len(many) == len(few), "\n".join(sorted(set(many) - set(few)))
    assert len(many) <= most, len(many)


def snapshots(source: EntitySource, count: int, **fields: Any) -> list[Snapshot]:
    first = Snapshot.objects.filter(source=source).count() + 1
    return [
        Snapshot.objects.create(source=source, number=first + at, state="done", author_name="Mia", **fields)
        for at in range(count)
    ]


def held(snapshot: Snapshot, first: int, count: int) -> None:
    """More entities, in a chunk of their own."""
    rows = [Entity(*_versioned(number)) for number in range(first, first + count)]
    at = snapshot.chunks.count()
    for each in pack(rows):
        SnapshotChunk.objects.create(
            snapshot=snapshot, position=at, first_id=each.first_id, last_id=each.last_id, entity_count=each.count,
            checksum=each.checksum, data=each.data,
        )  # fmt: skip
    snapshot.done_count += count
    snapshot.checksum = chunk_sum(snapshot.chunks.order_by("position").values_list("checksum", flat=True))
    snapshot.save()


def _versioned(number: int) -> tuple[str, int, dict[str, Any]]:
    key, document = player(number)
    return key, 1, document


def restores(snapshot: Snapshot, count: int) -> list[EntityRestore]:
    known = {"source": snapshot.source, "snapshot": snapshot, "state": "ready", "author_name": "Mia"}
    return [EntityRestore.objects.create(**known, chosen="by id") for _ in range(count)]


def test_the_list_of_snapshots_needs_as_many_queries_for_30_as_for_3(source: EntitySource) -> None:
    grows("/admin/state/snapshot/", lambda count: snapshots(source, count), most=20)


def test_a_source_needs_as_many_queries_for_30_snapshots_and_restores_as_for_3(
    source: EntitySource,
) -> None:
    def fill(count: int) -> None:
        for made in snapshots(source, count):
            restores(made, 1)

    grows(f"/admin/state/entitysource/{source.pk}/change/", fill, most=22)


def test_a_snapshot_needs_as_many_queries_for_30_entities_as_for_3(source: EntitySource) -> None:
    [snapshot] = snapshots(source, 1)
    chunk = SnapshotChunk.objects.filter(snapshot=snapshot)

    def fill(count: int) -> None:
        chunk.delete()
        snapshot.done_count = 0
        held(snapshot, 0, count)

    grows(f"/admin/state/snapshot/{snapshot.pk}/change/", fill, most=20)


def test_a_diff_needs_as_many_queries_for_30_entities_as_for_3(source: EntitySource) -> None:
    before, after = snapshots(source, 2)
    diff = SnapshotDiff.objects.create(before=before, after=after, state="done", author_name="Mia")

    def fill(count: int) -> None:
        change = {"path": "gold", "op": "changed", "before": 1, "after": 2}
        versions = {"before_version": 1, "after_version": 2}
        rows = [
            {"id": f"p{n:03}", "op": "changed", **versions, "change_count": 1, "changes": [change]}
            for n in range(count)
        ]
        DiffChunk.objects.filter(diff=diff).delete()
        DiffChunk.objects.create(diff=diff, position=0, last_id=rows[-1]["id"], entity_count=count, data=packed(rows))
        SnapshotDiff.objects.filter(pk=diff.pk).update(changed_count=count)

    grows(f"/admin/state/snapshotdiff/{diff.pk}/change/", fill, most=20)


def test_the_list_of_diffs_needs_as_many_queries_for_30_as_for_3(source: EntitySource) -> None:
    def fill(count: int) -> None:
        for made in snapshots(source, count):
            [other] = snapshots(source, 1)
            SnapshotDiff.objects.create(before=made, after=other, state="done", author_name="Mia")

    grows("/admin/state/snapshotdiff/", fill, most=20)


def test_a_restore_needs_as_many_queries_for_30_entities_as_for_3(source: EntitySource) -> None:
    [restore] = restores(snapshots(source, 1)[0], 1)

    def fill(count: int) -> None:
        change = {"path": "gold", "op": "changed", "before": 1, "after": 2}
        for number in range(count):
            key = f"p{restore.items.count():03}-{number}"
            RestoreItem.objects.create(restore=restore, entity_id=key, state="seen", changes=[change])

    grows(f"/admin/state/entityrestore/{restore.pk}/change/", fill, most=20)


def test_the_list_of_restores_needs_as_many_queries_for_30_as_for_3(source: EntitySource) -> None:
    [snapshot] = snapshots(source, 1)
    grows("/admin/state/entityrestore/", lambda count: restores(snapshot, count), most=20)
