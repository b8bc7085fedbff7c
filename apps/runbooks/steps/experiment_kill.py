"""`experiment_kill`: nobody gets a variant of an experiment any more; the others keep theirs."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import StringConstraints

from apps.flags import operations
from apps.flags.experiment_queries import preview_variant_kill
from apps.flags.models import Experiment
from apps.foundation.errors import DomainError
from apps.foundation.subjects import Subject
from apps.incidents.queries import SUBJECT_KIND as INCIDENT
from apps.runbooks.steps.base import (
    Effect,
    Options,
    Outcome,
    Preview,
    StepContext,
    StepKind,
    acting,
    written_options,
)
from apps.runbooks.templating import has_placeholder

TARGET = "experiment"
Name = Annotated[str, StringConstraints(min_length=1, max_length=100)]


class ExperimentKillOptions(Options):
    """`with` of an `experiment_kill`. `enrolled` says where those go who have the variant."""

    experiment: Name
    variant: Name
    enrolled: Literal["fallback", "split_evenly"] = "fallback"


class ExperimentKill(StepKind):
    """In the transaction of the step's outcome; every process answers anew within 2 seconds. Nothing undoes it."""

    name = "experiment_kill"
    title = "Kill a variant"
    options = ExperimentKillOptions
    outcome_fields = ("experiment", "variant", "changed", "moved")

    def effect(self, options: ExperimentKillOptions) -> Effect:
        return "internal"

    def preview(self, options: ExperimentKillOptions, context: StepContext) -> Preview:
        experiment = experiment_of(options)
        if experiment is None:
            problem = f"There is no experiment `{options.experiment}`."
            return Preview(text=problem, problems=[problem])
        try:
            found = preview_variant_kill(experiment, options.variant, options.enrolled)
        except DomainError as error:
            return Preview(text=error.message, problems=[error.message])
        before, after = json.dumps(found.before), json.dumps(found.after)
        key = f"{experiment.key}.{options.variant}"
        target = {"kind": TARGET, "key": key, "before": before, "after": after, "version": ""}
        if found.is_killed:
            return Preview(text=f"Nobody gets {options.variant} any more already: nothing to do.", targets=[target])
        moves = ", ".join(f"{count} to {name}" for name, count in found.moves.items()) or "nobody has to move"
        path = f"experiments.{experiment.key}.shares"
        return Preview(
            text=f"Nobody gets {options.variant} of {experiment.name} any more: {moves}; everybody else stays.",
            diff=[{"path": path, "op": "changed", "before": found.before, "after": found.after}],
            targets=[target],
            estimate_seconds=2,
        )

    def perform(self, options: ExperimentKillOptions, context: StepContext) -> Outcome:
        experiment = experiment_of(options)
        if experiment is None:
            return Outcome("failed", error=f"There is no experiment `{options.experiment}`.")
        about = Subject(INCIDENT, str(context.incident_id)) if context.incident_id is not None else None
        try:
            moved = preview_variant_kill(experiment, options.variant, options.enrolled).moves
            done = operations.kill_variant(
                experiment.pk,
                options.variant,
                mode=options.enrolled,
                # Whoever sees flags reads this; why the runbook runs may be for a private incident's people.
                reason=f"by execution {context.execution_id} of a runbook",
                about=about,
                actor=acting(context),
            )
        except DomainError as error:
            return Outcome("failed", error=error.message)
        changed = done.version != experiment.version
        context.log(f"Nobody gets {options.variant} of {experiment.name} any more.")
        data = {"experiment": experiment.key, "variant": options.variant, "changed": changed}
        return Outcome("succeeded", data={**data, "moved": sum(moved.values()) if changed else 0})

    def beyond(self, options: Mapping[str, Any], owner_id: int) -> str:
        key = str(options.get("experiment", ""))
        mine = Experiment.objects.filter(key=key, flag__owner_id=owner_id).exists() and not has_placeholder(key)
        return "" if mine else f"it changes the experiment {key}, which is not the owning team's"

    def told(self, intent: Mapping[str, Any], data: Mapping[str, Any]) -> list[tuple[str, str]]:
        options = written_options(intent)
        rows = [("Experiment", str(options.get("experiment", ""))), ("Killed", str(options.get("variant", "")))]
        return [*rows, *([("Moved", str(data["moved"]))] if "moved" in data else [])]

    def readable(self, options: Mapping[str, Any]) -> str:
        return f"{options.get('variant', '')} of {options.get('experiment', '')}"


def experiment_of(options: ExperimentKillOptions) -> Experiment | None:
    """The experiment that is meant; None where there is none."""
    return Experiment.objects.select_related("flag__environment").filter(key=options.experiment).first()
