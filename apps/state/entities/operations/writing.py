"""The work of a restore: the dry run's look at each entity, then backup, write and reading back, one by one."""

from __future__ import annotations

import hashlib
import time
from typing import Any

from apps.catalog.models import Change
from apps.catalog.operations import NewChange, record_change
from apps.engine.operations import publish
from apps.foundation.actor import Actor
from apps.foundation.clock import now
from apps.foundation.errors import Conflict, DomainError
from apps.state.contents import checksum
from apps.state.diffs import structural_diff
from apps.state.entities.events import EntitiesRestored
from apps.state.entities.leases import MOST_ATTEMPTS, SLICE_SECONDS, closed, got_on, held, keep, release
from apps.state.entities.looking import NOT_IN_SNAPSHOT, NOT_THERE_BEFORE
from apps.state.entities.models import EntityRestore, RestoreItem
from apps.state.entities.operations.taking import subject_of, told
from apps.state.entities.packing import found_in, require_whole
from apps.state.entities.protocol import BadAnswer, Entity, read_one, read_page, write_one
from apps.state.live import LiveUnreachable

_AT_ONCE = 50
_MOST_PLACES = 100
_MOST_FAILING = 3  # so many in a row are no single entities any more: the source is in trouble
_PAUSE_SECONDS = 4.0
State = RestoreItem.State


def advance_restore(restore: EntityRestore) -> None:
    """Look at entities, or write them, for a slice of time. Raises Damaged, LiveUnreachable, Lost.

    One for which the source fails stands back for the others of the slice, and is tried again in the next.
    """
    if restore.snapshot is not None and restore.done_count == 0:  # each chunk is verified again when it is opened
        require_whole(restore.snapshot)
    slice_ = _Slice(restore)
    open_states = [State.WAITING] if restore.confirmed_at is None else [State.WAITING, State.SEEN, State.SENDING]
    while True:
        rows = restore.items.filter(state__in=open_states).exclude(pk__in=slice_.failing)
        items = list(rows.order_by("pk")[:_AT_ONCE])
        if not items:
            break
        wanted = targets(restore, [item.entity_id for item in items])
        for item in items:
            slice_.do(item, wanted.get(item.entity_id))
            if slice_.is_over():
                release(restore)
                return
    if slice_.failing:
        slice_.stand_back()
    else:
        _come_to_rest(restore)


class _Slice:
    """What a slice of time has done, and the entities that failed in it."""

    def __init__(self, restore: EntityRestore) -> None:
        self.restore = restore
        self.failing: dict[int, LiveUnreachable] = {}
        self.in_a_row = 0
        self.has_moved = False
        self.until = time.monotonic() + SLICE_SECONDS

    def is_over(self) -> bool:
        return time.monotonic() > self.until

    def do(self, item: RestoreItem, target: Any) -> None:
        """One entity. Raises LiveUnreachable after some that failed in a row."""
        began = time.monotonic()
        try:
            (_look if self.restore.confirmed_at is None else _put_back)(self.restore, item, target)
        except BadAnswer as error:
            doubt = "It may have been written. " if item.state == State.SENDING else ""
            _noted(self.restore, item, state=State.REFUSED, note=f"{doubt}{error.message}"[:500])
        except LiveUnreachable as error:
            self.failing[item.pk] = error
            self.in_a_row += 1
            if self.in_a_row >= _MOST_FAILING:
                raise
            self.until += time.monotonic() - began  # waiting for one must not keep the others from their turn
            with held(self.restore) as row:
                keep(row, lease_until=row.lease_until)
            return
        self.in_a_row, self.has_moved = 0, True

    def stand_back(self) -> None:
        """Try what failed later; refuse it after the last attempt where the source answers for others."""
        error = next(iter(self.failing.values()))
        if self.has_moved:
            release(self.restore, pause_seconds=_PAUSE_SECONDS, error=error.message[:1000])
            return
        through = [State.RESTORED] if self.restore.confirmed_at else [State.SEEN, State.UNCHANGED]
        others = self.restore.items.filter(state__in=through)
        if self.restore.attempts < MOST_ATTEMPTS or not others.exists():
            raise error
        read_page(self.restore.source, after="", limit=1)
        for item in self.restore.items.filter(pk__in=self.failing):
            doubt = "It may have been written. " if item.state == State.SENDING else ""
            note = f"{doubt}Tried {MOST_ATTEMPTS} times: {self.failing[item.pk].message}"
            _noted(self.restore, item, state=State.REFUSED, note=note[:500])
        release(self.restore)


