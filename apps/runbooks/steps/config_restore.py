"""`config_restore`: a configuration document goes back to its baseline, or to one of its versions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import Field, StringConstraints

from apps.foundation.errors import DomainError
from apps.runbooks.steps.base import (
    Effect,
    Options,
    Outcome,
    Preview,
    StepContext,
    StepKind,
    acting,
    approved,
    written_options,
)
from apps.runbooks.templating import has_placeholder
from apps.state import operations
from apps.state.models import ConfigDocument, ConfigVersion
from apps.state.queries import RestorePreview, canary_told, document_by_slug, preview_restore

TARGET = "config"
_UNREACHABLE = "source_unreachable"


class ConfigRestoreOptions(Options):
    """`with` of a `config_restore`. Without `version` (its number) the baseline is put back.

    `expected` is the checksum that must be live; without it, the one that the approved plan saw.
    """

    document: Annotated[str, StringConstraints(pattern=r"^[-a-zA-Z0-9_]{1,60}$")]
    version: Annotated[int, Field(ge=1, le=2**31 - 1)] | None = None
    expected: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")] | None = None


class ConfigRestore(StepKind):
    """A backup of what is live comes first; undoing puts that back. Compare-and-set: what changed meanwhile stays."""

    name = "config_restore"
    title = "Restore a configuration"
    options = ConfigRestoreOptions
    outcome_fields = ("document", "changed", "version", "backup", "before", "after")

    def effect(self, options: ConfigRestoreOptions) -> Effect:
        document = document_by_slug(options.document)
        return "internal" if document is not None and document.is_held_here else "external"

    def preview(self, options: ConfigRestoreOptions, context: StepContext) -> Preview:
        document = document_by_slug(options.document)
        if document is None:
            problem = f"There is no configuration document `{options.document}`."
            return Preview(text=problem, problems=[problem])
        version, problem = _version(document, options)
        if problem:
            return Preview(text=problem, problems=[problem])
        found = preview_restore(document, version)
        return Preview(
            text=_told(document, found, chosen=version),
            diff=list(found.changes),
            problems=list(found.problems),
            targets=[_target(document, found)],
            estimate_seconds=2,
        )

    def perform(self, options: ConfigRestoreOptions, context: StepContext) -> Outcome:
        document = document_by_slug(options.document)
        if document is None:
            return Outcome("failed", error=f"There is no configuration document `{options.document}`.")
        version, problem = _version(document, options)
        undone = [str(row["after"]) for row in context.outcomes.values() if _is_of(row, document)]
        problem = problem or ("" if version or undone else _moved(document, context))
        if problem:
            return Outcome("failed", error=problem)
        # What undoes a step of this execution goes over what that step left there.
        seen = undone[-1] if undone else approved(context, TARGET, document.slug)
        context.log(f"Puts {document.name} back to {version or 'its baseline'}.")
        try:
            done = operations.restore(
                document.pk,
                version_id=version.pk if version else None,
                expected_checksum=options.expected or seen or None,
                effect_key=context.idempotency_key,
                # Whoever sees configs reads this; why it is done may be for the eyes of a private incident's people.
                reason=f"restored by execution {context.execution_id} of a runbook",
                actor=acting(context),
            )
        except DomainError as error:
            return Outcome("failed", error=error.message, maybe_done=error.code == _UNREACHABLE)
        context.log(f"{document.name} is at version {done.version.number}; the backup is version {done.backup.number}.")
        return Outcome("succeeded", data=_data(document, done))

    def probe(self, options: ConfigRestoreOptions, context: StepContext) -> Outcome | None:
        document = document_by_slug(options.document)
        if document is None:
            return None
        version, problem = _version(document, options)
        if problem:
            return None
        try:
            done = operations.probe_restore(
                document.pk, version_id=version.pk if version else None, effect_key=context.idempotency_key
            )
        except DomainError:
            return None
        return Outcome("succeeded", data=_data(document, done)) if done is not None else None

    def undo(
        self, options: ConfigRestoreOptions, context: StepContext, data: Mapping[str, Any]
    ) -> tuple[str, dict[str, Any]] | None:
        if not data.get("changed"):
            return None
        return self.name, {"document": options.document, "version": data["backup"], "expected": data["after"]}

    def undo_told(self, options: ConfigRestoreOptions) -> str:
        return f"The backup of {options.document} goes back, unless somebody changed it meanwhile."

    def beyond(self, options: Mapping[str, Any], owner_id: int) -> str:
        return beyond_document(options, owner_id, "restores")

    def told(self, intent: Mapping[str, Any], data: Mapping[str, Any]) -> list[tuple[str, str]]:
        document = data.get("document") or written_options(intent).get("document", "")
        if "version" not in data:
            return [("Document", str(document))]
        number = written_options(intent).get("version")
        goal = f"a copy of version {number}" if number else "a copy of the baseline"
        before, after = str(data.get("before", "")), str(data.get("after", ""))
        if not data.get("changed"):
            return [("Document", str(document)), ("Restored", f"nothing: {goal} was live"), ("Checksum", after[:12])]
        return [
            ("Document", str(document)),
            ("Restored", f"from version {data.get('backup')}, kept as backup, to version {data['version']}, {goal}"),
            ("Checksum", f"{before[:12]} → {after[:12]}"),
        ]

    def readable(self, options: Mapping[str, Any]) -> str:
        version = options.get("version")
        return f"{options.get('document', '')} to {f'version {version}' if version else 'its baseline'}"


def _version(document: ConfigDocument, options: ConfigRestoreOptions) -> tuple[ConfigVersion | None, str]:
    """The version that is asked for, None for the baseline; or why there is none."""
    if options.version is None:
        return None, ""
    found = ConfigVersion.objects.filter(document=document, number=options.version).first()
    return found, "" if found else f"{document.name} has no version {options.version}."


def _is_of(outcome: Mapping[str, Any], document: ConfigDocument) -> bool:
    """Whether it is that of a step which changed this document: no two that go forward do, so it is being undone."""
    return outcome.get("document") == document.slug and "after" in outcome


def _moved(document: ConfigDocument, context: StepContext) -> str:
    """Why the baseline is not the one that the approved plan showed; empty where it is, or where no plan is known."""
    for target in context.targets:
        if target.get("kind") == TARGET and target.get("key") == document.slug and target.get("version"):
            number, checksum = str(target["version"]), target.get("after")
            now = document.baseline
            if now is None or (str(now.number), now.checksum) != (number, checksum):
                here = f"version {now.number} is it now" if now else "it has none now"
                return (
                    f"The baseline of {document.name} was version {number} when this was approved, and {here}: "
                    "the approval is void. Make a new dry run."
                )
    return ""


def _told(document: ConfigDocument, found: RestorePreview, *, chosen: ConfigVersion | None) -> str:
    if found.target is None:
        return f"{document.name} can't be put back: {' '.join(found.problems)}"
    goal = f"version {found.target.number}" if chosen else f"its baseline, version {found.target.number}"
    if found.live is None:
        return f"Puts {document.name} back to {goal}; what is live now is not known."
    if not found.is_needed:
        return f"{document.name} is at {goal} already: nothing to do."
    count = len(found.changes)
    what = "1 value changes" if count == 1 else f"{count} values change"
    ends = f" {canary_told(document, found.live.canary)}: it ends." if found.live.canary else ""
    return f"Puts {document.name} back to {goal}: {what}. A backup comes first.{ends}"


def _target(document: ConfigDocument, found: RestorePreview) -> dict[str, Any]:
    return {
        "kind": TARGET,
        "key": document.slug,
        "before": found.live.checksum if found.live else "",
        "after": found.target.checksum if found.target else "",
        "version": str(found.target.number) if found.target else "",
    }


def _data(document: ConfigDocument, done: operations.Restored) -> dict[str, Any]:
    return {
        "document": document.slug,
        "changed": done.changed,
        "version": done.version.number,
        "backup": done.backup.number,
        "before": done.backup.checksum,
        "after": done.version.checksum,
    }


def beyond_document(options: Mapping[str, Any], owner_id: int, does: str) -> str:
    """A configuration is changed by its own team, so a runbook of another reaches beyond it."""
    slug = str(options.get("document", ""))
    found = None if has_placeholder(slug) else document_by_slug(slug)
    if found is None or found.service.owner_id != owner_id:
        return f"it {does} {slug}, which is no configuration of the owning team"
    return ""
