"""Taking snapshots: asked for, then read page by page under a lease; and what is kept of them."""

from __future__ import annotations

import time
from datetime import timedelta
from typing import Any

from django.db.models import Max

from apps.engine.bell import ring
from apps.engine.operations import publish
from apps.foundation.actor import Actor
from apps.foundation.clock import now
from apps.foundation.errors import Conflict, DomainError, NotFound
from apps.foundation.operations import operation
from apps.foundation.subjects import Subject
from apps.people.queries import user_of
from apps.state.entities.events import SnapshotFailed, SnapshotStopped, SnapshotTaken
from apps.state.entities.leases import SLICE_SECONDS, closed, got_on, held, keep, release
from apps.state.entities.models import EntitySource, Snapshot, SnapshotChunk
from apps.state.entities.operations.authoring import locked_source
from apps.state.entities.operations.keeping import retain
from apps.state.entities.packing import chunk_sum, pack
from apps.state.entities.permissions import SNAPSHOT, require_may
from apps.state.entities.protocol import BadAnswer, PageTooLong, read_page
from apps.state.entities.queries import SUBJECT_KIND, due_sources
from apps.state.operations.recording import clean_text, stored_key

TASK, QUEUE = "state.entities", "bulk"
MOST_ENTITIES = 2_000_000
MOST_STORED_BYTES = 4 * 1024**3


@operation
def take_snapshot(
    source_id: int, *, reason: str = "", origin: str = Snapshot.Origin.ASKED, effect_key: str = "", actor: Actor
) -> Snapshot:
    """Ask for a snapshot; a worker reads the source as soon as one is free. A repeat with the same key finds it.

    Needs `state.snapshot_entitysource`, or to lead the owning team. Raises NotFound, Forbidden, and Conflict
    "snapshot_running" while another one of the source is being taken.
    """
    source = locked_source(source_id)
    require_may(actor, source, SNAPSHOT)
    key = stored_key(effect_key) if effect_key else ""
    known = Snapshot.objects.filter(source=source, effect_key=key).first() if key else None
    if known is not None:
        return known
    running = Snapshot.objects.filter(source=source, state__in=Snapshot.OPEN).first()
    if running is not None:
        raise Conflict(
            f"Snapshot {running.number} of {source.name} is being taken: wait until it is done.",
            code="snapshot_running",
            extra={"snapshot": running.pk},
        )
    last = Snapshot.objects.filter(source=source).aggregate(last=Max("number"))["last"] or 0
    made = Snapshot.objects.create(
        source=source,
        number=last + 1,
        origin=origin,
        reason=clean_text(reason, "reason"),
        author=user_of(actor),
        author_name=actor.name[:120],
        effect_key=key,
    )
    ring(TASK, QUEUE)
    return made


@operation
def stop_snapshot(snapshot_id: int, *, reason: str = "", actor: Actor) -> Snapshot:
    """Let a snapshot be taken no further, at once: what was read of it goes, and its worker writes nothing any more.

    A repeat changes nothing. Needs `state.snapshot_entitysource`, or to lead the owning team. Raises NotFound, and
    Conflict "snapshot_over" for one that is done or has failed.
    """
    snapshot = _locked(snapshot_id, actor)
    why = clean_text(reason, "reason")
    if snapshot.state == Snapshot.State.STOPPED:
        return snapshot
    if not snapshot.is_open:
        raise Conflict(f"Snapshot {snapshot.number} of {snapshot.source.name} is over already.", code="snapshot_over")
    said = f"Stopped by {actor.name}{f': {why}' if why else '.'}"
    _empty(snapshot, Snapshot.State.STOPPED, said, fence=snapshot.fence + 1)
    event = SnapshotStopped(
        **told(snapshot.source), snapshot_id=snapshot.pk, number=snapshot.number, author=actor.name, reason=why
    )
    publish(event, subject=subject_of(snapshot.source), actor=actor)
    return snapshot


@operation
def pin_snapshot(snapshot_id: int, *, pinned: bool, reason: str = "", actor: Actor) -> Snapshot:
    """Keep a snapshot from retention, or no longer. A repeat changes nothing. Pinning needs a reason.

    Needs `state.snapshot_entitysource`, or to lead the owning team.
    """
    snapshot = _locked(snapshot_id, actor)
    why = clean_text(reason, "reason", required=pinned)
    if snapshot.pinned != pinned:
        keep(snapshot, pinned=pinned, pin_reason=f"{actor.name}: {why}"[:300] if pinned else "")
    return snapshot


def _locked(snapshot_id: int, actor: Actor) -> Snapshot:
    rows = Snapshot.objects.select_for_update(of=("self",)).select_related("source__service")
    snapshot = rows.filter(pk=snapshot_id).first()
    if snapshot is None:
        raise NotFound("There is no such snapshot.")
    require_may(actor, snapshot.source, SNAPSHOT)
    return snapshot


