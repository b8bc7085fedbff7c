"""A version as people read it: its parameters and its steps in words."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from apps.policies.durations import duration_text
from apps.runbooks import steps as registry
from apps.runbooks.conditions import condition_text
from apps.runbooks.documents import Compensation, Document, GoTo, InvalidRunbook, Step, document_of
from apps.runbooks.models import RunbookVersion
from apps.runbooks.timing import span_text

_LIMITS = (
    ("at least", "minimum"),
    ("more than", "exclusiveMinimum"),
    ("at most", "maximum"),
    ("less than", "exclusiveMaximum"),
    ("like", "pattern"),
)
_UNDOES_ITSELF = {
    "config_restore": "the backup goes back",
    "config_apply": "what was live before goes back",
    "flag_change": "the flag goes back",
    "event_pause": "the event is resumed",
    "event_resume": "the event is paused",
    "snapshot_restore": "what was live before goes back",
    "sub_runbook": "its own steps are undone",
}
_ON_FAILURE = {"abort": "undo what was done", "continue": "go on"}


@dataclass(frozen=True, slots=True)
class StepRow:
    """One step in words."""

    position: int
    name: str
    slug: str
    title: str
    what: str
    time: str
    target: str
    tries: str
    on_failure: str
    undo: str
    options: str


@dataclass(frozen=True, slots=True)
class ParameterRow:
    """One parameter in words."""

    name: str
    title: str
    what: str
    default: str
    required: bool


@dataclass(frozen=True, slots=True)
class Readable:
    """A whole version; `outdated` says why this release can't read it any more."""

    document: Document | None
    steps: list[StepRow]
    parameters: list[ParameterRow]
    facts: list[tuple[str, str]]
    outdated: str = ""


def readable(version: RunbookVersion) -> Readable:
    """A version in words. Never raises for an old text."""
    try:
        document = document_of(version)
    except InvalidRunbook as error:
        return Readable(None, [], [], [], outdated=error.message)
    steps = [_step(step, position) for position, step in enumerate(document.steps, start=1)]
    return Readable(document, steps, _parameters(document.parameters), _facts(document))


def _facts(document: Document) -> list[tuple[str, str]]:
    found = [("Approval", "a second person approves it" if document.approval == "required" else "none is needed")]
    if document.estimate is not None:
        found.append(("Usually takes", duration_text(document.estimate)))
    if document.target is not None:
        found.append(("Must be done within", duration_text(document.target)))
    if document.command:
        found.append(("On the command line", f"manage.py rollback {document.command}"))
    lists = (("Signals", document.signals), ("Before you begin", document.prerequisites))
    found += [(name, "; ".join(lines)) for name, lines in lists if lines]
    found += [("Expected outcome", document.expected)] if document.expected else []
    people = (("Contacts", document.contacts), ("Escalation", document.escalation))
    found += [(name, "; ".join(lines)) for name, lines in people if lines]
    return [*found, *([("What to tell players", document.comms)] if document.comms else [])]


def _step(step: Step, position: int) -> StepRow:
    kind = registry.kind(step.kind) if registry.known(step.kind) else None
    tries = f"{step.retries + 1}, {duration_text(step.retry_delay)} apart" if step.retries else "1"
    return StepRow(
        position=position,
        name=step.name,
        slug=step.slug,
        title=kind.title if kind else step.kind,
        what=f"{condition_text(step)} {kind.readable(step.with_) if kind else ''}".strip(),
        time=duration_text(step.timeout),
        target=span_text(step.target) if step.target else "",
        tries=tries,
        on_failure=_on_failure(step),
        undo=_undo(step),
        options=json.dumps(step.with_, indent=2, ensure_ascii=False),
    )


def _on_failure(step: Step) -> str:
    return f"go on at {step.on_failure.go_to}" if isinstance(step.on_failure, GoTo) else _ON_FAILURE[step.on_failure]


def _undo(step: Step) -> str:
    if isinstance(step.compensate, Compensation):
        kind = registry.kind(step.compensate.kind) if registry.known(step.compensate.kind) else None
        return step.compensate.name or (kind.readable(step.compensate.with_) if kind else step.compensate.kind)
    return _UNDOES_ITSELF.get(step.kind, "–") if step.compensate == "auto" else "–"


def _parameters(schema: Mapping[str, Any]) -> list[ParameterRow]:
    properties = schema.get("properties", {})
    required = schema.get("required", [])
    return [_parameter(name, entry, required=name in required) for name, entry in properties.items()]


def _parameter(name: str, entry: Any, *, required: bool) -> ParameterRow:
    entry = entry if isinstance(entry, Mapping) else {}
    said = [str(entry["type"])] if "type" in entry else []
    said += [f"one of {', '.join(_text(value) for value in entry['enum'])}"] if "enum" in entry else []
    said += [f"{word} {_text(entry[key])}" for word, key in _LIMITS if key in entry]
    default = _text(entry["default"]) if "default" in entry else ""
    what = " · ".join([str(entry.get("description", "")), ", ".join(said)]).strip(" ·")
    return ParameterRow(name, str(entry.get("title", name)), what, default, required)


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
