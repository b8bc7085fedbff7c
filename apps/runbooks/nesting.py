"""Runbooks within runbooks: who runs whom, and that nobody runs in a ring or too deep."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from apps.policies.sections import Finding, Where
from apps.runbooks.documents import Compensation, Document
from apps.runbooks.models import Execution, Runbook
from apps.runbooks.templating import has_placeholder

KIND = "sub_runbook"
MOST_DEPTH = 3
"""So many runbooks may stand one below the other, the uppermost counted."""


def nesting_findings(slug: str, document: Document) -> Iterator[Finding]:
    """What is wrong with the sub-runbooks that a text of the runbook `slug` names: a ring, or too many floors."""
    known: dict[str, list[str]] = {}
    for where, name in _named(document):
        if has_placeholder(name):
            yield Finding(where, "The name of a sub-runbook is written out, so that its steps can be looked at.")
        elif fault := _fault(name, (slug,), known):
            yield Finding(where, fault)


def ring_fault(name: str, trail: tuple[str, ...]) -> str:
    """Why a runbook can't run below these, the uppermost first; empty when it can."""
    if name in trail:
        return f"{' → '.join((*trail[trail.index(name) :], name))}: runbooks can't run in a ring."
    if len(trail) >= MOST_DEPTH:
        return f"{' → '.join((*trail, name))}: at most {MOST_DEPTH} runbooks may stand one below the other."
    return ""


def unapproved(document: Document) -> Iterator[str]:
    """Sub-runbooks that want an approval where the runbook itself asks for none: nobody would be asked."""
    if document.approval == "required":
        return
    names = {name for _, name in _named(document)}
    rows = Runbook.objects.filter(slug__in=names, active_version__isnull=False).order_by("slug")
    for slug, content in rows.values_list("slug", "active_version__content"):
        if content.get("approval", "required") != "none":
            yield f"`{slug}` needs an approval, so what runs it needs one too: write `approval: required`."


def runs_others(document: Document) -> bool:
    """Whether a step, or what undoes one, runs another runbook."""
    return any(True for _ in _named(document))


def trail_of(execution: Execution) -> tuple[str, ...]:
    """The slugs of the runbooks that run this execution, the uppermost first, and its own."""
    found = [execution.runbook.slug]
    above = execution.parent_step
    while above is not None and len(found) <= MOST_DEPTH:
        found.append(above.execution.runbook.slug)
        above = above.execution.parent_step
    return tuple(reversed(found))


def _fault(name: str, trail: tuple[str, ...], known: dict[str, list[str]]) -> str:
    if fault := ring_fault(name, trail):
        return fault
    if name not in known:
        known[name] = _below(name)
    for each in known[name]:
        if fault := _fault(each, (*trail, name), known):
            return fault
    return ""


def _below(slug: str) -> list[str]:
    """The sub-runbooks of what is active of a runbook."""
    found = Runbook.objects.filter(slug=slug).values_list("active_version__content", flat=True).first()
    steps = found.get("steps", []) if isinstance(found, Mapping) else []
    named: list[Any] = [step for step in steps if isinstance(step, Mapping)]
    named += [step["compensate"] for step in named if isinstance(step.get("compensate"), Mapping)]
    return [str((each.get("with") or {}).get("runbook", "")) for each in named if each.get("kind") == KIND]


def _named(document: Document) -> Iterator[tuple[Where, str]]:
    for index, step in enumerate(document.steps):
        if step.kind == KIND:
            yield ("steps", index, "with", "runbook"), str(step.with_.get("runbook", ""))
        if isinstance(step.compensate, Compensation) and step.compensate.kind == KIND:
            yield ("steps", index, "compensate", "with", "runbook"), str(step.compensate.with_.get("runbook", ""))