def ask_when_due() -> int:
    """Ask for the snapshots whose time has come; returns how many sources were handled.

    The next time is written in the same transaction, so that a source is asked for once; one whose snapshot still
    runs is passed over.
    """
    found = list(due_sources(now()).values_list("pk", flat=True)[:20])
    return sum(_ask_and_move_on(pk, reason="by itself", actor=Actor.system("entities")) for pk in found)


@operation
def _ask_and_move_on(source_id: int, *, reason: str, actor: Actor) -> int:
    source, at = locked_source(source_id), now()
    if source.next_snapshot_at is None or source.next_snapshot_at > at or not source.snapshot_every_seconds:
        return 0
    source.next_snapshot_at = at + timedelta(seconds=source.snapshot_every_seconds)
    source.save_without_historical_record(update_fields=["next_snapshot_at"])  # type: ignore[attr-defined]  # of simple-history
    if not Snapshot.objects.filter(source=source, state__in=Snapshot.OPEN).exists():
        take_snapshot(source_id, reason=reason, origin=Snapshot.Origin.CADENCE, actor=actor)
    return 1


# --- the work -------------------------------------------------------------------------------------------------------


def advance_snapshot(snapshot: Snapshot) -> None:
    """Read pages for a slice of time; each is stored before the next is asked for, so nothing is read twice.

    A worker that dies loses at most the page that it was reading: whoever claims the snapshot next goes on after
    the last stored entity. Raises what the protocol raises, and Lost.
    """
    last = snapshot.chunks.order_by("-position").first()
    position, after = (last.position + 1, last.last_id) if last else (0, "")
    until = time.monotonic() + SLICE_SECONDS
    while True:
        try:
            page = read_page(snapshot.source, after=after, limit=snapshot.page_size)
        except PageTooLong:
            if snapshot.page_size == 1:
                raise
            snapshot.page_size = max(1, snapshot.page_size // 4)
            with held(snapshot) as row:
                keep(row, page_size=snapshot.page_size, lease_until=row.lease_until)
            continue
        if not page.entities:
            _finish(snapshot)
            return
        with held(snapshot) as row:
            packs = list(pack(page.entities))
            SnapshotChunk.objects.bulk_create(
                SnapshotChunk(
                    snapshot=row,
                    position=position + at,
                    first_id=each.first_id,
                    last_id=each.last_id,
                    entity_count=each.count,
                    checksum=each.checksum,
                    data=each.data,
                )
                for at, each in enumerate(packs)
            )
            got_on(
                row,
                done_count=row.done_count + len(page.entities),
                total_count=page.total if page.total is not None else row.total_count,
                raw_bytes=row.raw_bytes + sum(each.raw_bytes for each in packs),
                stored_bytes=row.stored_bytes + sum(len(each.data) for each in packs),
            )
        if row.done_count > MOST_ENTITIES or row.stored_bytes > MOST_STORED_BYTES:
            raise BadAnswer(f"{snapshot.source.name} has more than a snapshot holds ({MOST_ENTITIES:,} entities).")
        position, after = position + len(packs), page.entities[-1].id
        if time.monotonic() > until:
            release(snapshot)
            return


def _finish(snapshot: Snapshot) -> None:
    with held(snapshot) as row:
        sums = row.chunks.order_by("position").values_list("checksum", flat=True)
        whole = chunk_sum(sums)
        closed(row, Snapshot.State.DONE, checksum=whole, total_count=row.done_count, attempts=0)
        event = SnapshotTaken(
            **told(snapshot.source),
            snapshot_id=row.pk,
            number=row.number,
            entity_count=row.done_count,
            checksum=whole,
        )
        publish(event, subject=subject_of(snapshot.source), actor=Actor.system("entities"))
    retain(snapshot.source)


def fail_snapshot(snapshot: Snapshot, error: DomainError) -> None:
    """Give a snapshot up: nothing of it is kept but why."""
    with held(snapshot) as row:
        _empty(row, Snapshot.State.FAILED, error.message)
        event = SnapshotFailed(
            **told(snapshot.source), snapshot_id=row.pk, number=row.number, error=error.message[:1000]
        )
        publish(event, subject=subject_of(snapshot.source), actor=Actor.system("entities"))


def _empty(row: Snapshot, state: str, error: str, **fields: Any) -> None:
    """The end of a snapshot that will never be one: nothing of it is kept but why."""
    row.chunks.all().delete()
    closed(row, state, error=error[:1000], done_count=0, raw_bytes=0, stored_bytes=0, **fields)


def told(source: EntitySource) -> dict[str, Any]:
    """What every event says."""
    return {"source_id": source.pk, "slug": source.slug, "name": source.name}


def subject_of(source: EntitySource) -> Subject:
    """The source as what events and audits speak of."""
    return Subject(SUBJECT_KIND, str(source.pk))
