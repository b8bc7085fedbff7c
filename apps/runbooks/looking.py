"""One step of a dry run: what it would do, what would undo it, and what stands in the way."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from django.db import Error as DatabaseError

from apps.runbooks import steps as registry
from apps.runbooks.conditions import condition_text, skip_reason
from apps.runbooks.documents import Compensation, Step
from apps.runbooks.faults import log_raised, said
from apps.runbooks.secrets import Vault
from apps.runbooks.steps.base import Preview, StepContext
from apps.runbooks.steps.preparing import NotReady, Prepared, prepare, prepare_compensation, preview

_COLLIDING = frozenset({"config", "entity"})


def look_at(step: Step, position: int, context: StepContext, vault: Vault) -> dict[str, Any]:
    """One step as the dry run shows it."""
    own = replace(context, timeout_seconds=float(step.timeout))
    prepared, seen = _previewed(step, own, vault)
    undoing, undo_problems = _look_at_undoing(step, prepared, own, vault) if prepared or not step.when else (None, [])
    return {
        "position": position,
        "slug": step.slug,
        "name": step.name,
        "kind": step.kind,
        "title": registry.kind(step.kind).title if registry.known(step.kind) else step.kind,
        "text": seen.text,
        "request": seen.request,
        "diff": seen.diff,
        "problems": [*seen.problems, *undo_problems],
        "targets": seen.targets,
        "estimate_seconds": seen.estimate_seconds if step.estimate is None else step.estimate,
        "target_seconds": step.target,
        "timeout_seconds": step.timeout,
        "retries": step.retries,
        "on_failure": step.on_failure if isinstance(step.on_failure, str) else f"go to {step.on_failure.go_to}",
        "idempotent": prepared.idempotent if prepared else False,
        "depends_on_outcome": bool(prepared and prepared.is_vague),
        "undo": undoing,
    }


def _previewed(step: Step, context: StepContext, vault: Vault) -> tuple[Prepared | None, Preview]:
    """A step whose conditions can't hold is not looked at any closer."""
    if why := skip_reason(step, context, vault):
        return None, Preview(text=why)
    try:
        prepared = prepare(step, context, vault)
        seen = preview(prepared, context)
    except NotReady as error:
        return None, Preview(text=error.problems[0], problems=error.problems)
    except DatabaseError:
        raise
    except Exception as error:  # noqa: BLE001  # a kind may fail in any way: that is a problem of its step, told without secrets
        return None, _raised(step, error, vault)
    return prepared, replace(seen, text=f"{condition_text(step)} {seen.text}".strip())


def _look_at_undoing(
    step: Step, prepared: Prepared | None, context: StepContext, vault: Vault
) -> tuple[dict[str, Any] | None, list[str]]:
    """What would undo the step once it is done, and what is wrong with that."""
    try:
        return _undoing(step, prepared, context, vault)
    except DatabaseError:
        raise
    except Exception as error:  # noqa: BLE001  # the same as above
        return None, [f"its undoing: {problem}" for problem in _raised(step, error, vault).problems]


def _raised(step: Step, error: Exception, vault: Vault) -> Preview:
    log_raised(f"Looking at step {step.slug}", error, vault)
    problem = said(error, vault)
    return Preview(text=problem, problems=[problem])


def _undoing(
    step: Step, prepared: Prepared | None, context: StepContext, vault: Vault
) -> tuple[dict[str, Any] | None, list[str]]:
    if isinstance(step.compensate, Compensation):
        name = step.compensate.name or f"Undo: {step.name}"
        try:
            found = prepare_compensation(step, context, {}, vault)
        except NotReady as error:
            problems = [f"its undoing: {problem}" for problem in error.problems]
            return {"kind": step.compensate.kind, "name": name, "text": problems[0], "request": None}, problems
        if found is None:
            return None, []
        seen = preview(found, context)
        shown = {"kind": found.kind.name, "name": name, "text": seen.text, "request": seen.request}
        return shown, [f"its undoing: {problem}" for problem in seen.problems]
    if step.compensate == "none" or prepared is None or prepared.is_vague:
        return None, []
    told = prepared.kind.undo_told(prepared.options)
    shown = {"kind": prepared.kind.name, "name": f"Undo: {step.name}", "text": told, "request": None}
    return (shown if told else None), []


def collisions(steps: list[dict[str, Any]]) -> Iterator[str]:
    """Two steps that would both change one document or entity: a preview shows its own change against what is live."""
    first: dict[str, str] = {}
    for step in steps:
        for target in step["targets"]:
            if target["kind"] not in _COLLIDING:
                continue
            if target["key"] in first:
                yield f"{first[target['key']]} and {step['name']} both change {target['key']}: keep one of them."
            first.setdefault(target["key"], step["name"])
