"""Guardrails: watching a metric, otherwise, or no more. Each has a history with who and why."""

from __future__ import annotations

from typing import Any

from apps.flags.events import ExperimentEdited
from apps.flags.models import Experiment, Flag, Guardrail
from apps.flags.operations.allocating import locked_experiment, tell
from apps.flags.operations.checking import key_of, reason_of
from apps.flags.operations.experiments import refuse_less_guard, void_start
from apps.flags.operations.guarding import MOST_MEASURED, judge_anew
from apps.flags.permissions import CHANGE
from apps.foundation.actor import Actor
from apps.foundation.checking import invalid
from apps.foundation.errors import Conflict, NotFound, PreconditionFailed
from apps.foundation.operations import operation

MOST_GUARDRAILS = 20
MOST_SENSITIVITY = 1e9
_LARGEST_ID = 2**63 - 1
_EDITABLE = ("worse", "against", "threshold", "sensitivity", "alpha")


@operation
def add_guardrail(
    experiment_id: int,
    metric: str,
    *,
    kind: str,
    worse: str,
    against: str,
    threshold: float,
    sensitivity: float,
    alpha: float = 0.01,
    reason: str = "",
    actor: Actor,
) -> Guardrail:
    """Watch a metric: a variant may not be worse than a `limit`, or than the fallback by more than the threshold.

    `threshold` and `sensitivity` are in the unit of the metric (of a rate, 0 to 1); a harm of `sensitivity` beyond the
    threshold is found soonest. `alpha` is how likely a false alarm may be over the whole experiment. Needs
    `flags.change_flag` on the flag, or to lead its team. Who is asked to approve the start is asked anew. Raises
    NotFound, Forbidden, Conflict for a metric that is watched already or an experiment that has ended, and Invalid.
    """
    experiment, flag, _ = locked_experiment(experiment_id, CHANGE, actor=actor)
    if experiment.state == Experiment.State.ENDED:
        raise Conflict(f"{experiment.key} has ended.", code="experiment_ended")
    made = Guardrail(
        experiment=experiment,
        metric=key_of(metric),
        kind=kind,
        worse=worse,
        against=against,
        threshold=threshold,
        sensitivity=sensitivity,
        alpha=alpha,
    )
    _check(made)
    rows = Guardrail.objects.filter(experiment=experiment)
    if rows.filter(metric=metric).exists():
        raise Conflict(f"{metric} is watched already.", code="metric_taken", fields={"metric": ["It is taken."]})
    if rows.count() >= MOST_GUARDRAILS:
        raise Conflict(f"An experiment has at most {MOST_GUARDRAILS} guardrails.", code="too_many_guardrails")
    void_start(experiment, flag, actor)
    made.save()
    tell(ExperimentEdited, experiment, reason=reason or f"{metric} is watched", actor=actor)
    return made


@operation
def edit_guardrail(
    experiment_id: int,
    guardrail_id: int,
    *,
    worse: str | None = None,
    against: str | None = None,
    threshold: float | None = None,
    sensitivity: float | None = None,
    alpha: float | None = None,
    reason: str,
    expected_version: int | None = None,
    actor: Actor,
) -> Guardrail:
    """Watch a metric otherwise: what is not given stays, and the same values change nothing.

    All that was measured is judged anew at once by what it says now, so a breach may be told, or a variant killed; each
    version by itself errs with at most `alpha`. Who may is as for `add_guardrail`. Raises NotFound, Forbidden,
    PreconditionFailed, Invalid, and Conflict once the experiment has ended, or where it runs as a second person
    approved it.
    """
    guardrail, experiment, flag, why = _locked(experiment_id, guardrail_id, expected_version, reason, actor)
    given: dict[str, Any] = dict(zip(_EDITABLE, (worse, against, threshold, sensitivity, alpha), strict=True))
    changed = {name: value for name, value in given.items() if value not in (None, getattr(guardrail, name))}
    if not changed:
        return guardrail
    for name, value in changed.items():
        setattr(guardrail, name, value)
    _check(guardrail)
    refuse_less_guard(experiment, flag)
    guardrail.version += 1
    guardrail.save()
    void_start(experiment, flag, actor)
    tell(ExperimentEdited, experiment, reason=why, actor=actor)
    if experiment.state == Experiment.State.RUNNING:
        judge_anew(experiment, guardrail)
    return guardrail


@operation
def remove_guardrail(
    experiment_id: int, guardrail_id: int, *, reason: str, expected_version: int | None = None, actor: Actor
) -> None:
    """Watch a metric no more: what was measured goes with it, its history stays. Kills that it has led to stay, too.

    Who may, and what it raises, is as for `edit_guardrail`; once more, it is NotFound.
    """
    guardrail, experiment, flag, why = _locked(experiment_id, guardrail_id, expected_version, reason, actor)
    refuse_less_guard(experiment, flag)
    guardrail.delete()
    void_start(experiment, flag, actor)
    tell(ExperimentEdited, experiment, reason=why, actor=actor)


def _locked(
    experiment_id: int, guardrail_id: int, expected_version: int | None, reason: str, actor: Actor
) -> tuple[Guardrail, Experiment, Flag, str]:
    """The guardrail under its lock, which comes first as for those who push samples, and its experiment."""
    rows = Guardrail.objects.select_for_update().filter(experiment_id=experiment_id, pk=guardrail_id)
    is_id = 0 < guardrail_id <= _LARGEST_ID and 0 < experiment_id <= _LARGEST_ID
    guardrail = rows.first() if is_id else None
    experiment, flag, _ = locked_experiment(experiment_id, CHANGE, actor=actor)
    why = reason_of(reason)
    if guardrail is None:
        raise NotFound(f"{experiment.key} has no such guardrail.")
    if expected_version is not None and expected_version != guardrail.version:
        raise PreconditionFailed(f"It was changed in the meantime: it has version {guardrail.version} now.")
    if experiment.state == Experiment.State.ENDED:
        raise Conflict(f"{experiment.key} has ended: what guarded it stays.", code="experiment_ended")
    guardrail.experiment = experiment
    return guardrail, experiment, flag, why


def _check(guardrail: Guardrail) -> None:
    for name, value, choices in (
        ("kind", guardrail.kind, Guardrail.Kind),
        ("worse", guardrail.worse, Guardrail.Worse),
        ("against", guardrail.against, Guardrail.Against),
    ):
        if value not in choices.values:
            raise invalid(name, f"Choose one of {', '.join(choices.values)}.")
    is_tolerance = guardrail.against == Guardrail.Against.FALLBACK
    if not abs(guardrail.threshold) <= MOST_MEASURED or (is_tolerance and guardrail.threshold < 0):
        raise invalid("threshold", "What is tolerated must be 0 or more; a limit any number, at most 1e100.")
    if not 0 < guardrail.sensitivity <= MOST_SENSITIVITY:
        raise invalid("sensitivity", "Give the size of a harm that must be found, above 0, at most 1e9.")
    if not 0 < guardrail.alpha <= 0.5:  # noqa: PLR2004  # beyond that it would be a coin
        raise invalid("alpha", "Give a probability above 0, at most 0.5.")
