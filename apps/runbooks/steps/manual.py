"""`manual`: a person does it, by the instructions, and says so."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import StringConstraints

from apps.policies.durations import Duration
from apps.runbooks.steps.base import Effect, Options, Outcome, Preview, StepContext, StepKind, written_options


class ManualOptions(Options):
    """`with` of a `manual` step. `estimate` is what a person usually needs."""

    instructions: Annotated[str, StringConstraints(min_length=1, max_length=8000)]
    estimate: Duration = 120


class Manual(StepKind):
    """Waits for a person, who finishes it as done or not done."""

    name = "manual"
    title = "By hand"
    options = ManualOptions
    outcome_fields = ("note", "by")

    def effect(self, options: ManualOptions) -> Effect:
        return "none"

    def preview(self, options: ManualOptions, context: StepContext) -> Preview:
        return Preview(text=options.instructions, estimate_seconds=options.estimate)

    def perform(self, options: ManualOptions, context: StepContext) -> Outcome:
        context.log("Waits for a person.")
        return Outcome("waiting", data={"instructions": options.instructions})

    def probe(self, options: ManualOptions, context: StepContext) -> Outcome | None:
        return self.perform(options, context)

    def told(self, intent: Mapping[str, Any], data: Mapping[str, Any]) -> list[tuple[str, str]]:
        asked = data.get("instructions") or written_options(intent).get("instructions", "")
        rows = [("Asked for", str(asked))] if asked else []
        if "done" in data:
            rows.append(("Done by" if data["done"] else "Not done, says", str(data.get("by", ""))))
        return [*rows, *([("Note", str(data["note"]))] if data.get("note") else [])]

    def readable(self, options: Mapping[str, Any]) -> str:
        return str(options.get("instructions", ""))
