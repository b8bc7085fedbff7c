"""`snapshot_take`: a snapshot of all entities of a source, so that what happens next can be compared and undone."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Annotated, Any

from pydantic import StringConstraints

from apps.foundation.actor import Actor
from apps.foundation.clock import now
from apps.foundation.errors import Conflict, DomainError
from apps.runbooks.steps.base import Effect, Options, Outcome, Preview, StepContext, StepKind, written_options
from apps.runbooks.templating import has_placeholder
from apps.state.entities import operations
from apps.state.entities.models import Snapshot
from apps.state.entities.queries import newest, source_by_slug

LOOK_AGAIN = timedelta(seconds=1)
_SECONDS_FOR_THOUSAND = 0.2


class SnapshotTakeOptions(Options):
    """`with` of a `snapshot_take`: the slug of the source."""

    source: Annotated[str, StringConstraints(pattern=r"^[-a-zA-Z0-9_]{1,60}$")]


class SnapshotTake(StepKind):
    """It asks for the snapshot and waits while workers take it. There is nothing to undo: retention deletes it."""

    name = "snapshot_take"
    title = "Take a snapshot of entities"
    options = SnapshotTakeOptions
    outcome_fields = ("source", "snapshot", "entities", "checksum")

    def effect(self, options: SnapshotTakeOptions) -> Effect:
        return "internal"

    def preview(self, options: SnapshotTakeOptions, context: StepContext) -> Preview:
        source = source_by_slug(options.source)
        if source is None:
            problem = f"There is no source of entities `{options.source}`."
            return Preview(text=problem, problems=[problem])
        last = newest(source)
        count = f" The last one held {last.done_count}." if last else ""
        seconds = int(last.done_count / 1000 * _SECONDS_FOR_THOUSAND) + 2 if last else 10
        return Preview(
            text=f"Takes a snapshot of all of {source.name}; nothing changes there.{count}",
            request={"method": "GET", "url": f"{source.base_url.rstrip('/')}/entities"},
            estimate_seconds=seconds,
        )

    def perform(self, options: SnapshotTakeOptions, context: StepContext) -> Outcome:
        source = source_by_slug(options.source)
        if source is None:
            return Outcome("failed", error=f"There is no source of entities `{options.source}`.")
        try:
            snapshot = operations.take_snapshot(
                source.pk,
                # Whoever sees snapshots reads this; why it is done may be for the eyes of a private incident's people.
                reason=f"by execution {context.execution_id} of a runbook",
                origin=Snapshot.Origin.RUNBOOK,
                effect_key=context.idempotency_key,
                actor=acting(context),
            )
        except Conflict as error:
            if error.code != "snapshot_running":
                raise
            if context.attempt == 1:  # not again each second
                context.log("Waits for the snapshot that is being taken already.")
            return Outcome("waiting", due_at=now() + LOOK_AGAIN)
        except DomainError as error:
            return Outcome("failed", error=error.message)
        if snapshot.state in {Snapshot.State.FAILED, Snapshot.State.STOPPED}:
            return Outcome("failed", error=snapshot.error)
        if snapshot.state == Snapshot.State.DONE:
            context.log(f"Snapshot {snapshot.number} of {source.name} holds {snapshot.done_count} entities.")
            return Outcome("succeeded", data=_data(options.source, snapshot))
        context.progress(snapshot.percent or 0)
        return Outcome("waiting", due_at=now() + LOOK_AGAIN)

    def probe(self, options: SnapshotTakeOptions, context: StepContext) -> Outcome | None:
        found = Snapshot.objects.filter(
            source__slug=options.source, effect_key=context.idempotency_key, state=Snapshot.State.DONE
        ).first()
        return Outcome("succeeded", data=_data(options.source, found)) if found else None

    def beyond(self, options: Mapping[str, Any], owner_id: int) -> str:
        return beyond_source(options, owner_id, "takes a snapshot of")

    def told(self, intent: Mapping[str, Any], data: Mapping[str, Any]) -> list[tuple[str, str]]:
        source = str(data.get("source") or written_options(intent).get("source", ""))
        if "snapshot" not in data:
            return [("Source", source)]
        return [("Source", source), ("Snapshot", f"{data['snapshot']}, {data.get('entities', 0)} entities")]

    def readable(self, options: Mapping[str, Any]) -> str:
        return str(options.get("source", ""))


def acting(context: StepContext) -> Actor:
    """The portal, on behalf of who started it: that the runbook may be executed has been decided before."""
    return context.actor if context.actor.is_system else Actor.system(f"{context.actor.name}, by a runbook")


def beyond_source(options: Mapping[str, Any], owner_id: int, does: str) -> str:
    """Entities are their own team's business, so a runbook of another reaches beyond it."""
    slug = str(options.get("source", ""))
    found = None if has_placeholder(slug) else source_by_slug(slug)
    if found is None or found.service.owner_id != owner_id:
        return f"it {does} {slug}, which is no source of the owning team"
    return ""


def _data(slug: str, snapshot: Snapshot) -> dict[str, Any]:
    return {
        "source": slug,
        "snapshot": snapshot.number,
        "entities": snapshot.done_count,
        "checksum": snapshot.checksum,
    }
