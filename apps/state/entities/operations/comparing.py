"""Comparing two snapshots: asked for once, merged in slices."""

from __future__ import annotations

import time
from collections import Counter

import orjson

from apps.engine.bell import ring
from apps.foundation.actor import Actor
from apps.foundation.clock import now
from apps.foundation.errors import Conflict, DomainError, Invalid, NotFound
from apps.foundation.operations import operation
from apps.people.queries import user_of
from apps.state.entities.comparing import Entry, Side, count_fields, merged, packed
from apps.state.entities.leases import SLICE_SECONDS, closed, got_on, held, release
from apps.state.entities.models import DiffChunk, Snapshot, SnapshotDiff
from apps.state.entities.operations.taking import QUEUE, TASK
from apps.state.entities.permissions import SNAPSHOT, require_may

_STORED_AT_ONCE = 500
_STORED_BYTES = 1024 * 1024
_TOLD_EVERY = 5000


@operation
def compare(before_id: int, after_id: int, *, actor: Actor) -> SnapshotDiff:
    """Ask what differs between two done snapshots of one source. A repeat finds the diff; a failed one runs again.

    Needs `state.snapshot_entitysource`, or to lead the owning team. Raises NotFound, Invalid for snapshots of two
    sources or twice the same, Conflict for one that is not done.
    """
    rows = Snapshot.objects.select_related("source__service").in_bulk([before_id, after_id])
    before, after = rows.get(before_id), rows.get(after_id)
    if before is None or after is None:
        raise NotFound("There is no such snapshot.")
    for source in {before.source, after.source}:
        require_may(actor, source, SNAPSHOT)
    if before.source_id != after.source_id or before.pk == after.pk:
        sentence = "Choose two different snapshots of one source."
        raise Invalid(sentence, fields={"after": [sentence]})
    for snapshot in (before, after):
        if snapshot.state != Snapshot.State.DONE:
            raise Conflict(f"Snapshot {snapshot.number} is not done.", code="snapshot_not_done")
    diff, is_new = SnapshotDiff.objects.get_or_create(
        before=before,
        after=after,
        defaults={
            "author": user_of(actor),
            "author_name": actor.name[:120],
            "total_count": max(before.done_count, after.done_count),
        },
    )
    if diff.state == SnapshotDiff.State.FAILED:
        _begin_again(diff)
    if is_new or diff.is_open:
        ring(TASK, QUEUE)
    return diff


def _begin_again(diff: SnapshotDiff) -> None:
    diff.chunks.all().delete()
    diff.state, diff.error, diff.attempts, diff.fence = SnapshotDiff.State.WAITING, "", 0, diff.fence + 1
    diff.added_count = diff.removed_count = diff.changed_count = diff.done_count = 0
    diff.fields, diff.resume, diff.due_at, diff.finished_at = {}, {}, now(), None
    diff.save()


class _Batch:
    """What a slice has found since it last wrote."""

    def __init__(self, diff: SnapshotDiff) -> None:
        self.fields: Counter[str] = Counter(diff.fields)
        self.entries: list[Entry] = []
        self.size = 0
        self.compared = 0

    def add(self, found: Entry | None) -> None:
        self.compared += 1
        if found is not None:
            self.entries.append(found)
            self.size += len(orjson.dumps(found["changes"]))
            count_fields(self.fields, found)

    def is_full(self) -> bool:
        return len(self.entries) >= _STORED_AT_ONCE or self.size >= _STORED_BYTES or self.compared >= _TOLD_EVERY


def advance_diff(diff: SnapshotDiff) -> None:
    """Merge for a slice of time; in memory are a chunk of each side and a batch of what differs. Damaged, Lost."""
    resume = diff.resume or {"after": "", "sides": [0, 0], "position": 0}
    after, position = str(resume["after"]), int(resume["position"])
    sides = [
        Side(snapshot_id, at, after)
        for snapshot_id, at in zip((diff.before_id, diff.after_id), resume["sides"], strict=True)
    ]
    until = time.monotonic() + SLICE_SECONDS
    batch = _Batch(diff)
    for entity_id, found in merged(sides[0], sides[1]):
        batch.add(found)
        after = entity_id
        if batch.is_full():
            position = _write(diff, batch, after, position, sides)
            if time.monotonic() > until:
                release(diff)
                return
            batch.entries, batch.size, batch.compared = [], 0, 0
    _write(diff, batch, after, position, sides, is_last=True)


def _write(
    diff: SnapshotDiff, batch: _Batch, after: str, position: int, sides: list[Side], *, is_last: bool = False
) -> int:
    """Store a batch and where to go on. The sides may have moved past `after` already: they never fall behind it."""
    kinds = Counter(found["op"] for found in batch.entries)
    with held(diff) as row:
        if batch.entries:
            DiffChunk.objects.create(
                diff=row,
                position=position,
                last_id=batch.entries[-1]["id"],
                entity_count=len(batch.entries),
                data=packed(batch.entries),
            )
            position += 1
        got_on(
            row,
            added_count=row.added_count + kinds["added"],
            removed_count=row.removed_count + kinds["removed"],
            changed_count=row.changed_count + kinds["changed"],
            fields=dict(batch.fields),
            done_count=row.done_count + batch.compared,
            resume={"after": after, "sides": [side.position for side in sides], "position": position},
        )
        if is_last:
            closed(row, SnapshotDiff.State.DONE)
    return position


def fail_diff(diff: SnapshotDiff, error: DomainError) -> None:
    """Give a diff up; comparing again begins it anew."""
    with held(diff) as row:
        closed(row, SnapshotDiff.State.FAILED, error=error.message[:1000])
