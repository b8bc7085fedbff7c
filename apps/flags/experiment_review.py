"""What a second person reads before an experiment starts: what exactly would start, whom it moves, what is missing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from apps.flags.evaluation.definitions import read_definition, served
from apps.flags.experiment_queries import start_of
from apps.flags.models import Experiment, Flag, FlagChange
from apps.flags.operations.approving import demands_approval
from apps.flags.previews import WhoChanges, who_changes
from apps.foundation.errors import Invalid

_OPEN = (FlagChange.State.PROPOSED, FlagChange.State.WAITING)


@dataclass(frozen=True, slots=True)
class ExperimentReview:
    """`change` is the start written out, as it is approved; `who` is None once it has started, or where it can't be.

    `proposal` is the newest change that starts it; `is_current` says whether that is exactly what would start now.
    """

    experiment: Experiment
    needs_approval: bool
    change: dict[str, Any]
    who: WhoChanges | None
    fault: str
    warnings: list[str]
    proposal: FlagChange | None
    is_current: bool


def review_experiment(experiment: Experiment) -> ExperimentReview:
    """Nothing is written. Seven queries at most, whatever is enrolled."""
    change = start_of(experiment)
    who, fault = None, ""
    if experiment.state == Experiment.State.DRAFT:
        try:
            who = who_changes(experiment.flag, change)
        except Invalid as error:
            fault = error.message
    proposal = proposal_of(experiment)
    is_fresh = proposal is not None and proposal.change == change
    if is_fresh and proposal is not None and proposal.state in _OPEN and proposal.base_version is not None:
        is_fresh = proposal.base_version == experiment.flag.version
    return ExperimentReview(
        experiment=experiment,
        needs_approval=demands_approval(experiment.flag),
        change=change,
        who=who,
        fault=fault,
        warnings=_warnings(experiment, change["start"]),
        proposal=proposal,
        is_current=is_fresh,
    )


def proposal_of(experiment: Experiment) -> FlagChange | None:
    """The newest change that starts it, scheduled or proposed; whatever became of it."""
    rows = FlagChange.objects.filter(flag=experiment.flag_id, change__start__experiment=experiment.key)
    return rows.select_related("approval", "created_by").order_by("-pk").first()


def _warnings(experiment: Experiment, start: dict[str, Any]) -> list[str]:
    flag, found = experiment.flag, []
    if not start["guardrails"]:
        found.append("No guardrail watches it: nothing would tell that a variant does harm.")
    elif not start["auto_kill"]:
        found.append("A breached guardrail proposes a kill, and waits for a person.")
    if none := [name for name, percent in start["percents"].items() if not percent]:
        found.append(f"Nobody gets {', '.join(none)}: the share is 0 %.")
    if flag.state != Flag.State.ON:
        found.append(f"The flag is {flag.state}: nobody is placed before it is on.")
    try:
        definition = read_definition(flag.type, flag.definition)
    except Invalid:
        return [*found, "The flag's definition can't be read."]
    met = [f"{rule.name!r}" for rule in definition.rules if set(served(rule.serve)) & start["percents"].keys()]
    if met:
        found.append(f"Rules come first and give variants to whom they meet: {', '.join(met[:5])}.")
    return found
