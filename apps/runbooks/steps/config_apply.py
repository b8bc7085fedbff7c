"""`config_apply`: a configuration document gets other values, or another content as a whole; for a share first."""

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
from apps.state.contents import checksum, unmasked
from apps.state.diffs import structural_diff
from apps.state.live import Live, read_live
from apps.state.models import ConfigDocument, ConfigVersion
from apps.state.operations.recording import by_effect, stored_key
from apps.state.queries import canary_problems, canary_told, document_by_slug
from apps.state.schemas import as_sentence, content_problems

CANARY = "config_canary"
_UNREACHABLE = "source_unreachable"


class ConfigApplyOptions(Options):
    """`with` of a `config_apply`: `set` maps dotted paths to their new values, or `content` is all of it.

    With `percentage` only that share gets it, as a canary. `ends`, the checksum of a canary, is how that is undone.
    """

    document: Annotated[str, StringConstraints(pattern=r"^[-a-zA-Z0-9_]{1,60}$")]
    set_: Annotated[dict[str, Any], Field(alias="set", max_length=100)] = {}
    content: dict[str, Any] | None = None
    percentage: Annotated[int, Field(ge=1, le=99)] | None = None
    ends: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")] | None = None
    note: Annotated[str, StringConstraints(max_length=200)] = ""

    @property
    def is_of_share(self) -> bool:
        """Whether it begins or ends a canary, and leaves what is live as it is."""
        return self.percentage is not None or self.ends is not None

    @model_validator(mode="after")
    def _one_way(self) -> ConfigApplyOptions:
        if self.ends is not None:
            if self.set_ or self.content is not None or self.percentage is not None:
                raise ValueError("`ends` stands alone: it ends a canary.")
            return self
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
    outcome_fields = ("document", "changed", "version", "before_version", "before", "after", "percentage", "canary")
    written_fields = ("set", "content", "note")

    def effect(self, options: ConfigApplyOptions) -> Effect:
        document = document_by_slug(options.document)
        return "internal" if document is not None and document.is_held_here else "external"

    def preview(self, options: ConfigApplyOptions, context: StepContext) -> Preview:
        document = document_by_slug(options.document)
        if document is None:
            problem = f"There is no configuration document `{options.document}`."
            return Preview(text=problem, problems=[problem])
        if options.ends is not None:
            return Preview(text=f"Ends the canary of {document.name}, if it still runs.", estimate_seconds=2)
        found = _wanted(document, options)
        before = found.live.checksum if found.live else ""
        after = checksum(found.content) if found.live and not found.problems else ""
        return Preview(
            text=_told(document, options, found, after),
            diff=structural_diff(found.live.content, found.content) if found.live and not found.problems else [],
            problems=found.problems,
            targets=[_target(document, options, before, after)],
            estimate_seconds=2,
        )

    def perform(self, options: ConfigApplyOptions, context: StepContext) -> Outcome:
        document = document_by_slug(options.document)
        if document is None or document.head is None:
            return Outcome("failed", error=f"There is no content in a document `{options.document}` to change.")
        if options.is_of_share:
            return end_canary(document, options, context) if options.ends else start_canary(document, options, context)
        if (done := by_key(document, context.idempotency_key)) is not None:
            return Outcome("succeeded", data=_data(document, done))
        seen = approved(context, TARGET, document.slug)
        if seen and seen != document.head.checksum:
            return Outcome("failed", error=f"{document.name} was changed after this was looked at: it stays as it is.")
        try:
            content = content_of(document.head.content, options)
            done = operations.edit_config(
                document.pk,
                content,
                expected_revision=document.revision,
                # As with a restore: the reason of an execution may not be for all who see configs.
                note=options.note or f"applied by execution {context.execution_id} of a runbook",
                effect_key=context.idempotency_key,
                actor=acting(context),
            )
        except (DomainError, ValueError) as error:
            return _failed(error)
        context.log(f"{document.name} is at version {done.number}.")
        return Outcome("succeeded", data=_data(document, done, unchanged=done.pk == document.head.pk))

    def probe(self, options: ConfigApplyOptions, context: StepContext) -> Outcome | None:
        """Recorded under the key, or live at its source though the worker died before it wrote that down."""
        document = document_by_slug(options.document)
        if document is None or options.is_of_share:
            return probe_canary(document, options, context)
        if (done := by_key(document, context.idempotency_key)) is not None:
            return Outcome("succeeded", data=_data(document, done))
        if document.is_held_here:
            return None
        try:
            live = read_live(document)
            if checksum(content_of(live.content, options)) != live.checksum or live.canary is not None:
                return None
            done = operations.capture(document.pk, actor=acting(context))
        except (DomainError, ValueError):
            return None
        unchanged = approved(context, TARGET, document.slug) == live.checksum
        return Outcome("succeeded", data=_data(document, done, unchanged=unchanged))

    def undo(
        self, options: ConfigApplyOptions, context: StepContext, data: Mapping[str, Any]
    ) -> tuple[str, dict[str, Any]] | None:
        if data.get("changed") and data.get("canary"):
            return self.name, {"document": options.document, "ends": data["canary"]}
        if not data.get("changed") or not data.get("before_version"):
            return None
        back = {"document": options.document, "version": data["before_version"], "expected": data["after"]}
        return "config_restore", back

    def undo_told(self, options: ConfigApplyOptions) -> str:
        if options.ends is not None:
            return ""
        if options.percentage is not None:
            return f"The canary of {options.document} ends; what is live is so for all again."
        return f"{options.document} goes back to what was live before, unless somebody changed it meanwhile."

    def beyond(self, options: Mapping[str, Any], owner_id: int) -> str:
        return beyond_document(options, owner_id, "changes")

    def told(self, intent: Mapping[str, Any], data: Mapping[str, Any]) -> list[tuple[str, str]]:
        rows = [("Document", str(data.get("document") or written_options(intent).get("document", "")))]
        if "percentage" in data:
            return [*rows, ("Canary", f"{data['percentage']} %" if data.get("changed") else "nothing")]
        if "version" not in data:
            return rows
        said = f"version {data.get('before_version')} → {data['version']}" if data.get("changed") else "nothing"
        return [*rows, ("Changed", said)]

    def readable(self, options: Mapping[str, Any]) -> str:
        values, share = options.get("set"), options.get("percentage")
        begin = f"{options.get('document', '')}{f', for {share} % first' if share is not None else ''}"
        if isinstance(values, Mapping):
            return f"{begin}: {', '.join(f'{path} = {value}' for path, value in values.items())}"
        return f"{begin}: {'the canary ends' if options.get('ends') else 'another content'}"


