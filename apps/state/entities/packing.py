"""Entities as compressed lines of JSON: written in chunks, read one chunk at a time, and verified."""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import orjson

from apps.foundation.errors import Conflict
from apps.state.entities.models import Snapshot, SnapshotChunk
from apps.state.entities.protocol import Entity

MOST_IN_CHUNK = 1000
MOST_CHUNK_BYTES = 1024 * 1024
MOST_INFLATED_BYTES = 8 * MOST_CHUNK_BYTES
_LEVEL = 6


@dataclass(frozen=True, slots=True)
class Packed:
    """One chunk, ready to be stored."""

    first_id: str
    last_id: str
    count: int
    raw_bytes: int
    checksum: str
    data: bytes


class Damaged(Conflict):
    """A stored chunk is not what was written."""

    code = "snapshot_damaged"


def pack(entities: Iterable[Entity]) -> Iterator[Packed]:
    """Chunks of at most a thousand entities and a mebibyte (or one entity) each, in the order given."""
    lines: list[bytes] = []
    ids: list[str] = []
    size = 0
    for entity in entities:
        line = orjson.dumps(
            {"id": entity.id, "version": entity.version, "document": entity.document}, option=orjson.OPT_SORT_KEYS
        )
        if lines and (len(lines) == MOST_IN_CHUNK or size + len(line) > MOST_CHUNK_BYTES):
            yield _packed(ids, lines)
            lines, ids, size = [], [], 0
        lines.append(line)
        ids.append(entity.id)
        size += len(line) + 1
    if lines:
        yield _packed(ids, lines)


def _packed(ids: list[str], lines: list[bytes]) -> Packed:
    raw = b"\n".join(lines)
    return Packed(
        first_id=ids[0],
        last_id=ids[-1],
        count=len(ids),
        raw_bytes=len(raw),
        checksum=hashlib.sha256(raw).hexdigest(),
        data=zlib.compress(raw, _LEVEL),
    )


def unpacked(chunk: SnapshotChunk) -> bytes:
    """The lines of a chunk. Raises Damaged unless they have the checksum that they were stored with."""
    raw = inflated(bytes(chunk.data))
    if raw is None or hashlib.sha256(raw).hexdigest() != chunk.checksum:
        raise Damaged(
            f"Snapshot {chunk.snapshot_id} is damaged: chunk {chunk.position} ({chunk.first_id} to {chunk.last_id}) "
            "is not what was stored. Choose another snapshot."
        )
    return raw


def inflated(data: bytes) -> bytes | None:
    """What was compressed; None for what is broken, or would be far longer than any chunk."""
    inflater = zlib.decompressobj()
    try:
        raw = inflater.decompress(data, MOST_INFLATED_BYTES)
    except zlib.error:
        return None
    return raw if inflater.eof else None


def parsed(raw: bytes) -> list[Entity]:
    """The entities of a chunk's lines."""
    rows = (orjson.loads(line) for line in raw.split(b"\n") if line)
    return [Entity(row["id"], row["version"], row["document"]) for row in rows]


def chunk_sum(checksums: Iterable[str]) -> str:
    """The checksum of a whole snapshot: SHA-256 over those of its chunks, in their order."""
    whole = hashlib.sha256()
    for each in checksums:
        whole.update(each.encode())
    return whole.hexdigest()


def chunks_from(snapshot_id: int, position: int = 0) -> Iterator[SnapshotChunk]:
    """The chunks of a snapshot from a position on; one at a time is in memory."""
    while (chunk := SnapshotChunk.objects.filter(snapshot_id=snapshot_id, position=position).first()) is not None:
        yield chunk
        position += 1


def problems_of(snapshot: Snapshot) -> list[str]:
    """Why a snapshot can't be trusted, chunk by chunk; empty when every line is as it was stored."""
    found: list[str] = []
    sums: list[str] = []
    count, last = 0, ""
    for chunk in chunks_from(snapshot.pk):
        sums.append(chunk.checksum)
        count += chunk.entity_count
        if chunk.first_id <= last:
            found.append(f"Chunk {chunk.position} begins with {chunk.first_id}, which is not after {last}.")
        last = chunk.last_id
        try:
            unpacked(chunk)
        except Damaged as error:
            found.append(error.message)
    if count != snapshot.done_count:
        found.append(f"It should hold {snapshot.done_count} entities, but there are {count}.")
    if chunk_sum(sums) != snapshot.checksum:
        found.append("Its chunks are not those whose checksum was noted when it was done.")
    return found


def require_whole(snapshot: Snapshot) -> None:
    """Raise Damaged unless the whole snapshot verifies, Conflict unless it is done."""
    if snapshot.state != Snapshot.State.DONE:
        raise Conflict(f"Snapshot {snapshot.number} of {snapshot.source.name} is not done.", code="snapshot_not_done")
    if problems := problems_of(snapshot):
        raise Damaged(problems[0])


def found_in(snapshot: Snapshot, ids: Iterable[str]) -> dict[str, Entity]:
    """Those of `ids` that a snapshot holds; each chunk is opened at most once. Raises Damaged."""
    wanted = sorted(set(ids))
    bounds = list(snapshot.chunks.order_by("position").values_list("position", "first_id", "last_id"))
    result: dict[str, Entity] = {}
    at = 0
    for position, first_id, last_id in bounds:
        begin = at
        while at < len(wanted) and wanted[at] <= last_id:
            at += 1
        here = {each for each in wanted[begin:at] if each >= first_id}
        if here:
            chunk = snapshot.chunks.get(position=position)
            result |= {entity.id: entity for entity in parsed(unpacked(chunk)) if entity.id in here}
    return result


def listed(snapshot: Snapshot, *, after: str, limit: int) -> list[Entity]:
    """Entities of a snapshot after an id, for reading through it; opens only the chunks that hold them."""
    bounds = snapshot.chunks.order_by("position").values_list("position", "last_id")
    result: list[Entity] = []
    for position, last_id in list(bounds):
        if last_id <= after:
            continue
        chunk = snapshot.chunks.get(position=position)
        result += [entity for entity in parsed(unpacked(chunk)) if entity.id > after]
        if len(result) >= limit:
            break
    return result[:limit]
