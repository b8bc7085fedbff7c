"""What the page of an experiment says above its form."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from django.contrib.auth.models import AnonymousUser
from django.db.models import QuerySet

from apps.flags.experiment_queries import (
    OUTSIDE,
    Enrolled,
    RatioFigures,
    enrolled,
    epochs_of,
    percents_of,
    ratio_figures,
    summary_of,
    with_reason_shown,
)
from apps.flags.experiment_review import ExperimentReview, review_experiment
from apps.flags.experiments.epochs import EVENLY, killed_in
from apps.flags.experiments.slots import SLOTS, sizes
from apps.flags.experiments.statistics import Totals
from apps.flags.models import AllocationEpoch, Experiment, Guardrail, GuardrailTotal
from apps.people.models import User


@dataclass(frozen=True, slots=True)
class VariantLine:
    """A variant: what newcomers get of it, how many are with it, and whether it was killed or does harm."""

    name: str
    percent: float
    enrolled: int
    is_fallback: bool
    killed_to: str
    breaches: list[str]


@dataclass(frozen=True, slots=True)
class GuardrailLine:
    """A guardrail in words, and each variant's figures."""

    metric: str
    words: str
    totals: list[tuple[str, int, float, float, bool]]


@dataclass(frozen=True, slots=True)
class ExperimentPage:
    """All of it; `outside` is the percent of all who take no part."""

    experiment: Experiment
    variants: list[VariantLine]
    outside: float
    enrolled: Enrolled
    ratio: RatioFigures
    guardrails: list[GuardrailLine]
    epochs: list[tuple[AllocationEpoch, str]]
    proposed: list[str]
    review: ExperimentReview | None
    swept_at: datetime | None


def experiment_page(experiment: Experiment, user: User | AnonymousUser) -> ExperimentPage:
    """As `user` may see it. Eight queries, whatever is enrolled; nothing is written."""
    epochs = epochs_of(experiment)
    counted, killed = enrolled(experiment, epochs), killed_in(epochs)
    moved_to = {variant: to for epoch in epochs for variant, to in epoch.moves.items()}
    guardrails = list(experiment.guardrails.prefetch_related("totals"))
    breached: dict[str, list[str]] = {}
    for guardrail in guardrails:
        for total in guardrail.totals.all():
            if total.breached_at is not None:
                breached.setdefault(total.variant, []).append(guardrail.metric)
    current = percents_of(epochs[-1].ranges) if epochs else experiment.percents
    used = sum(sizes(epochs[-1].ranges).values()) if epochs else SLOTS
    return ExperimentPage(
        experiment=experiment,
        variants=[
            VariantLine(
                name=name,
                percent=current.get(name, 0),
                enrolled=counted.by_variant.get(name, 0),
                is_fallback=name == experiment.fallback,
                killed_to=(moved_to[name] or "the others, evenly") if name in killed else "",
                breaches=breached.get(name, []),
            )
            for name in sorted(experiment.percents, key=lambda name: (name != experiment.fallback, name))
        ],
        outside=round((SLOTS - used) * 100 / SLOTS, 2),
        enrolled=counted,
        ratio=ratio_figures(experiment, epochs),
        guardrails=[_line(guardrail) for guardrail in guardrails],
        epochs=[(row, _epoch_words(row)) for row in _rows(experiment, user)],
        proposed=[name for name in breached if name not in killed and name != experiment.fallback],
        review=review_experiment(experiment) if experiment.state == Experiment.State.DRAFT else None,
        swept_at=kept.made_at if (kept := summary_of(experiment)) is not None else None,
    )


def _rows(experiment: Experiment, user: User | AnonymousUser) -> QuerySet[AllocationEpoch]:
    rows = AllocationEpoch.objects.filter(experiment=experiment).select_related("created_by")
    return with_reason_shown(rows, user).order_by("-number")


def _epoch_words(row: AllocationEpoch) -> str:
    shares = ", ".join(f"{name} {percent:g} %" for name, percent in percents_of(row.ranges).items())
    moves = "; ".join(
        f"those in {variant} went to {to}" if to != EVENLY else f"those in {variant} were split evenly"
        for variant, to in row.moves.items()
    )
    return f"newcomers get {shares or OUTSIDE}" + (f"; {moves}" if moves else "")


def _line(guardrail: Guardrail) -> GuardrailLine:
    side = "above" if guardrail.worse == Guardrail.Worse.HIGHER else "below"
    words = f"not {side} {guardrail.threshold:g}"
    if guardrail.against == Guardrail.Against.FALLBACK:
        tolerated = f" by more than {guardrail.threshold:g}" if guardrail.threshold else ""
        words = f"not {side} the fallback{tolerated}"
    return GuardrailLine(guardrail.metric, words, [_figures(total) for total in guardrail.totals.all()])


def _figures(row: GuardrailTotal) -> tuple[str, int, float, float, bool]:
    mean = Totals(row.sample_count, row.total, row.squares).mean
    return row.variant, row.sample_count, mean, row.p_value, row.breached_at is not None