def start_canary(document: ConfigDocument, options: ConfigApplyOptions, context: StepContext) -> Outcome:
    """The share gets the content, or had it by an earlier attempt."""
    key = context.idempotency_key
    base = operations.canary_backup(document, key) or document.head
    if base is None or options.percentage is None:
        return Outcome("failed", error=f"There is no content in a document `{options.document}` to change.")
    seen = approved(context, CANARY, document.slug)
    if seen and seen != base.checksum:
        return Outcome("failed", error=f"{document.name} was changed after this was looked at: it stays as it is.")
    try:
        content = content_of(base.content, options)
        if checksum(content) == base.checksum:
            context.log(f"{document.name} is so already.")
            return Outcome("succeeded", data=_canary_data(document, options, base, content, changed=False))
        base = operations.start_canary(
            document.pk,
            content,
            percentage=options.percentage,
            note=options.note or f"by execution {context.execution_id} of a runbook",
            effect_key=key,
            actor=acting(context),
        )
    except (DomainError, ValueError) as error:
        return _failed(error)
    context.log(f"{options.percentage} % have the canary of {document.name}.")
    return Outcome("succeeded", data=_canary_data(document, options, base, content, changed=True))


def probe_canary(document: ConfigDocument | None, options: ConfigApplyOptions, context: StepContext) -> Outcome | None:
    """Whether the canary of a lost attempt runs; None also where that can't be told, as of one that was to end."""
    if document is None or options.percentage is None or document.is_held_here:
        return None
    base = operations.canary_backup(document, context.idempotency_key)
    if base is None:
        return None
    share, key = options.percentage, context.idempotency_key
    try:
        content = content_of(base.content, options)
        runs = operations.probe_canary(document.pk, content, percentage=share, effect_key=key, actor=acting(context))
    except (DomainError, ValueError):
        return None
    return Outcome("succeeded", data=_canary_data(document, options, base, content, changed=True)) if runs else None


