"""Putting chosen entities back: a dry run that reads, a person who confirms, a write for each by compare-and-set."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from apps.engine.bell import ring
from apps.foundation.actor import Actor
from apps.foundation.clock import now
from apps.foundation.errors import Conflict, Invalid, NotFound
from apps.foundation.operations import operation
from apps.people.queries import user_of
from apps.state.entities.comparing import Filter, walk
from apps.state.entities.models import EntityRestore, EntitySource, RestoreItem, Snapshot, SnapshotDiff
from apps.state.entities.operations.taking import QUEUE, TASK
from apps.state.entities.operations.writing import advance_restore, fail_restore
from apps.state.entities.permissions import RESTORE, require_may
from apps.state.entities.protocol import Version, check_id
from apps.state.operations.recording import clean_text, stored_key

__all__ = [
    "advance_restore",
    "confirm_restore",
    "fail_restore",
    "plan_restore",
    "plan_restore_of_diff",
    "plan_undo",
    "resume_restore",
    "start_restore",
    "stop_restore",
]
MOST_RESTORED = 10_000
STOPPED = "It was stopped before this one was begun. It stays as it is."
SETTLED = "It was being written when the restore was stopped, and so was brought to its end."


@operation
def plan_restore(
    snapshot_id: int, ids: Iterable[str], *, reason: str = "", chosen: str = "", effect_key: str = "", actor: Actor
) -> EntityRestore:
    """Ask for the dry run of putting these entities back: a worker reads each, writes nothing, and it waits.

    A repeat with the same key finds it. Needs `state.restore_entitysource`, or to lead the owning team. Raises
    NotFound; Invalid for no id, a bad one, or over ten thousand; Conflict for a snapshot that is not done.
    """
    snapshot = _snapshot(snapshot_id, actor)
    wanted = sorted({check_id(each) for each in ids})
    told = chosen or f"{len(wanted)} chosen by id"
    return _begin(snapshot.source, wanted, snapshot=snapshot, chosen=told, key=effect_key, reason=reason, actor=actor)


@operation
def plan_restore_of_diff(
    diff_id: int, chosen: Filter, *, reason: str = "", effect_key: str = "", actor: Actor
) -> EntityRestore:
    """The same for all entities of a diff that a filter finds: they go back to the diff's first snapshot.

    Raises Invalid where it can't be told of one whether it fits, too.
    """
    diff = SnapshotDiff.objects.select_related("before__source").filter(pk=diff_id).first()
    if diff is None:
        raise NotFound("There is no such diff.")
    snapshot = _snapshot(diff.before_id, actor)
    if diff.state != SnapshotDiff.State.DONE:
        raise Conflict("The two snapshots are still being compared.", code="diff_not_done")
    ids: list[str] = []
    for found in walk(diff, chosen):
        if found.get("may_fit"):
            sentence = f"{found['id']} differs at more places than a diff keeps, so it is not known whether it fits."
            raise Invalid(f"{sentence} Restore by id.", fields={"filter": [sentence]})
        ids.append(found["id"])
        if len(ids) > MOST_RESTORED:
            break
    told = f"{chosen.told()} of snapshot {diff.before.number} → a later one"
    return _begin(snapshot.source, ids, snapshot=snapshot, chosen=told, key=effect_key, reason=reason, actor=actor)


@operation
def plan_undo(restore_id: int, *, reason: str = "", effect_key: str = "", actor: Actor) -> EntityRestore:
    """The dry run of putting back what a restore replaced, where nobody has changed it since."""
    restore = EntityRestore.objects.select_related("source__service").filter(pk=restore_id).first()
    if restore is None:
        raise NotFound("There is no such restore.")
    require_may(actor, restore.source, RESTORE)
    done = list(restore.items.filter(state=RestoreItem.State.RESTORED).only("entity_id", "new_version"))
    expected = {item.entity_id: item.new_version for item in done}
    return _begin(
        restore.source,
        list(expected),
        undoes=restore,
        chosen=f"what restore {restore.pk} replaced",
        expected=expected,
        key=effect_key,
        reason=reason,
        actor=actor,
    )


@operation
def start_restore(
    source_id: int,
    expected: Mapping[str, Version],
    *,
    snapshot_id: int | None = None,
    undoes_id: int | None = None,
    reason: str,
    effect_key: str,
    actor: Actor,
) -> EntityRestore:
    """A restore that was looked at and approved elsewhere: it writes at once, only over the versions named.

    `expected` maps each id to the version that was seen live, None where there was none. A repeat with the same key
    finds it. Errors as `plan_restore`.
    """
    snapshot: Snapshot | None = None
    undoes: EntityRestore | None = None
    if snapshot_id is not None:
        snapshot = _snapshot(snapshot_id, actor)
        source = snapshot.source
    else:
        undoes = EntityRestore.objects.select_related("source__service").filter(pk=undoes_id or 0).first()
        if undoes is None:
            raise NotFound("There is no such restore.")
        source = undoes.source
        require_may(actor, source, RESTORE)
    if source.pk != source_id:
        raise Invalid("They belong to another source.")
    ids = [check_id(each) for each in expected]
    made = _begin(
        source,
        ids,
        snapshot=snapshot,
        undoes=undoes,
        chosen=f"{len(ids)} chosen by id",
        expected=expected,
        key=effect_key,
        reason=reason,
        actor=actor,
    )
    if made.confirmed_at is None:
        made.confirmed_at, made.confirmed_by_name = now(), actor.name[:120]
        made.save()
    return made


@operation
def confirm_restore(restore_id: int, *, expected_checksum: str, reason: str, actor: Actor) -> EntityRestore:
    """Let a dry run that waits be carried out, exactly as it was seen. A repeat changes nothing. Needs a reason.

    Raises Conflict "restore_not_ready" while it still looks or is over, "restore_changed" when `expected_checksum`
    is not that of the dry run.
    """
    restore = _locked(restore_id, actor)
    if restore.confirmed_at is not None:
        return restore
    if restore.state != EntityRestore.State.READY:
        raise Conflict("The dry run is not done: wait for it, or plan anew.", code="restore_not_ready")
    if restore.checksum != expected_checksum:
        raise Conflict("This is not the dry run that you looked at: look again.", code="restore_changed")
    restore.reason = clean_text(reason, "reason", required=True)
    restore.confirmed_at, restore.confirmed_by_name = now(), actor.name[:120]
    restore.state, restore.due_at, restore.attempts = EntityRestore.State.WAITING, now(), 0
    restore.done_count = 0
    restore.total_count = restore.items.exclude(state__in=RestoreItem.OVER).count()
    restore.save()
    ring(TASK, QUEUE)
    return restore


@operation
def resume_restore(restore_id: int, *, reason: str = "", actor: Actor) -> EntityRestore:
    """Let a restore that failed halfway go on where it stood: what is done stays done. A repeat changes nothing.

    Raises Conflict "restore_of_runbook" for one that a runbook began: its execution has gone on without it.
    """
    restore = _locked(restore_id, actor)
    if restore.is_of_runbook:
        raise Conflict("A runbook began this restore: execute it again, or plan anew.", code="restore_of_runbook")
    if restore.state == EntityRestore.State.FAILED:
        restore.state, restore.due_at, restore.attempts = EntityRestore.State.WAITING, now(), 0
        restore.error, restore.finished_at = "", None
        restore.save()
        ring(TASK, QUEUE)
    return restore


@operation
def stop_restore(restore_id: int, *, reason: str = "", actor: Actor) -> EntityRestore:
    """Let a restore begin no further entity: those that wait are refused. What is over changes nothing.

    One whose write is on its way is brought to its end, by reading or with the same key, so that nobody has to guess;
    until then the restore is open. A worker that has it now writes down nothing more. Errors as `resume_restore`.
    """
    restore = _locked(restore_id, actor)
    if restore.state == EntityRestore.State.DONE:
        return restore
    waiting = restore.items.filter(state__in=[RestoreItem.State.WAITING, RestoreItem.State.SEEN])
    stopped = waiting.update(state=RestoreItem.State.REFUSED, note=STOPPED, finished_at=now())
    in_doubt = restore.items.filter(state=RestoreItem.State.SENDING, note="").update(note=SETTLED)
    if not stopped and not in_doubt:  # a repeat
        return restore
    restore.state, restore.due_at, restore.attempts = EntityRestore.State.WAITING, now(), 0
    restore.fence, restore.lease_until = restore.fence + 1, None
    restore.error, restore.finished_at = "", None
    restore.save()
    ring(TASK, QUEUE)
    return restore


def _snapshot(snapshot_id: int, actor: Actor) -> Snapshot:
    rows = Snapshot.objects.select_for_update(of=("self",)).select_related("source__service")
    found = rows.filter(pk=snapshot_id).first()
    if found is None:
        raise NotFound("There is no such snapshot.")
    require_may(actor, found.source, RESTORE)
    if found.state != Snapshot.State.DONE:
        raise Conflict(f"Snapshot {found.number} of {found.source.name} is not done.", code="snapshot_not_done")
    return found


def _locked(restore_id: int, actor: Actor) -> EntityRestore:
    rows = EntityRestore.objects.select_for_update(of=("self",)).select_related("source__service")
    found = rows.filter(pk=restore_id).first()
    if found is None:
        raise NotFound("There is no such restore.")
    require_may(actor, found.source, RESTORE)
    return found


def _begin(
    source: EntitySource,
    ids: list[str],
    *,
    snapshot: Snapshot | None = None,
    undoes: EntityRestore | None = None,
    chosen: str,
    expected: Mapping[str, Any] | None = None,
    key: str,
    reason: str,
    actor: Actor,
) -> EntityRestore:
    stored = stored_key(key) if key else ""
    known = EntityRestore.objects.filter(source=source, effect_key=stored).first() if stored else None
    if known is not None:
        return known
    _check_count(len(ids))
    made = EntityRestore.objects.create(
        source=source,
        snapshot=snapshot,
        undoes=undoes,
        chosen=chosen[:300],
        total_count=len(ids),
        reason=clean_text(reason, "reason"),
        author=user_of(actor),
        author_name=actor.name[:120],
        effect_key=stored,
    )
    RestoreItem.objects.bulk_create(
        [
            RestoreItem(
                restore=made,
                entity_id=each,
                is_expected=expected is not None,
                expected_version=expected.get(each) if expected is not None else None,
            )
            for each in ids
        ],
        batch_size=500,
    )
    ring(TASK, QUEUE)
    return made


def _check_count(count: int) -> None:
    sentence = ""
    if not count:
        sentence = "Choose at least one entity."
    elif count > MOST_RESTORED:
        sentence = f"These are more than {MOST_RESTORED:,} entities: narrow the filter, and restore in parts."
    if sentence:
        raise Invalid(sentence, fields={"ids": [sentence]})
