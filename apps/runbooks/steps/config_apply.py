"""`config_apply`: a configuration document gets other values, or another content as a whole."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import Field, StringConstraints, model_validator

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
from apps.runbooks.steps.config_restore import TARGET, beyond_document
from apps.state import operations
from apps.state.contents import checksum
from apps.state.diffs import structural_diff
from apps.state.live import Live, read_live
from apps.state.models import ConfigDocument, ConfigVersion
from apps.state.operations.recording import by_effect, stored_key
from apps.state.queries import document_by_slug
from apps.state.schemas import as_sentence, content_problems

_UNREACHABLE = "source_unreachable"


class ConfigApplyOptions(Options):
    """`with` of a `config_apply`: `set` maps dotted paths to their new values, or `content` is all of it."""

    document: Annotated[str, StringConstraints(pattern=r"^[-a-zA-Z0-9_]{1,60}$")]
    set_: Annotated[dict[str, Any], Field(alias="set", max_length=100)] = {}
    content: dict[str, Any] | None = None
    note: Annotated[str, StringConstraints(max_length=200)] = ""

    @model_validator(mode="after")
    def _one_way(self) -> ConfigApplyOptions:
        if bool(self.set_) == (self.content is not None):
            raise ValueError("Give either `set`, paths and their values, or `content`, the whole document.")
        return self


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is live, what is to be, and why that can't be."""

    live: Live | None
    content: Any
    problems: list[str]


class ConfigApply(StepKind):
    """Compare-and-set against what the approved plan saw. Undoing puts back the version that was live before."""

    name = "config_apply"
    title = "Apply a configuration"
    options = ConfigApplyOptions
    outcome_fields = ("document", "changed", "version", "before_version", "before", "after")
    written_fields = ("set", "content", "note")

    def effect(self, options: ConfigApplyOptions) -> Effect:
        document = document_by_slug(options.document)
        return "internal" if document is not None and document.is_held_here else "external"

    def preview(self, options: ConfigApplyOptions, context: StepContext) -> Preview:
        document = document_by_slug(options.document)
        if document is None:
            problem = f"There is no configuration document `{options.document}`."
            return Preview(text=problem, problems=[problem])
        found = _wanted(document, options)
        before = found.live.checksum if found.live else ""
        after = checksum(found.content) if found.live and not found.problems else ""
        return Preview(
            text=_told(document, found, after),
            diff=structural_diff(found.live.content, found.content) if found.live and not found.problems else [],
            problems=found.problems,
            targets=[{"kind": TARGET, "key": document.slug, "before": before, "after": after, "version": ""}],
            estimate_seconds=2,
        )

    def perform(self, options: ConfigApplyOptions, context: StepContext) -> Outcome:
        document = document_by_slug(options.document)
        if document is None or document.head is None:
            return Outcome("failed", error=f"There is no content in a document `{options.document}` to change.")
        if (done := by_key(document, context.idempotency_key)) is not None:
            return Outcome("succeeded", data=_data(document, done))
        seen = approved(context, TARGET, document.slug)
        if seen and seen != document.head.checksum:
            return Outcome("failed", error=f"{document.name} was changed after this was looked at: it stays as it is.")
        try:
            content = _content(document.head.content, options)
            done = operations.edit_config(
                document.pk,
                content,
                expected_revision=document.revision,
                # As with a restore: the reason of an execution may not be for all who see configs.
                note=options.note or f"applied by execution {context.execution_id} of a runbook",
                effect_key=context.idempotency_key,
                actor=acting(context),
            )
        except DomainError as error:
            maybe = error.code == _UNREACHABLE and bool(error.extra.get("maybe_sent", True))
            return Outcome("failed", error=error.message, maybe_done=maybe)
        except ValueError as error:
            return Outcome("failed", error=str(error))
        context.log(f"{document.name} is at version {done.number}.")
        return Outcome("succeeded", data=_data(document, done, unchanged=done.pk == document.head.pk))

    def probe(self, options: ConfigApplyOptions, context: StepContext) -> Outcome | None:
        """Recorded under the key, or live at its source though the worker died before it wrote that down."""
        document = document_by_slug(options.document)
        if document is None:
            return None
        if (done := by_key(document, context.idempotency_key)) is not None:
            return Outcome("succeeded", data=_data(document, done))
        if document.is_held_here:
            return None
        try:
            live = read_live(document)
            if checksum(_content(live.content, options)) != live.checksum:
                return None
            done = operations.capture(document.pk, actor=acting(context))
        except (DomainError, ValueError):
            return None
        unchanged = approved(context, TARGET, document.slug) == live.checksum
        return Outcome("succeeded", data=_data(document, done, unchanged=unchanged))

    def undo(
        self, options: ConfigApplyOptions, context: StepContext, data: Mapping[str, Any]
    ) -> tuple[str, dict[str, Any]] | None:
        if not data.get("changed") or not data.get("before_version"):
            return None
        back = {"document": options.document, "version": data["before_version"], "expected": data["after"]}
        return "config_restore", back

    def undo_told(self, options: ConfigApplyOptions) -> str:
        return f"{options.document} goes back to what was live before, unless somebody changed it meanwhile."

    def beyond(self, options: Mapping[str, Any], owner_id: int) -> str:
        return beyond_document(options, owner_id, "changes")

    def told(self, intent: Mapping[str, Any], data: Mapping[str, Any]) -> list[tuple[str, str]]:
        rows = [("Document", str(data.get("document") or written_options(intent).get("document", "")))]
        if "version" not in data:
            return rows
        said = f"version {data.get('before_version')} → {data['version']}" if data.get("changed") else "nothing"
        return [*rows, ("Changed", said)]

    def readable(self, options: Mapping[str, Any]) -> str:
        values = options.get("set")
        if isinstance(values, Mapping):
            return f"{options.get('document', '')}: {', '.join(f'{path} = {value}' for path, value in values.items())}"
        return f"{options.get('document', '')}: another content"