def targets(restore: EntityRestore, ids: list[str]) -> dict[str, Any]:
    """The documents that are to go back, by id; without those that there are none of. Raises Damaged."""
    if restore.snapshot is not None:
        return {key: entity.document for key, entity in found_in(restore.snapshot, ids).items()}
    rows = RestoreItem.objects.filter(restore_id=restore.undoes_id, entity_id__in=ids, backup__isnull=False)
    return dict(rows.values_list("entity_id", "backup"))


def missing(restore: EntityRestore) -> str:
    """Why there is nothing to put back of an entity."""
    return NOT_IN_SNAPSHOT if restore.snapshot_id is not None else NOT_THERE_BEFORE


def fail_restore(restore: EntityRestore, error: DomainError) -> None:
    """Stop: what is done stays done, the rest waits until somebody lets it go on."""
    with held(restore) as row:
        closed(row, EntityRestore.State.FAILED, error=error.message[:1000])


# --- one entity -----------------------------------------------------------------------------------------------------


def overtaken(item: RestoreItem, live: Entity) -> str:
    """Why a restore would write over what nobody looked at; empty when it would not."""
    if not item.is_expected or live.version == item.expected_version:
        return ""
    seen = "it did not exist" if item.expected_version is None else f"version {item.expected_version}"
    here = f"version {live.version} is live" if live.exists else "it is gone"
    return f"Somebody changed it: {here}, and {seen} when it was looked at. It stays as it is."


def _look(restore: EntityRestore, item: RestoreItem, target: Any) -> None:
    """What a restore would do to an entity, without doing it."""
    if target is None:
        _noted(restore, item, state=State.REFUSED, note=missing(restore))
        return
    live = read_one(restore.source, item.entity_id)
    if problem := overtaken(item, live):
        _noted(restore, item, state=State.REFUSED, note=problem)
        return
    same = live.exists and live.checksum == checksum(target)
    _noted(
        restore,
        item,
        state=State.UNCHANGED if same else State.SEEN,
        is_expected=True,
        expected_version=live.version,
        seen_checksum=live.checksum,
        changes=structural_diff(live.document or {}, target)[:_MOST_PLACES],
    )


def _put_back(restore: EntityRestore, item: RestoreItem, target: Any) -> None:
    """Backup, write, read back. After an attempt that was lost, the same key goes out, or reading shows it is done."""
    if target is None:
        _noted(restore, item, state=State.REFUSED, note=missing(restore))
        return
    live = read_one(restore.source, item.entity_id)
    wanted = checksum(target)
    if live.exists and live.checksum == wanted:
        done = State.RESTORED if item.state == State.SENDING else State.UNCHANGED
        _noted(restore, item, state=done, new_version=live.version)
        return
    problem = _changed_while_sending(item, live) if item.state == State.SENDING else overtaken(item, live)
    if problem:
        _noted(restore, item, state=State.REFUSED, note=problem)
        return
    if item.state != State.SENDING:
        with held(restore) as row:
            keep(row, lease_until=row.lease_until)
            item.state, item.backup, item.backup_version = State.SENDING, live.document, live.version
            item.save(update_fields=["state", "backup", "backup_version"])
    doubt: LiveUnreachable | None = None
    try:
        refused = _written(restore, item, target, live)
    except LiveUnreachable as error:
        if not error.extra.get("maybe_sent"):
            raise
        doubt, refused = error, ""
    if refused:
        _noted(restore, item, state=State.REFUSED, note=refused)
        return
    found = read_one(restore.source, item.entity_id)
    if found.exists and found.checksum == wanted:
        _noted(restore, item, state=State.RESTORED, new_version=found.version)
    elif doubt is not None and found.version == live.version:
        raise doubt  # nothing happened yet: it stays SENDING, and the same key goes out again
    else:
        note = "The source took it, but shows something else now: somebody else writes there. Look at it."
        _noted(restore, item, state=State.REFUSED, note=note)


