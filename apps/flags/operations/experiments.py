"""Making experiments, starting them, giving newcomers other shares, and ending them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from apps.engine.timers import NewTimer, schedule_many
from apps.flags.events import (
    ExperimentCreated,
    ExperimentEdited,
    ExperimentEnded,
    ExperimentReallocated,
    ExperimentStarted,
)
from apps.flags.experiment_queries import epochs_of, percents_of, shares_of, start_of
from apps.flags.experiments.epochs import Epoch, killed_in
from apps.flags.experiments.slots import allot
from apps.flags.models import AllocationEpoch, Experiment, Flag, SampleRatio
from apps.flags.operations.allocating import locked_experiment, open_epoch, save_both, tell
from apps.flags.operations.approving import demands_approval, drop_proposals, require_approval
from apps.flags.operations.changing import locked_flag, record_change
from apps.flags.operations.checking import MAX_TEXT, key_of, reason_of
from apps.flags.operations.editing import edit_flag
from apps.flags.permissions import CHANGE
from apps.foundation.actor import Actor
from apps.foundation.checking import checked_text, invalid
from apps.foundation.clock import now
from apps.foundation.errors import Conflict
from apps.foundation.operations import operation

RATIO_TIMER = "flags.sample_ratio"
FEWEST_VARIANTS, MOST_VARIANTS = 2, 20
LEAST_TRAFFIC = 0.01  # one slot
WHOLE, TOLERATED = 100.0, 0.011  # so that three thirds may be written as 33.33 each


@operation
def create_experiment(
    key: str,
    *,
    flag_id: int,
    name: str,
    fallback: str,
    percents: Any,
    traffic: float = WHOLE,
    hypothesis: str = "",
    salt: str = "",
    auto_kill: bool = False,
    reason: str = "",
    actor: Actor,
) -> Experiment:
    """Plan an experiment; nobody gets anything else before `start_experiment`.

    `percents` gives each variant its share, together 100; `traffic` the percent of all who take part. Needs
    `flags.change_flag` on the flag, or to lead its team. Raises NotFound, Forbidden, Conflict for a key that is taken,
    and Invalid for a flag of another kind and for shares that don't add up.
    """
    flag, _ = locked_flag(flag_id, CHANGE, expected_version=None, actor=actor)
    if flag.kind != Flag.Kind.EXPERIMENT:
        raise invalid("flag", f"{flag.key} is of the kind {flag.get_kind_display()}: make its kind experiment first.")
    if Experiment.objects.filter(key=key_of(key)).exists():
        raise Conflict(f"There is an experiment {key} already.", code="key_taken", fields={"key": ["It is taken."]})
    shares = checked_percents(flag, percents)
    if fallback not in shares:
        raise invalid("fallback", f"The fallback must be one of the variants: {', '.join(shares)}.")
    made = Experiment(
        key=key,
        flag=flag,
        name=checked_text(name, "name", most=120),
        hypothesis=checked_text(hypothesis, "hypothesis", most=MAX_TEXT, required=False),
        fallback=fallback,
        percents=shares,
        traffic=_traffic(traffic),
        salt=checked_text(salt, "salt", most=100, required=False) or key,
        auto_kill=auto_kill,
    )
    made.save()
    tell(ExperimentCreated, made, reason=reason, actor=actor)
    return made


@operation
def edit_experiment(
    experiment_id: int,
    *,
    name: str | None = None,
    hypothesis: str | None = None,
    auto_kill: bool | None = None,
    reason: str = "",
    expected_version: int | None = None,
    actor: Actor,
) -> Experiment:
    """Change what describes it, and whether guardrails kill by themselves; the same values change nothing.

    Who may is as for `create_experiment`. Raises NotFound, Forbidden, PreconditionFailed, Invalid, and Conflict where
    it runs as a second person approved it and would be guarded less.
    """
    experiment, flag, _ = locked_experiment(experiment_id, CHANGE, expected_version=expected_version, actor=actor)
    before = (experiment.name, experiment.hypothesis, experiment.auto_kill)
    if name is not None:
        experiment.name = checked_text(name, "name", most=120)
    if hypothesis is not None:
        experiment.hypothesis = checked_text(hypothesis, "hypothesis", most=MAX_TEXT, required=False)
    if auto_kill is not None:
        experiment.auto_kill = auto_kill
    if (experiment.name, experiment.hypothesis, experiment.auto_kill) == before:
        return experiment
    if experiment.auto_kill != before[2]:
        refuse_less_guard(experiment, flag, is_less=not experiment.auto_kill)
        void_start(experiment, flag, actor)
    experiment.version += 1
    experiment.save()
    tell(ExperimentEdited, experiment, reason=reason, actor=actor)
    return experiment


@operation
def start_experiment(
    experiment_id: int,
    *,
    reason: str = "",
    expected_version: int | None = None,
    change_id: int | None = None,
    actor: Actor,
) -> Experiment:
    """Have the flag answer by it, in every process within 2 seconds. One that runs stays so: a repeat changes nothing.

    Who may is as for `create_experiment`. Where a second person must approve what the flag answers, `change_id` names
    what was approved: these shares, this fallback and these guardrails. Raises NotFound, Forbidden, PreconditionFailed,
    Conflict for one that has ended, while another of the flag runs, `approval_needed` or `changed_since_approval`, and
    Invalid when the flag has lost a variant.
    """
    experiment, flag, revision = locked_experiment(
        experiment_id, CHANGE, expected_version=expected_version, actor=actor
    )
    if experiment.state == Experiment.State.RUNNING:
        return experiment
    if experiment.state == Experiment.State.ENDED:
        raise Conflict(f"{experiment.key} has ended: plan another one.", code="experiment_ended")
    other = Experiment.objects.filter(flag=flag, state=Experiment.State.RUNNING).first()
    if other is not None:
        raise Conflict(f"{other.key} runs on {flag.key}: end it first.", code="experiment_running")
    if flag.kind != Flag.Kind.EXPERIMENT:
        raise invalid("flag", f"{flag.key} is of the kind {flag.get_kind_display()} by now.")
    shares = checked_percents(flag, experiment.percents)
    require_approval(flag, start_of(experiment), change_id)
    experiment.state, experiment.started_at = Experiment.State.RUNNING, now()
    ranges = allot(shares, experiment.traffic)
    open_epoch(experiment, ranges, cause=AllocationEpoch.Cause.START, reason=reason, actor=actor)
    ratio, _ = SampleRatio.objects.get_or_create(experiment=experiment)
    schedule_many([NewTimer(RATIO_TIMER, str(ratio.pk), 1, 1, now())])
    save_both(experiment, flag, revision, actor)
    tell(ExperimentStarted, experiment, reason=reason, actor=actor)
    record_change(flag, f"answers by the experiment {experiment.key}", actor)
    return experiment


@operation
def reallocate(
    experiment_id: int,
    percents: Any,
    *,
    traffic: float | None = None,
    reason: str,
    expected_version: int | None = None,
    change_id: int | None = None,
    actor: Actor,
) -> Experiment:
    """Give newcomers other shares; whoever is enrolled keeps their variant. The same shares change nothing.

    A variant that was killed gets no share again; one that is left out gets none. Who may is as for
    `create_experiment`, and an approval as for `start_experiment`. Raises NotFound, Forbidden, PreconditionFailed,
    Conflict unless it runs or where nobody approved it, and Invalid.
    """
    experiment, flag, revision = locked_experiment(
        experiment_id, CHANGE, expected_version=expected_version, actor=actor
    )
    why = reason_of(reason)
    if experiment.state != Experiment.State.RUNNING:
        raise Conflict(f"{experiment.key} does not run.", code="experiment_not_running")
    epochs = epochs_of(experiment)
    wanted, part = checked_shares(experiment, percents, traffic, epochs)
    require_approval(flag, shares_of(experiment, wanted, part), change_id)
    ranges = allot(wanted, part)
    if _given(percents_of(ranges)) == _given(percents_of(epochs[-1].ranges)):
        return experiment
    experiment.percents, experiment.traffic = wanted, part
    open_epoch(experiment, ranges, cause=AllocationEpoch.Cause.SHARES, reason=why, actor=actor)
    save_both(experiment, flag, revision, actor)
    tell(ExperimentReallocated, experiment, reason=why, actor=actor)
    record_change(flag, f"has other shares in the experiment {experiment.key}", actor)
    return experiment


@operation
def end_experiment(
    experiment_id: int, *, winner: str = "", reason: str, expected_version: int | None = None, actor: Actor
) -> Experiment:
    """Have the flag answer by its definition again, to everybody; with a `winner`, that variant by default.

    One that has ended stays so: a repeat changes nothing. Who may is as for `create_experiment`. Raises NotFound,
    Forbidden, PreconditionFailed, and Invalid for a winner that is unknown or was killed.
    """
    experiment, flag, revision = locked_experiment(
        experiment_id, CHANGE, expected_version=expected_version, actor=actor
    )
    why = reason_of(reason)
    if winner and winner not in flag.definition["variants"]:
        raise invalid("winner", f"{flag.key} has no variant {winner[:100]!r}.")
    if experiment.state == Experiment.State.ENDED:
        return experiment
    if winner in killed_in(epochs_of(experiment)):
        raise invalid("winner", f"{winner} was killed: it can't be what everybody gets.")
    experiment.state, experiment.ended_at = Experiment.State.ENDED, now()
    save_both(experiment, flag, revision, actor)
    if winner:
        edit_flag(flag.pk, definition={**flag.definition, "serve": winner}, reason=why, actor=actor)
    tell(ExperimentEnded, experiment, reason=why, actor=actor)
    record_change(flag, f"answers by its definition: the experiment {experiment.key} has ended", actor)
    return experiment


def void_start(experiment: Experiment, flag: Flag, actor: Actor) -> None:
    """What guards the locked experiment has changed: who is asked to approve its start was asked about another one."""
    why = f"What guards {experiment.key} has changed."
    drop_proposals(flag, why, actor=actor, start_of=experiment.key)


def refuse_less_guard(experiment: Experiment, flag: Flag, *, is_less: bool = True) -> None:
    """Raise Conflict where it runs as a second person approved it, and would now be guarded less."""
    if is_less and experiment.state == Experiment.State.RUNNING and demands_approval(flag):
        raise Conflict(
            f"{experiment.key} runs as a second person approved it, with its guardrails: none goes or changes before "
            "it has ended. Another may be added.",
            code="approval_needed",
        )


def checked_shares(
    experiment: Experiment, percents: Any, traffic: float | None, epochs: Sequence[Epoch]
) -> tuple[dict[str, float], float]:
    """Other shares of all its variants, and traffic, for newcomers of an experiment that runs. Raises Invalid."""
    shares = checked_percents(experiment.flag, percents)
    killed = killed_in(epochs)
    for variant in shares:
        if shares[variant] and variant in killed:
            raise invalid("percents", f"{variant} was killed: it gets no share again.")
    if experiment.fallback not in shares:
        raise invalid("percents", f"{experiment.fallback}, the fallback, must stay among the variants.")
    wanted = {**dict.fromkeys(experiment.percents, 0.0), **shares}
    return wanted, experiment.traffic if traffic is None else _traffic(traffic)


def checked_percents(flag: Flag, given: Any) -> dict[str, float]:
    """Shares of variants that the flag has, adding up to 100 %. Raises Invalid."""
    if not isinstance(given, dict) or not FEWEST_VARIANTS <= len(given) <= MOST_VARIANTS:
        raise invalid("percents", f"Give {FEWEST_VARIANTS} to {MOST_VARIANTS} variants, each with its percent.")
    known = flag.definition["variants"]
    for variant, percent in given.items():
        if variant not in known:
            raise invalid(
                "percents", f"{flag.key} has no variant {str(variant)[:100]!r}; there are {', '.join(known)}."
            )
        is_number = isinstance(percent, int | float) and not isinstance(percent, bool)
        if not is_number or not 0 <= percent <= WHOLE:
            raise invalid("percents", f"The share of {variant} is no percentage from 0 to 100: {str(percent)[:40]}.")
    total = sum(given.values())
    if abs(total - WHOLE) > TOLERATED:
        raise invalid("percents", f"The shares add up to {total:g} %, not to 100 %.")
    return dict(given)


def _given(percents: dict[str, float]) -> dict[str, float]:
    return {variant: percent for variant, percent in percents.items() if percent}


def _traffic(percent: float) -> float:
    if not LEAST_TRAFFIC <= percent <= WHOLE:
        raise invalid("traffic", f"Give the percent of all who take part: {LEAST_TRAFFIC:g} to 100.")
    return float(percent)