def by_key(document: ConfigDocument, key: str) -> ConfigVersion | None:
    """What an earlier attempt under this key has recorded."""
    return by_effect(document, stored_key(key)) if key else None


def _wanted(document: ConfigDocument, options: ConfigApplyOptions) -> Wanted:
    try:
        live = read_live(document)
        content = _content(live.content, options)
    except DomainError as error:
        return Wanted(None, None, [error.message])
    except ValueError as error:
        return Wanted(None, None, [str(error)])
    problems = [f"{document.name} would break its schema: {as_sentence(entry)}" for entry in content_problems(
        document.schema, content
    )]  # fmt: skip
    if document.head is not None and document.head.checksum != live.checksum:
        problems.append(f"{document.name} has just been changed at its source: let it be captured first.")
    return Wanted(live, content, problems)


def _content(live: Any, options: ConfigApplyOptions) -> Any:
    """The content with the new values. ValueError for a path that leads nowhere."""
    if options.content is not None:
        return options.content
    found = copy.deepcopy(live)
    for path, value in options.set_.items():
        *above, last = path.split(".")
        at = found
        for part in above:
            if not isinstance(at, dict) or part not in at:
                raise ValueError(f"There is no {path} in {options.document}.")
            at = at[part]
        if not isinstance(at, dict):
            raise ValueError(f"There is no {path} in {options.document}.")  # noqa: TRY004  # the path is wrong, not a type
        at[last] = value
    return found


def _told(document: ConfigDocument, found: Wanted, after: str) -> str:
    if found.problems or found.live is None:
        return f"{document.name} can't be changed: {' '.join(found.problems)}"
    if found.live.checksum == after:
        return f"{document.name} is so already: nothing to do."
    count = len(structural_diff(found.live.content, found.content))
    return f"Changes {document.name}: {'1 value' if count == 1 else f'{count} values'}."


def _data(document: ConfigDocument, done: ConfigVersion, *, unchanged: bool = False) -> dict[str, Any]:
    rows = ConfigVersion.objects.filter(document=document, number__lt=done.number)
    before = None if unchanged else rows.order_by("-number").first()
    return {
        "document": document.slug,
        "changed": before is not None,
        "version": done.number,
        "before_version": before.number if before else None,
        "before": before.checksum if before else done.checksum,
        "after": done.checksum,
    }
