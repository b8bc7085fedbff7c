"""`snapshot_restore`: some entities go back to what a snapshot holds; undoing puts back what was live."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from django.db.models import Q
from pydantic import Field, StringConstraints, model_validator

from apps.foundation.clock import now
from apps.foundation.errors import DomainError
from apps.runbooks.steps.base import Effect, Options, Outcome, Preview, StepContext, StepKind, written_options
from apps.runbooks.steps.snapshot_take import LOOK_AGAIN, acting, beyond_source
from apps.state.entities import operations
from apps.state.entities.looking import Look, look_at
from apps.state.entities.models import EntityRestore, EntitySource, RestoreItem, Snapshot
from apps.state.entities.packing import found_in
from apps.state.entities.queries import newest, source_by_slug

TARGET = "entity"
_MOST_IDS = 100
_State = RestoreItem.State
_UNSEEN = "The approved plan saw nothing of these entities: make a new dry run."
Id = Annotated[str, StringConstraints(min_length=1, max_length=200)]


class SnapshotRestoreOptions(Options):
    """`with` of a `snapshot_restore`: ids, and the number of a snapshot (the newest unless given).

    `undoes` (a restore's id) puts back what that restore replaced; it is what undoing this step does.
    """

    source: Annotated[str, StringConstraints(pattern=r"^[-a-zA-Z0-9_]{1,60}$")]
    ids: Annotated[list[Id], Field(min_length=1, max_length=_MOST_IDS)]
    snapshot: Annotated[int, Field(ge=1, le=2**31 - 1)] | None = None
    undoes: Annotated[int, Field(ge=1, le=2**63 - 1)] | None = None

    @model_validator(mode="after")
    def one_origin(self) -> SnapshotRestoreOptions:
        """A restore goes back to a snapshot, or undoes another."""
        if self.snapshot is not None and self.undoes is not None:
            raise ValueError("Name a snapshot or what it undoes, not both.")
        return self


class SnapshotRestore(StepKind):
    """Each is written only over the version that the approved plan saw; a backup comes first, reading back last."""

    name = "snapshot_restore"
    title = "Restore entities from a snapshot"
    options = SnapshotRestoreOptions
    outcome_fields = ("source", "restore", "restored", "refused", "unchanged")
    undo_waiting = True
    undo_failed = True

    def effect(self, options: SnapshotRestoreOptions) -> Effect:
        return "internal"

    def preview(self, options: SnapshotRestoreOptions, context: StepContext) -> Preview:
        source, snapshot, problem = _found(options)
        if source is None or problem:
            return Preview(text=problem, problems=[problem])
        try:
            found = look_at(source, options.ids, snapshot=snapshot, undoes_id=options.undoes)
        except DomainError as error:
            return Preview(text=error.message, problems=[error.message])
        needed = [each for each in found if each.changes]
        more = sum(each.change_count - len(each.changes) for each in needed)
        cut = f" {more} more places differ than are shown." if more else ""
        goal = f"snapshot {snapshot.number}" if snapshot else f"what restore {options.undoes} replaced"
        return Preview(
            text=f"Puts {len(needed)} of {len(found)} {source.name} back to {goal}. A backup of each comes first.{cut}",
            diff=[
                {**change, "path": f"{each.id}: {change['path']}".rstrip(": ")}
                for each in needed
                for change in each.changes
            ],
            problems=[f"{each.id}: {each.problem}" for each in found if each.problem],
            targets=[_target(source, each, snapshot) for each in found if not each.problem],
            estimate_seconds=2 + len(needed) // 20,
        )

    def perform(self, options: SnapshotRestoreOptions, context: StepContext) -> Outcome:
        known = _known(options, context)
        if known is None:
            return _not_yet(options) or self._begin(options, context)
        if known.state == EntityRestore.State.FAILED:
            return Outcome("failed", data={"source": options.source, "restore": known.pk}, error=known.error)
        if known.state != EntityRestore.State.DONE:
            context.progress(known.percent or 0)
            return _waits(options, known)
        data = _data(options.source, known)
        context.log(f"{data['restored']} restored, {data['unchanged']} as wanted already, {data['refused']} refused.")
        if known.refused_count:
            refused = known.items.filter(state=_State.REFUSED).order_by("pk")[:3]
            told = " ".join(f"{item.entity_id}: {item.note}" for item in refused)
            if not known.restored_count:
                return Outcome("failed", data=data, error=f"None was put back. {told}")
            if options.undoes is not None:
                return Outcome("failed", data=data, error=f"{known.refused_count} were not put back. {told}")
            context.log(told)
        return Outcome("succeeded", data=data)

    def _begin(self, options: SnapshotRestoreOptions, context: StepContext) -> Outcome:
        source, snapshot, problem = _found(_pinned(options, context))
        if source is None or problem:
            return Outcome("failed", error=problem)
        expected = _expected(source, options, context)
        if expected is None:
            return Outcome("failed", error=_UNSEEN)
        if not expected:
            context.log("Nothing had been put back, so there is nothing to undo.")
            return Outcome("succeeded", data={"source": options.source, "restored": 0, "refused": 0, "unchanged": 0})
        try:
            if snapshot is not None and (differs := _differs(source, snapshot, options, context)):
                return Outcome("failed", error=differs)
            made = operations.start_restore(
                source.pk,
                expected,
                snapshot_id=snapshot.pk if snapshot else None,
                undoes_id=options.undoes,
                # Whoever sees restores reads this; why it is done may be for the eyes of a private incident's people.
                reason=f"by execution {context.execution_id} of a runbook",
                effect_key=context.idempotency_key,
                actor=acting(context),
            )
        except DomainError as error:
            return Outcome("failed", error=error.message)
        context.log(f"{len(expected)} of {source.name} go back, one by one.")
        return _waits(options, made)

    def probe(self, options: SnapshotRestoreOptions, context: StepContext) -> Outcome | None:
        known = _known(options, context)
        if known is None or known.state != EntityRestore.State.DONE or (options.undoes and known.refused_count):
            return None
        return Outcome("succeeded", data=_data(options.source, known))

    def undo(
        self, options: SnapshotRestoreOptions, context: StepContext, data: Mapping[str, Any]
    ) -> tuple[str, dict[str, Any]] | None:
        if not EntityRestore.objects.filter(pk=data.get("restore") or 0).exists():
            return None
        # Where it was given up or failed, it must begin nothing more before anybody counts what it did.
        done = operations.stop_restore(data["restore"], actor=acting(context))
        # One that is being written may turn out to be restored, or not: it is asked for all the same, so that the
        # answer stays the same until this is performed.
        doubtful = Q(state=_State.REFUSED, backup__isnull=False)
        tried = done.items.filter(Q(state__in=[_State.RESTORED, _State.SENDING]) | doubtful)
        ids = list(tried.order_by("pk").values_list("entity_id", flat=True))
        return (self.name, {"source": options.source, "ids": ids, "undoes": data["restore"]}) if ids else None

    def undo_told(self, options: SnapshotRestoreOptions) -> str:
        return f"What was live of {options.source} goes back, where nobody changed it meanwhile."

    def beyond(self, options: Mapping[str, Any], owner_id: int) -> str:
        return beyond_source(options, owner_id, "restores entities of")

    def told(self, intent: Mapping[str, Any], data: Mapping[str, Any]) -> list[tuple[str, str]]:
        options = written_options(intent)
        rows = [("Source", str(data.get("source") or options.get("source", "")))]
        if "restored" not in data:
            return rows
        counts = f"{data['restored']} restored, {data.get('unchanged', 0)} as wanted, {data.get('refused', 0)} refused"
        return [*rows, ("Entities", counts), ("Restore", str(data.get("restore", "")))]

    def readable(self, options: Mapping[str, Any]) -> str:
        ids = options.get("ids")
        count = f"{len(ids)} of " if isinstance(ids, list) else ""
        goal = f"snapshot {options['snapshot']}" if options.get("snapshot") else "the newest snapshot"
        return f"{count}{options.get('source', '')} to {goal}"


def _found(options: SnapshotRestoreOptions) -> tuple[EntitySource | None, Snapshot | None, str]:
    """The source and the snapshot (None for an undo), or why there is none."""
    source = source_by_slug(options.source)
    if source is None:
        return None, None, f"There is no source of entities `{options.source}`."
    if options.undoes is not None:
        return source, None, ""
    if options.snapshot is None:
        snapshot = newest(source)
        return source, snapshot, "" if snapshot else f"{source.name} has no snapshot yet."
    snapshot = source.snapshots.filter(number=options.snapshot, state=Snapshot.State.DONE).first()
    return source, snapshot, "" if snapshot else f"{source.name} has no snapshot {options.snapshot} that is done."


def _pinned(options: SnapshotRestoreOptions, context: StepContext) -> SnapshotRestoreOptions:
    """With the number of the snapshot that the approved plan looked at, where the options name none."""
    if options.snapshot is not None or options.undoes is not None:
        return options
    keys = {f"{options.source}:{each}" for each in options.ids}
    for target in context.targets:
        if target.get("kind") == TARGET and target.get("key") in keys and isinstance(target.get("snapshot"), int):
            return options.model_copy(update={"snapshot": target["snapshot"]})
    return options


def _differs(source: EntitySource, snapshot: Snapshot, options: SnapshotRestoreOptions, context: StepContext) -> str:
    """Why what would go back is not what the approved plan showed; empty when it is. Raises Damaged."""
    approved = {str(each.get("key")): each.get("after") for each in context.targets if each.get("kind") == TARGET}
    held = found_in(snapshot, options.ids)
    for each in options.ids:
        if each not in held or held[each].checksum != approved.get(f"{source.slug}:{each}"):
            return f"Snapshot {snapshot.number} holds another {each} than the approved plan showed: make a new dry run."
    return ""


def _not_yet(options: SnapshotRestoreOptions) -> Outcome | None:
    """Why a restore can't be undone now: what it was writing when it was stopped is still being settled."""
    undone = EntityRestore.objects.filter(pk=options.undoes or 0).first()
    if undone is None or undone.state == EntityRestore.State.DONE:
        return None
    if undone.is_open:
        return Outcome("waiting", due_at=now() + LOOK_AGAIN)
    doubtful = undone.items.filter(state=_State.SENDING).values_list("entity_id", flat=True)
    if not doubtful:
        return None
    error = f"Nobody knows whether {', '.join(doubtful[:3])} was written: {undone.error}"
    return Outcome("failed", error=error)


def _waits(options: SnapshotRestoreOptions, restore: EntityRestore) -> Outcome:
    """Look again; what undoes it must know it by then."""
    return Outcome("waiting", data={"source": options.source, "restore": restore.pk}, due_at=now() + LOOK_AGAIN)


def _known(options: SnapshotRestoreOptions, context: StepContext) -> EntityRestore | None:
    rows = EntityRestore.objects.filter(source__slug=options.source, effect_key=context.idempotency_key)
    return rows.select_related("source").first()


def _expected(source: EntitySource, options: SnapshotRestoreOptions, context: StepContext) -> dict[str, Any] | None:
    """The version of each that may be written over: what the undone restore left, or what the approved plan saw."""
    if options.undoes is not None:
        rows = RestoreItem.objects.filter(restore_id=options.undoes, entity_id__in=options.ids, state=_State.RESTORED)
        return dict(rows.values_list("entity_id", "new_version"))
    seen = {
        str(target.get("key")): str(target.get("version") or "")
        for target in context.targets
        if target.get("kind") == TARGET
    }
    found: dict[str, Any] = {}
    for each in options.ids:
        if (version := seen.get(f"{source.slug}:{each}")) is None:
            return None
        found[each] = _version(version)
    return found


def _target(source: EntitySource, each: Look, snapshot: Snapshot | None) -> dict[str, Any]:
    return {
        "kind": TARGET,
        "key": f"{source.slug}:{each.id}",
        "before": each.live_checksum,
        "after": each.wanted_checksum,
        **({"snapshot": snapshot.number} if snapshot else {}),
        # A number and the text of it are two versions.
        "version": "" if each.version is None else f"{'n' if isinstance(each.version, int) else 't'}:{each.version}",
    }


def _version(written: str) -> int | str | None:
    kind, _, text = written.partition(":")
    return int(text) if kind == "n" else text if kind == "t" else None


def _data(slug: str, done: EntityRestore) -> dict[str, Any]:
    unchanged = done.items.filter(state=RestoreItem.State.UNCHANGED).count()
    return {
        "source": slug,
        "restore": done.pk,
        "restored": done.restored_count,
        "refused": done.refused_count,
        "unchanged": unchanged,
    }
