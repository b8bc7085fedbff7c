"""Dry runs and executions as lines of a terminal."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from apps.policies.durations import duration_text
from apps.runbooks.documents import document_of
from apps.runbooks.models import DryRun, Execution, LogLine, StepRun
from apps.runbooks.timing import span_text, timing_text

_LONGEST_VALUE = 200
_SIGNS = {"changed": "~", "added": "+", "removed": "-"}


def dry_run_lines(dry_run: DryRun) -> Iterator[str]:
    """Everything that it would do, with the whole diff, and every problem."""
    version = dry_run.runbook_version
    yield f"{dry_run.runbook.name}, version {version.number}: dry run {dry_run.pk}. Nothing has been changed."
    if dry_run.parameters:
        yield f"Parameters: {_value(dry_run.parameters)}"
    for step in dry_run.steps:
        yield f"  {step['position']}. {step['name']} ({step['title']})"
        yield f"     {step['text']}"
        if step.get("target_seconds"):
            yield f"     Target: {span_text(step['target_seconds'])}"
        for change in step["diff"]:
            yield f"     {_change(change)}"
        if step["undo"]:
            yield f"     If a later step fails: {step['undo']['text']}"
    yield f"Estimate: {duration_text(dry_run.estimate_seconds)}."
    for problem in dry_run.problems:
        yield f"PROBLEM: {problem}"


def _change(change: dict[str, Any]) -> str:
    sign = _SIGNS.get(change["op"], "?")
    if change["op"] == "added":
        return f"{sign} {change['path']}: {_value(change['after'])}"
    if change["op"] == "removed":
        return f"{sign} {change['path']}: {_value(change['before'])}"
    return f"{sign} {change['path']}: {_value(change['before'])} → {_value(change['after'])}"


def _value(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= _LONGEST_VALUE else f"{text[:_LONGEST_VALUE]}…"


def fresh_lines(execution_id: int, after: int) -> Iterator[tuple[int, str]]:
    """The log after line `after`, each line with its number."""
    rows = LogLine.objects.filter(execution_id=execution_id, pk__gt=after).select_related("step").order_by("pk")
    for row in rows:
        yield row.pk, f"{row.at:%H:%M:%S} {_place(row.step)}{row.text}"


def _place(step: StepRun | None) -> str:
    if step is None:
        return ""
    undoing = "undo " if step.direction == StepRun.Direction.COMPENSATE else ""
    return f"[{undoing}{step.position}. {step.name}] "


def ending(execution: Execution) -> str:
    """The last lines: every step with how long it took and its target, then how it ended."""
    began = execution.started_at or execution.requested_at
    took = int(((execution.finished_at or began) - began).total_seconds())
    label = Execution.State(execution.state).label
    target = document_of(execution.runbook_version).target
    kept = "met" if execution.state == Execution.State.SUCCEEDED and took <= (target or 0) else "missed"
    against = f" (target {span_text(target)}: {kept})" if target else ""
    last = f"{label} after {took // 60} min {took % 60} s{against}. {execution.state_detail}".rstrip()
    return "\n".join([*_step_lines(execution), last])


def _step_lines(execution: Execution) -> Iterator[str]:
    for run in execution.steps.order_by("order"):
        undoing = "undo " if run.direction == StepRun.Direction.COMPENSATE else ""
        timing = timing_text(run) or StepRun.State(run.state).label
        yield f"  {undoing}{run.position}. {run.name}: {timing}"