def _changed_while_sending(item: RestoreItem, live: Entity) -> str:
    if live.version == item.backup_version:
        return ""
    return (
        f"A worker died while it was being written, and now something else is live (version {live.version}): "
        "look at it, and plan anew if it shall go back."
    )


def _written(restore: EntityRestore, item: RestoreItem, target: Any, live: Entity) -> str:
    """Write it; why it was refused, or nothing. Raises LiveUnreachable: where it is doubtful, the caller reads."""
    try:
        write_one(
            restore.source,
            item.entity_id,
            target,
            replacing=live.version,
            idempotency_key=f"portal-restore-{restore.pk}-{item.pk}",
            author=restore.confirmed_by_name or restore.author_name,
            note=restore.reason,
        )
    except Conflict:
        found = read_one(restore.source, item.entity_id)
        if found.exists and found.checksum == checksum(target):
            return ""
        return f"Somebody changed it at the very moment: version {found.version} is live. It stays as it is."
    except LiveUnreachable as error:
        if error.code == "source_refused":
            return error.message[:500]
        raise
    return ""


def _noted(restore: EntityRestore, item: RestoreItem, **fields: Any) -> None:
    """Store what came of an entity, and count it."""
    with held(restore) as row:
        for name, value in fields.items():
            setattr(item, name, value)
        item.finished_at = now() if item.state in RestoreItem.OVER else None
        item.save(update_fields=[*fields, "finished_at"])
        got_on(row, done_count=row.done_count + 1)


# --- the end --------------------------------------------------------------------------------------------------------


def _come_to_rest(restore: EntityRestore) -> None:
    if restore.confirmed_at is None:
        with held(restore) as row:
            row.finished_at = None
            sums = row.items.order_by("pk").values_list("entity_id", "state", "seen_checksum")
            summed = hashlib.sha256(repr(list(sums)).encode()).hexdigest()
            refused = row.items.filter(state=State.REFUSED).count()
            if row.items.filter(state=State.SEEN).exists():
                row.checksum, row.refused_count = summed, refused
                row.state, row.lease_until = EntityRestore.State.READY, None
                row.save()
            else:  # there is nothing that anybody could confirm
                closed(row, EntityRestore.State.DONE, checksum=summed, refused_count=refused)
        return
    with held(restore) as row:
        restored = row.items.filter(state=State.RESTORED).count()
        refused = row.items.filter(state=State.REFUSED).count()
        closed(row, EntityRestore.State.DONE, restored_count=restored, refused_count=refused)
        _tell(row)


def _tell(row: EntityRestore) -> None:
    source, actor = row.source, Actor.system("entities")
    number = row.snapshot.number if row.snapshot else None
    event = EntitiesRestored(
        **told(source),
        restore_id=row.pk,
        snapshot_number=number,
        restored=row.restored_count,
        refused=row.refused_count,
        author=row.confirmed_by_name,
        reason=row.reason,
    )
    publish(event, subject=subject_of(source), actor=actor)
    if row.restored_count:
        goal = f"to snapshot {number}" if number else f"to what restore {row.undoes_id} replaced"
        record_change(
            NewChange(
                # Without the reason: it may speak of a private incident, and everybody sees what changed.
                title=f"{source.name}: {row.restored_count} put back {goal}"[:300],
                kind=Change.Kind.CONFIG,
                service_id=source.service_id,
                environment_id=source.environment_id,
                author=row.confirmed_by_name[:120],
                source="entities",
                dedup_key=f"restore-{row.pk}",
                labels={"entities": source.slug},
            ),
            actor=actor,
        )
