"""`snapshot_restore`: some entities go back to what a snapshot holds; undoing puts back what was live."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import Field, StringConstraints, model_validator

from apps.foundation.clock import now
from apps.foundation.errors import DomainError
from apps.runbooks.steps.base import Effect, Options, Outcome, Preview, StepContext, StepKind, written_options
from apps.runbooks.steps.snapshot_take import LOOK_AGAIN, acting, beyond_source
from apps.state.entities import operations
from apps.state.entities.looking import Look, look_at
from apps.state.entities.models import EntityRestore, EntitySource, RestoreItem, Snapshot
from apps.state.entities.queries import newest, source_by_slug

TARGET = "entity"
_MOST_IDS = 100
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
        goal = f"snapshot {snapshot.number}" if snapshot else f"what restore {options.undoes} replaced"
        return Preview(
            text=f"Puts {len(needed)} of {len(found)} {source.name} back to {goal}. A backup of each comes first.",
            diff=[
                {**change, "path": f"{each.id}: {change['path']}".rstrip(": ")}
                for each in needed
                for change in each.changes
            ],
            problems=[f"{each.id}: {each.problem}" for each in found if each.problem],
            targets=[_target(source, each) for each in found if not each.problem],
            estimate_seconds=2 + len(needed) // 20,
        )

    def perform(self, options: SnapshotRestoreOptions, context: StepContext) -> Outcome:
        known = _known(options, context)
        if known is None:
            return self._begin(options, context)
        if known.state == EntityRestore.State.FAILED:
            return Outcome("failed", error=known.error)
        if known.state != EntityRestore.State.DONE:
            context.progress(known.percent or 0)
            return Outcome("waiting", due_at=now() + LOOK_AGAIN)
        data = _data(options.source, known)
        context.log(f"{data['restored']} restored, {data['unchanged']} as wanted already, {data['refused']} refused.")
        if known.refused_count:
            refused = known.items.filter(state=RestoreItem.State.REFUSED).order_by("pk")[:3]
            told = " ".join(f"{item.entity_id}: {item.note}" for item in refused)
            if not known.restored_count:
                return Outcome("failed", data=data, error=f"None was put back. {told}")
            context.log(told)
        return Outcome("succeeded", data=data)

    def _begin(self, options: SnapshotRestoreOptions, context: StepContext) -> Outcome:
        source, snapshot, problem = _found(options)
        if source is None or problem:
            return Outcome("failed", error=problem)
        expected = _expected(source, options, context)
        if expected is None:
            return Outcome("failed", error="The approved plan saw nothing of these entities: make a new dry run.")
        try:
            operations.start_restore(
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
        return Outcome("waiting", due_at=now() + LOOK_AGAIN)

    def probe(self, options: SnapshotRestoreOptions, context: StepContext) -> Outcome | None:
        known = _known(options, context)
        if known is None or known.state != EntityRestore.State.DONE:
            return None
        return Outcome("succeeded", data=_data(options.source, known))

    def undo(
        self, options: SnapshotRestoreOptions, context: StepContext, data: Mapping[str, Any]
    ) -> tuple[str, dict[str, Any]] | None:
        done = EntityRestore.objects.filter(pk=data.get("restore") or 0).first()
        restored = done.items.filter(state=RestoreItem.State.RESTORED) if done else RestoreItem.objects.none()
        ids = list(restored.order_by("pk").values_list("entity_id", flat=True))
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


def _known(options: SnapshotRestoreOptions, context: StepContext) -> EntityRestore | None:
    rows = EntityRestore.objects.filter(source__slug=options.source, effect_key=context.idempotency_key)
    return rows.select_related("source").first()


def _expected(source: EntitySource, options: SnapshotRestoreOptions, context: StepContext) -> dict[str, Any] | None:
    """The version of each that may be written over: what the undone restore left, or what the approved plan saw."""
    if options.undoes is not None:
        rows = RestoreItem.objects.filter(restore_id=options.undoes, entity_id__in=options.ids)
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


def _target(source: EntitySource, each: Look) -> dict[str, Any]:
    return {
        "kind": TARGET,
        "key": f"{source.slug}:{each.id}",
        "before": each.live_checksum,
        "after": each.wanted_checksum,
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
