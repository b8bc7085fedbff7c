"""What is measured of each variant, and what happens to one that does harm."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from apps.flags.events import GuardrailBreached
from apps.flags.experiment_queries import epochs_of
from apps.flags.experiments.epochs import killed_in
from apps.flags.experiments.statistics import FEWEST, Totals, always_valid_p
from apps.flags.models import Experiment, Guardrail, GuardrailTotal
from apps.flags.operations.allocating import tell
from apps.flags.operations.checking import MAX_REASON
from apps.flags.operations.exposing import experiment_to_record
from apps.flags.operations.killing import kill_variant
from apps.foundation.actor import Actor
from apps.foundation.checking import invalid
from apps.foundation.clock import now
from apps.foundation.errors import Conflict, DomainError
from apps.foundation.operations import operation

MOST_SAMPLES = 200
MOST_MEASURED = 1e100  # so that no sum of samples ever leaves the numbers
ROUNDED = 1e-9  # sums of equal values differ from their multiple by less than this part
GUARD = Actor.system("guardrail")


class Sample(NamedTuple):
    """What was measured of a variant: how many values, their sum and that of their squares. Of a rate: how many tries,
    and twice how many of them succeeded."""

    metric: str
    variant: str
    samples: int
    total: float
    squares: float


@operation
def push_samples(experiment_id: int, samples: Sequence[Sample], *, actor: Actor) -> int:
    """Add what was measured to the totals, and look whether a variant does harm; how many were given.

    A breach is told once of each metric and variant. The variant is killed where the experiment allows it; else the
    kill is proposed. Each call adds: an edge guards against repeats by its `Idempotency-Key`. Needs what
    `record_exposures` needs. Raises NotFound, Forbidden, Conflict unless it runs, and Invalid.
    """
    experiment = experiment_to_record(experiment_id, actor)
    if experiment.state != Experiment.State.RUNNING:
        raise Conflict(f"{experiment.key} does not run.", code="experiment_not_running")
    # Under their locks, which whoever edits or removes one takes first, too.
    rows = Guardrail.objects.select_for_update().filter(experiment=experiment)
    touched = list(rows.filter(metric__in={sample.metric for sample in samples}).order_by("pk"))
    guardrails = {row.metric: row for row in touched}
    _check(experiment, guardrails, samples)
    totals = _locked_totals(experiment, touched)
    at = now()
    for sample in samples:
        row = totals[guardrails[sample.metric].pk, sample.variant]
        row.sample_count += sample.samples
        row.total += sample.total
        row.squares += sample.squares
        row.pushed_at = at
    _look(experiment, touched, totals)
    return len(samples)


def judge_anew(experiment: Experiment, guardrail: Guardrail) -> None:
    """Look at all that was measured by what the locked guardrail says now: what it found before counts no more."""
    totals = _locked_totals(experiment, [guardrail])
    for row in totals.values():
        row.p_value, row.breached_at = 1.0, None
    _look(experiment, [guardrail], totals)


def _look(
    experiment: Experiment, guardrails: Sequence[Guardrail], totals: dict[tuple[int, str], GuardrailTotal]
) -> None:
    """Keep the totals, and do about each new breach what the experiment allows."""
    breached = _judge(experiment, guardrails, totals)
    GuardrailTotal.objects.bulk_update(
        totals.values(), ["sample_count", "total", "squares", "pushed_at", "p_value", "breached_at"]
    )
    for guardrail, row, sentence in breached:
        _respond(experiment, guardrail, row, sentence)


def _check(experiment: Experiment, guardrails: dict[str, Guardrail], samples: Sequence[Sample]) -> None:
    if not 1 <= len(samples) <= MOST_SAMPLES:
        raise invalid("samples", f"Give 1 to {MOST_SAMPLES} samples at once; these are {len(samples):,}.")
    for place, each in enumerate(samples):
        at = f"samples[{place}]"
        guardrail = guardrails.get(each.metric)
        if guardrail is None:
            rows = Guardrail.objects.filter(experiment=experiment).order_by("metric")
            known = ", ".join(rows.values_list("metric", flat=True)) or "none yet"
            raise invalid(f"{at}.metric", f"No guardrail watches {each.metric[:100]!r}. Known: {known}.")
        if each.variant not in experiment.percents:
            raise invalid(f"{at}.variant", f"{experiment.key} has no variant {each.variant[:100]!r}.")
        if each.samples < 1 or not abs(each.total) <= MOST_MEASURED or not 0 <= each.squares <= MOST_MEASURED**2:
            raise invalid(at, "Give at least one value, and sums of at most 1e100, of squares 1e200.")
        is_rate = each.total == each.squares and each.total == int(each.total) and 0 <= each.total <= each.samples
        if guardrail.kind == Guardrail.Kind.RATE and not is_rate:
            raise invalid(at, f"{each.metric} is a rate: give trials, and successes among them.")
        if each.squares * each.samples < each.total * each.total * (1 - 1e-9):
            raise invalid(at, "The sum of squares is smaller than these values can have.")


def _locked_totals(experiment: Experiment, guardrails: Iterable[Guardrail]) -> dict[tuple[int, str], GuardrailTotal]:
    """The totals of all variants under their locks; those that are missing are made, by everybody in one order."""
    names = sorted(experiment.percents)
    wanted = [GuardrailTotal(guardrail=each, variant=variant) for each in guardrails for variant in names]
    GuardrailTotal.objects.bulk_create(wanted, ignore_conflicts=True)
    rows = GuardrailTotal.objects.select_for_update().filter(guardrail__in=guardrails).order_by("pk")
    return {(row.guardrail_id, row.variant): row for row in rows}


def _judge(
    experiment: Experiment, guardrails: Iterable[Guardrail], totals: dict[tuple[int, str], GuardrailTotal]
) -> list[tuple[Guardrail, GuardrailTotal, str]]:
    """Raise the evidence, and say which totals breach now for the first time."""
    killed = killed_in(epochs_of(experiment))
    found = []
    for guardrail in guardrails:
        reference = totals[guardrail.pk, experiment.fallback]
        is_limit = guardrail.against == Guardrail.Against.LIMIT
        judged = [name for name in experiment.percents if is_limit or name != experiment.fallback]
        alpha = guardrail.alpha / max(len(judged), 1)
        for variant in judged:
            if variant in killed:
                continue
            row = totals[guardrail.pk, variant]
            row.p_value = min(row.p_value, _p_value(guardrail, _of(row), _of(reference)))
            if row.p_value < alpha and row.breached_at is None:
                row.breached_at = now()
                found.append((guardrail, row, _sentence(guardrail, row, reference)))
    return found


def _of(row: GuardrailTotal) -> Totals:
    return Totals(row.sample_count, row.total, row.squares)


def _p_value(guardrail: Guardrail, mine: Totals, reference: Totals) -> float:
    bound, variance = guardrail.threshold, mine.variance_of_mean
    against_fallback = guardrail.against == Guardrail.Against.FALLBACK
    if mine.samples < FEWEST or (against_fallback and reference.samples < FEWEST):
        return 1.0
    sign = 1 if guardrail.worse == Guardrail.Worse.HIGHER else -1
    if against_fallback:
        bound, variance = reference.mean + sign * bound, variance + reference.variance_of_mean
    if math.isclose(mine.mean, bound, rel_tol=ROUNDED):
        return 1.0
    return always_valid_p(sign * (mine.mean - bound), variance, guardrail.sensitivity)


def _sentence(guardrail: Guardrail, row: GuardrailTotal, reference: GuardrailTotal) -> str:
    mine = f"{guardrail.metric} of {row.variant} is {_of(row).mean:.4g}"
    if guardrail.against == Guardrail.Against.LIMIT:
        return f"{mine}, the limit {guardrail.threshold:g} (p = {row.p_value:.2g})"
    tolerated = f", {guardrail.threshold:g} tolerated" if guardrail.threshold else ""
    return f"{mine}, of {reference.variant} {_of(reference).mean:.4g}{tolerated} (p = {row.p_value:.2g})"


def _respond(experiment: Experiment, guardrail: Guardrail, row: GuardrailTotal, sentence: str) -> None:
    """Kill or propose it, and tell everybody what was done."""
    if row.variant == experiment.fallback:
        response = "nothing: it is the fallback"
    elif not experiment.auto_kill:
        response = "a kill is proposed"
    else:
        try:
            kill_variant(experiment.pk, row.variant, reason=f"Guardrail: {sentence}"[:MAX_REASON], actor=GUARD)
            response = "it was killed"
        except DomainError as error:
            response = f"it could not be killed: {error.message}"
    tell(
        GuardrailBreached,
        experiment,
        reason=sentence[:MAX_REASON],
        actor=GUARD,
        variant=row.variant,
        metric=guardrail.metric,
        p_value=row.p_value,
        response=response,
    )
