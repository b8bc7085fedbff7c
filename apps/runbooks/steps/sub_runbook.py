"""`sub_runbook`: another runbook runs as one step, with an execution of its own that can be followed and steered."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Annotated, Any

from pydantic import Field, StringConstraints

from apps.foundation.clock import now
from apps.foundation.errors import DomainError, Invalid
from apps.runbooks.models import Execution, Runbook
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

TARGET = "runbook"
LOOK_AGAIN = timedelta(seconds=15)
"""How long a sub-runbook may be over before its step notices, should the end have gone unheard."""


class SubRunbookOptions(Options):
    """`with` of a `sub_runbook`. `undo` is for the portal itself: the execution that is to be undone."""

    runbook: Annotated[str, StringConstraints(pattern=r"^[-a-zA-Z0-9_]{1,60}$")]
    parameters: Annotated[dict[str, Any], Field(max_length=100)] = {}
    undo: Annotated[int, Field(ge=1)] | None = None


class SubRunbook(StepKind):
    """One child execution for each step; the approval, the locks and the targets are those of the uppermost runbook.

    What plans and starts executions is imported when it is needed: it speaks of steps itself.
    """

    name = "sub_runbook"
    title = "Run a runbook"
    options = SubRunbookOptions
    outcome_fields = ("execution", "runbook")
    undo_waiting = True

    def effect(self, options: SubRunbookOptions) -> Effect:
        return "external"  # it asks the network while it plans, so it must not run inside a transaction

    def preview(self, options: SubRunbookOptions, context: StepContext) -> Preview:
        from apps.runbooks.documents import document_of
        from apps.runbooks.parameters import filled
        from apps.runbooks.planning import look

        runbook, problem = _usable(options.runbook, context)
        if runbook is None or runbook.active_version is None:
            return Preview(text=problem, problems=[problem])
        version = runbook.active_version
        try:
            given = filled(document_of(version).parameters, options.parameters)
        except Invalid as error:
            return Preview(text=error.message, problems=[error.message])
        plan = look(version, given, incident_id=context.incident_id, actor=context.actor, above=tuple(context.trail))
        told = " ".join(f"{step['position']}. {step['name']}: {step['text']}" for step in plan.steps)
        target = {"kind": TARGET, "key": runbook.slug, "before": version.checksum, "after": "", "version": ""}
        return Preview(
            text=f"Runs {runbook.name}, version {version.number}. {told}",
            diff=[change for step in plan.steps for change in step["diff"]],
            problems=plan.problems,
            targets=[target, *plan.targets],
            estimate_seconds=plan.estimate_seconds,
        )

    def perform(self, options: SubRunbookOptions, context: StepContext) -> Outcome:
        if options.undo is not None:
            return self._undone(options.undo, context)
        child = Execution.objects.filter(parent_step__idempotency_key=context.idempotency_key).first()
        if child is None:
            try:
                child = self._begun(options, context)
            except DomainError as error:
                return Outcome("failed", error=error.message)
            context.log(f"Runs {child}.")
        return _outcome(child)

    def _begun(self, options: SubRunbookOptions, context: StepContext) -> Execution:
        from apps.runbooks.operations.nesting import begin_below, trail_of_step
        from apps.runbooks.planning import look_closely

        trail = trail_of_step(context.idempotency_key)
        runbook, problem = _usable(options.runbook, context, trail)
        if runbook is None or runbook.active_version is None:
            raise Invalid(problem)
        if approved(context, TARGET, runbook.slug) != runbook.active_version.checksum:
            raise Invalid(f"{runbook.name} was changed after this was looked at: it does not run.")
        actor = acting(context)
        seen = look_closely(runbook, options.parameters, incident_id=context.incident_id, actor=actor, above=trail)
        if seen.plan.problems:
            raise Invalid(f"{runbook.name} can't run: {seen.plan.problems[0]}")
        return begin_below(context.idempotency_key, seen, reason=context.reason, actor=actor)

    def _undone(self, execution_id: int, context: StepContext) -> Outcome:
        from apps.runbooks.operations.nesting import failed_to_undo, undo_below

        mine = Execution.objects.filter(pk=execution_id, parent_step__execution_id=context.execution_id or 0)
        if not mine.exists():
            return Outcome("failed", error="That execution is none of this one.")
        child = undo_below(execution_id, context.idempotency_key, actor=acting(context))
        if child.state not in Execution.FINAL:
            return Outcome("waiting", data={"execution": child.pk}, due_at=now() + LOOK_AGAIN)
        if failed_to_undo(child):
            return Outcome("failed", data={"execution": child.pk}, error=f"{child}: {child.state_detail}")
        return Outcome("succeeded", data={"execution": child.pk})

    def probe(self, options: SubRunbookOptions, context: StepContext) -> Outcome | None:
        return None  # `perform` finds what an earlier attempt has begun

    def undo(
        self, options: SubRunbookOptions, context: StepContext, data: Mapping[str, Any]
    ) -> tuple[str, dict[str, Any]] | None:
        return (self.name, {"runbook": options.runbook, "undo": data["execution"]}) if data.get("execution") else None

    def undo_told(self, options: SubRunbookOptions) -> str:
        return f"What {options.runbook} did is undone, its last step first."

    def beyond(self, options: Mapping[str, Any], owner_id: int) -> str:
        slug = str(options.get("runbook", ""))
        mine = not has_placeholder(slug) and Runbook.objects.filter(slug=slug, owner_id=owner_id).exists()
        return "" if mine else f"it runs {slug}, which is no runbook of the owning team"

    def told(self, intent: Mapping[str, Any], data: Mapping[str, Any]) -> list[tuple[str, str]]:
        name = data.get("runbook") or written_options(intent).get("runbook", "")
        rows = [("Runbook", str(name))] if name else []
        return [*rows, *([("Execution", f"#{data['execution']}")] if data.get("execution") else [])]

    def readable(self, options: Mapping[str, Any]) -> str:
        return str(options.get("runbook", ""))


def _usable(slug: str, context: StepContext, trail: tuple[str, ...] | None = None) -> tuple[Runbook | None, str]:
    """The runbook, active and outside of any ring; or why not."""
    from apps.runbooks.nesting import ring_fault

    runbook = Runbook.objects.select_related("active_version", "owner").filter(slug=slug).first()
    if runbook is None or runbook.state != Runbook.State.ACTIVE:
        return None, f"There is no active runbook `{slug}`."
    fault = ring_fault(slug, tuple(context.trail) if trail is None else trail)
    return (None, fault) if fault else (runbook, "")


def _outcome(child: Execution) -> Outcome:
    known = {"execution": child.pk, "runbook": child.runbook.slug}
    if child.state not in Execution.FINAL:
        return Outcome("waiting", data=known, due_at=now() + LOOK_AGAIN)
    if child.state == Execution.State.SUCCEEDED:
        return Outcome("succeeded", data=known)
    return Outcome("failed", data=known, error=f"{child} {child.get_state_display().lower()}: {child.state_detail}")
