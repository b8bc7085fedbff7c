"""What the pages of runbooks show, as frozen values: steps, differences, states. Templates only print them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from apps.incidents.admin.showing import Tone, span_text
from apps.runbooks import steps as registry
from apps.runbooks import timing
from apps.runbooks.models import Execution, StepRun

# state -> icon (a name of Material Symbols) and tone
EXECUTION_MARKS: Mapping[str, tuple[str, Tone]] = {
    "awaiting_approval": ("hourglass_top", "warn"),
    "ready": ("play_circle", "accent"),
    "running": ("autorenew", "accent"),
    "waiting": ("front_hand", "warn"),
    "unknown": ("help", "danger"),
    "compensating": ("undo", "warn"),
    "succeeded": ("task_alt", "ok"),
    "undone": ("undo", "warn"),
    "failed": ("error", "danger"),
    "cancelled": ("block", ""),
}
STEP_MARKS: Mapping[str, tuple[str, Tone]] = {
    "pending": ("radio_button_unchecked", ""),
    "running": ("autorenew", "accent"),
    "waiting": ("front_hand", "warn"),
    "succeeded": ("check", "ok"),
    "failed": ("close", "danger"),
    "unknown": ("help", "danger"),
    "skipped": ("block", ""),
}
_OPS: Mapping[str, tuple[str, str]] = {
    "changed": ("~", "changed"),
    "added": ("+", "added"),
    "removed": ("−", "removed"),
}


@dataclass(frozen=True, slots=True)
class StateChip:
    """A state as a chip: its word is always written, so that no colour has to be told apart."""

    state: str
    label: str
    icon: str
    tone: Tone


@dataclass(frozen=True, slots=True)
class DiffRow:
    """One difference. `before` and `after` are JSON, None where there is nothing."""

    path: str
    op: str
    sign: str
    word: str
    before: str | None
    after: str | None


@dataclass(frozen=True, slots=True)
class RequestView:
    """A request that would be sent, with secrets masked."""

    line: str
    headers: tuple[tuple[str, str], ...]
    body: str


@dataclass(frozen=True, slots=True)
class PlannedStep:
    """What one step would do, as the dry run found it."""

    number: int
    slug: str
    name: str
    kind: str
    text: str
    request: RequestView | None
    changes: tuple[DiffRow, ...]
    problems: tuple[str, ...]
    estimate: str
    target: str
    on_failure: str
    undo: str
    undo_request: RequestView | None


@dataclass(frozen=True, slots=True)
class Progress:
    """How far the steps are, those that undo left out."""

    done: int
    total: int

    @property
    def percent(self) -> int:
        return round(100 * self.done / self.total) if self.total else 0


def chip_of_execution(execution: Execution) -> StateChip:
    icon, tone = EXECUTION_MARKS.get(execution.state, ("help", ""))
    return StateChip(execution.state, execution.get_state_display(), icon, tone)


def chip_of_step(step: StepRun) -> StateChip:
    """The state of a step; one that undoes something says so in its own words."""
    icon, tone = STEP_MARKS.get(step.state, ("help", ""))
    return StateChip(step.state, step.get_state_display(), icon, tone)


def kind_name(kind: str) -> str:
    """A kind of step for people."""
    return registry.kind(kind).title if registry.known(kind) else kind.replace("_", " ")


def progress_of(steps: Iterable[StepRun]) -> Progress:
    """Counts the forward steps that are over: done or left out."""
    forward = [step for step in steps if step.direction == StepRun.Direction.FORWARD]
    done = sum(1 for step in forward if step.state in {StepRun.State.SUCCEEDED, StepRun.State.SKIPPED})
    return Progress(done, len(forward))


def diff_rows(changes: Sequence[Mapping[str, Any]]) -> tuple[DiffRow, ...]:
    """The whole structural difference; nothing is shortened."""
    rows: list[DiffRow] = []
    for change in changes:
        op = str(change.get("op", "changed"))
        sign, word = _OPS.get(op, ("~", op))
        rows.append(
            DiffRow(
                path=str(change.get("path", "")) or "(the whole document)",
                op=op,
                sign=sign,
                word=word,
                before=None if op == "added" else json_text(change.get("before")),
                after=None if op == "removed" else json_text(change.get("after")),
            )
        )
    return tuple(rows)


def json_text(value: Any) -> str:
    """A value as JSON: on one line while that is short, indented otherwise."""
    line = json.dumps(value, ensure_ascii=False, sort_keys=True)
    if len(line) <= 80 or not isinstance(value, dict | list):  # noqa: PLR2004  # about one line of the page
        return line
    return json.dumps(value, ensure_ascii=False, sort_keys=True, indent=2)


def planned_steps(steps: Sequence[Mapping[str, Any]]) -> tuple[PlannedStep, ...]:
    """The steps of a dry run in their order."""
    return tuple(
        PlannedStep(
            number=number,
            slug=str(step.get("slug", "")),
            name=str(step.get("name") or step.get("slug", "")),
            kind=kind_name(str(step.get("kind", ""))),
            text=str(step.get("text", "")),
            request=_request(step.get("request")),
            changes=diff_rows(step.get("diff") or ()),
            problems=tuple(str(problem) for problem in step.get("problems") or ()),
            estimate=span_text(float(step["estimate_seconds"])) if step.get("estimate_seconds") else "",
            target=timing.span_text(int(step["target_seconds"])) if step.get("target_seconds") else "",
            on_failure=str(step.get("on_failure", "")),
            undo=_undo(step.get("undo")),
            undo_request=_request((step.get("undo") or {}).get("request")),
        )
        for number, step in enumerate(steps, start=1)
    )


def _undo(found: Any) -> str:
    """What would take the step back, in one line."""
    if not isinstance(found, Mapping):
        return ""
    return str(found.get("text") or found.get("name", ""))


def _request(found: Any) -> RequestView | None:
    """`{"method", "url", "headers", "body"}`, as the step's preview wrote it: masked already."""
    if not isinstance(found, Mapping):
        return None
    headers = found.get("headers") or {}
    body = found.get("body", found.get("json"))
    return RequestView(
        line=f"{found.get('method', 'GET')} {found.get('url', '')}".strip(),
        headers=tuple((str(name), str(value)) for name, value in sorted(headers.items())),
        body="" if body in (None, "") else body if isinstance(body, str) else json_text(body),
    )


def parameter_pairs(parameters: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    """Parameters for reading."""
    return tuple((str(name), json_text(value)) for name, value in sorted(parameters.items()))
