"""What a restore would do to a few entities, computed at once without writing a row."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from apps.state.contents import checksum
from apps.state.diffs import structural_diff
from apps.state.entities.models import EntitySource, RestoreItem, Snapshot
from apps.state.entities.packing import found_in, require_whole
from apps.state.entities.protocol import Version, check_id, read_one

NOT_IN_SNAPSHOT = "It is not in the snapshot: there is nothing to put back, and the portal deletes nothing."
NOT_THERE_BEFORE = "It did not exist before the restore: the portal deletes nothing."
_MOST_PLACES = 100


@dataclass(frozen=True, slots=True)
class Look:
    """One entity: what is live, and how it would change. With a `problem` it would stay as it is.

    `changes` are at most a hundred of the `change_count` places that differ.
    """

    id: str
    version: Version = None
    live_checksum: str = ""
    wanted_checksum: str = ""
    changes: list[dict[str, Any]] = field(default_factory=list)
    change_count: int = 0
    problem: str = ""


def look_at(
    source: EntitySource, ids: Sequence[str], *, snapshot: Snapshot | None, undoes_id: int | None
) -> list[Look]:
    """Read each entity where it lives and compare it with what would go back. Writes nothing.

    Raises Invalid for a bad id, Damaged for a snapshot that does not verify, LiveUnreachable. Not in a transaction.
    """
    wanted = [check_id(each) for each in dict.fromkeys(ids)]
    if snapshot is not None:
        require_whole(snapshot)
        targets = {key: entity.document for key, entity in found_in(snapshot, wanted).items()}
    else:
        rows = RestoreItem.objects.filter(restore_id=undoes_id, entity_id__in=wanted, backup__isnull=False)
        targets = dict(rows.filter(restore__source=source).values_list("entity_id", "backup"))
    missing = NOT_IN_SNAPSHOT if snapshot is not None else NOT_THERE_BEFORE
    return [_look(source, each, targets[each]) if each in targets else Look(each, problem=missing) for each in wanted]


def _look(source: EntitySource, entity_id: str, target: Any) -> Look:
    live = read_one(source, entity_id)
    changes = structural_diff(live.document or {}, target)
    return Look(
        entity_id,
        version=live.version,
        live_checksum=live.checksum,
        wanted_checksum=checksum(target),
        changes=changes[:_MOST_PLACES],
        change_count=len(changes),
    )