def end_canary(document: ConfigDocument, options: ConfigApplyOptions, context: StepContext) -> Outcome:
    """What undoes a canary: it ends if it still runs; what went live since, and other canaries, stay."""
    try:
        ended = operations.end_canary(
            document.pk,
            expected=options.ends or "",
            effect_key=context.idempotency_key,
            reason=f"ended by execution {context.execution_id} of a runbook",
            actor=acting(context),
        )
    except DomainError as error:
        return _failed(error)
    context.log(f"The canary of {document.name} {'ended' if ended else 'did not run any more'}.")
    return Outcome("succeeded", data={"document": document.slug, "changed": ended})


def _failed(error: DomainError | ValueError) -> Outcome:
    if not isinstance(error, DomainError):
        return Outcome("failed", error=str(error))
    maybe = error.code == _UNREACHABLE and bool(error.extra.get("maybe_sent", True))
    return Outcome("failed", error=error.message, maybe_done=maybe)


def _canary_data(
    document: ConfigDocument, options: ConfigApplyOptions, base: ConfigVersion, content: Any, *, changed: bool
) -> dict[str, Any]:
    """Without `before` and `after`: what is live has not changed."""
    return {
        "document": document.slug,
        "changed": changed,
        "percentage": options.percentage,
        "version": base.number,
        "canary": checksum(unmasked(content, base.content)),
    }


def by_key(document: ConfigDocument, key: str) -> ConfigVersion | None:
    """What an earlier attempt under this key has recorded."""
    return by_effect(document, stored_key(key)) if key else None


def _wanted(document: ConfigDocument, options: ConfigApplyOptions) -> Wanted:
    try:
        live = read_live(document)
        content = content_of(live.content, options)
    except DomainError as error:
        return Wanted(None, None, [error.message])
    except ValueError as error:
        return Wanted(None, None, [str(error)])
    problems = [f"{document.name} would break its schema: {as_sentence(entry)}" for entry in content_problems(
        document.schema, content
    )]  # fmt: skip
    if document.head is not None and document.head.checksum != live.checksum:
        problems.append(f"{document.name} has just been changed at its source: let it be captured first.")
    if options.percentage is not None:
        problems += canary_problems(document, live)
    return Wanted(live, content, problems)


def content_of(live: Any, options: ConfigApplyOptions) -> Any:
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


def _target(document: ConfigDocument, options: ConfigApplyOptions, before: str, after: str) -> dict[str, Any]:
    """A canary is a target of its own, for the step that makes the same live for all stands beside it."""
    if options.percentage is None:
        return {"kind": TARGET, "key": document.slug, "before": before, "after": after, "version": ""}
    share = f"{options.percentage} %"
    return {"kind": CANARY, "key": document.slug, "before": before, "after": after, "version": share}


def _told(document: ConfigDocument, options: ConfigApplyOptions, found: Wanted, after: str) -> str:
    if found.problems or found.live is None:
        return f"{document.name} can't be changed: {' '.join(found.problems)}"
    running = found.live.canary
    ends = f" {canary_told(document, running)}: it ends." if running is not None else ""
    if found.live.checksum == after:
        return ends.strip() or f"{document.name} is so already: nothing to do."
    count = len(structural_diff(found.live.content, found.content))
    what = "1 value" if count == 1 else f"{count} values"
    if options.percentage is not None:
        return f"Changes {document.name} for {options.percentage} %, as a canary: {what}. All others keep what is live."
    return f"Changes {document.name}: {what}.{ends}"


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
