"""From a step as it was written to its kind with checked options: placeholders filled in, secrets included."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, ValidationError

from apps.runbooks import steps as registry
from apps.runbooks.documents import Compensation, Step
from apps.runbooks.names import resolver
from apps.runbooks.secrets import Vault
from apps.runbooks.steps.base import Effect, Preview, StepContext, StepKind
from apps.runbooks.templating import Mark, Unknown, render


class NotReady(Exception):
    """A step that can't be done: a name, a secret or an option is wrong. `problems` are sentences without secrets."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__(problems[0])
        self.problems = problems


@dataclass(frozen=True, slots=True)
class Prepared:
    """A kind and its options, ready to be previewed or performed. The options may hold secrets: mask before storing.

    `is_vague` says that an option depends on the outcome of an earlier step, so that its type could not be checked.
    """

    kind: StepKind
    options: Any
    name: str
    idempotent: bool
    is_vague: bool = False

    @property
    def effect(self) -> Effect:
        return self.kind.effect(self.options)


def prepare(step: Step, context: StepContext, vault: Vault | None = None) -> Prepared:
    """A step of a runbook, ready. Raises NotReady."""
    return _prepared(step.kind, step.with_, context, vault, name=step.name, idempotent=step.idempotent)


def prepare_options(
    kind: str, options: Mapping[str, Any], context: StepContext, vault: Vault | None = None, *, name: str = ""
) -> Prepared:
    """The same for a kind and options by themselves, such as those that `StepKind.undo` names."""
    return _prepared(kind, dict(options), context, vault, name=name)


def prepare_compensation(
    step: Step, context: StepContext, data: Mapping[str, Any], vault: Vault | None = None
) -> Prepared | None:
    """What undoes a step whose outcome had this data, ready; None when nothing has to be undone. Raises NotReady.

    `context.outcomes` must hold the step's own outcome, for a compensation of the runbook may name it.
    """
    if step.compensate == "none":
        return None
    if isinstance(step.compensate, Compensation):
        written = step.compensate
        name = written.name or f"Undo: {step.name}"
        return _prepared(written.kind, written.with_, context, vault, name=name)
    forward = prepare(step, context, vault)
    found = forward.kind.undo(forward.options, context, data)
    if found is None:
        return None
    return prepare_options(found[0], found[1], context, vault, name=f"Undo: {step.name}")


def _prepared(
    kind_name: str,
    options: dict[str, Any],
    context: StepContext,
    vault: Vault | None,
    *,
    name: str,
    idempotent: bool | None = None,
) -> Prepared:
    if not registry.known(kind_name):
        raise NotReady([f"There is no step kind `{kind_name}`."])
    kind = registry.kind(kind_name)
    vault = vault or Vault()
    try:
        rendered = render(options, resolver(context, vault.resolve), url_fields=kind.url_fields)
    except Unknown as error:
        raise NotReady([vault.mask_text(str(error))]) from error
    held = [name for name in kind.written_fields if vault.holds(rendered.get(name))]
    if held:
        raise NotReady([f"{name}: it holds the text of a secret, and others read what is written." for name in held])
    try:
        checked: BaseModel = kind.options.model_validate(rendered)
    except ValidationError as error:
        problems = [
            f"{'.'.join(str(part) for part in detail['loc'])}: {detail['msg']}"
            for detail in error.errors(include_url=False)
            if not isinstance(detail["input"], Mark)
        ]
        if problems or not context.looking:
            raise NotReady([vault.mask_text(problem) for problem in problems or [str(error)]]) from error
        return Prepared(kind, None, name, idempotent=idempotent is not False, is_vague=True)
    sure = kind.idempotent(checked) if idempotent is None else idempotent
    return Prepared(kind, checked, name, idempotent=sure)


def preview(prepared: Prepared, context: StepContext) -> Preview:
    """What a prepared step would do; of a vague one only that it waits for an earlier outcome."""
    if prepared.is_vague:
        return Preview(text="Depends on the outcome of an earlier step, so it can't be looked at before.")
    return prepared.kind.preview(prepared.options, context)
