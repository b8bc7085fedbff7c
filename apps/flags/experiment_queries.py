"""Reads of experiments: by who may see them, what processes place people by, and what a kill would change."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from operator import or_
from typing import Any

from django.contrib.auth.models import AnonymousUser
from django.db.models import BooleanField, Case, CharField, Count, F, Prefetch, Q, QuerySet, Value, When
from django.db.models.functions import Cast
from django.urls import reverse

from apps.flags.evaluation.definitions import read_definition, served
from apps.flags.experiments.epochs import EVENLY, Epoch, killed_in, place_of
from apps.flags.experiments.killing import without
from apps.flags.experiments.slots import SLOTS, Ranges, beyond, joined, sizes, slot_of, variant_at
from apps.flags.experiments.statistics import chi_squared, chi_squared_p
from apps.flags.models import AllocationEpoch, Experiment, Exposure, Flag, Guardrail, LedgerSummary
from apps.flags.queries import SEEN_EVERYWHERE_SECONDS, visible_flags
from apps.foundation.errors import Conflict, Invalid
from apps.foundation.subjects import Subject, visible_subjects
from apps.people.models import User

EXPERIMENT = "experiment"
# How the enrolled of a killed variant go on.
TO_FALLBACK, SPLIT_EVENLY = "fallback", "split_evenly"
MODES = (TO_FALLBACK, SPLIT_EVENLY)
# Newcomers' slots of nobody: the flag answers them as if there were no experiment.
OUTSIDE = "no variant"
MISMATCH_BELOW = 0.0005
_CHUNK = 20_000


def visible_experiments(user: User | AnonymousUser) -> QuerySet[Experiment]:
    """The experiments of flags that `user` may see."""
    rows = Experiment.objects.select_related("flag__environment", "flag__owner")
    return rows.filter(flag__in=visible_flags(user).select_related(None).order_by().values("pk"))


def experiment_subject(experiment: Experiment) -> Subject:
    """What events about it speak of."""
    return Subject(EXPERIMENT, str(experiment.pk))


def experiment_titles(keys: Iterable[str]) -> dict[str, str]:
    """Names of experiments by their text keys, in one query."""
    numbers = [int(key) for key in keys if key.isdecimal()]
    return {str(pk): name for pk, name in Experiment.objects.filter(pk__in=numbers).values_list("pk", "name")}


def experiment_url(key: str) -> str:
    """Where an experiment's page is."""
    return reverse("admin:flags_experiment_change", args=[key])


def visible_experiment_keys(user: Any) -> QuerySet[Any, Any]:
    """Text keys of the experiments that `user` may see."""
    rows = visible_experiments(user).select_related(None).order_by()
    return rows.annotate(text_key=Cast("pk", CharField())).values_list("text_key", flat=True)


# --- what a second person approves ---

_GUARDED_BY = ("metric", "kind", "worse", "against", "threshold", "sensitivity", "alpha")


def start_of(experiment: Experiment) -> dict[str, Any]:
    """The change that its start is, written out: all that decides who gets what, and what guards them. One query."""
    return {
        "start": {
            "experiment": experiment.key,
            "fallback": experiment.fallback,
            "percents": experiment.percents,
            "traffic": experiment.traffic,
            "salt": experiment.salt,
            "auto_kill": experiment.auto_kill,
            "guardrails": list(experiment.guardrails.order_by("metric").values(*_GUARDED_BY)),
        }
    }


def shares_of(experiment: Experiment, percents: Mapping[str, float], traffic: float) -> dict[str, Any]:
    """The change that other shares for newcomers are, written out."""
    return {"shares": {"experiment": experiment.key, "percents": dict(percents), "traffic": traffic}}


def has_guardrails(key: str | None) -> bool:
    """Whether anything watches the experiment with this text key."""
    return bool(key) and str(key).isdecimal() and Guardrail.objects.filter(experiment_id=int(str(key))).exists()


# --- placing people ---


def epochs_of(experiment: Experiment) -> list[Epoch]:
    """All epochs, the oldest first; one query."""
    rows = AllocationEpoch.objects.filter(experiment=experiment).order_by("number")
    return [Epoch(*values) for values in rows.values_list("number", "ranges", "moves")]


def with_reason_shown(rows: QuerySet[AllocationEpoch], user: User | AnonymousUser) -> QuerySet[AllocationEpoch]:
    """Adds `reason_is_shown` to each row: whether `user` may see what it was opened for, and so why."""
    shown = When(visible_subjects(user, prefix="about"), then=Value(value=True))
    return rows.annotate(reason_is_shown=Case(shown, default=Value(value=False), output_field=BooleanField()))


def epochs_shown_to(user: User | AnonymousUser) -> Prefetch[str]:
    """The epochs of many experiments, as `user` may see them."""
    return Prefetch("epochs", with_reason_shown(AllocationEpoch.objects.all(), user))


# --- who is enrolled with what ---


@dataclass(frozen=True, slots=True)
class Enrolled:
    """How many are with each variant now. `unplanned` saw one that no epoch gave them: by a rule, or a mistake."""

    by_variant: dict[str, int]
    unplanned: int

    @property
    def total(self) -> int:
        return sum(self.by_variant.values())


def enrolled(experiment: Experiment, epochs: Sequence[Epoch]) -> Enrolled:
    """Counted in the database; people of a variant whose enrolled were split evenly are read one by one.

    Once the ledger is swept, what it said in the end.
    """
    if (kept := summary_of(experiment)) is not None:
        return Enrolled(dict(kept.enrolled), kept.unplanned)
    rows = Exposure.objects.filter(experiment=experiment).order_by().values_list("variant", "epoch")
    found: Counter[str] = Counter()
    unplanned = 0
    for variant, epoch, count in rows.annotate(count=Count("pk")):
        if not epoch:
            unplanned += count
        elif _was_split(variant, epoch, epochs):
            found.update(place for _, place in places(experiment, variant, epochs, enrolled_in=epoch) if place)
        elif (place := place_of(0, variant, epoch, epochs)) is not None:
            found[place] += count
    return Enrolled(dict(found), unplanned)


def summary_of(experiment: Experiment) -> LedgerSummary | None:
    """What is kept of its ledger, where that is swept; asked only of those that have ended."""
    if experiment.state != Experiment.State.ENDED:
        return None
    return LedgerSummary.objects.filter(experiment=experiment).first()


def _was_split(variant: str, enrolled_in: int, epochs: Sequence[Epoch]) -> bool:
    return any(epoch.moves.get(variant) == EVENLY for epoch in epochs if epoch.number > enrolled_in)


def places(
    experiment: Experiment, variant: str, epochs: Sequence[Epoch], *, enrolled_in: int | None = None
) -> Iterator[tuple[int, str | None]]:
    """Everybody enrolled with this variant and where they are now, in bounded memory."""
    rows = Exposure.objects.filter(experiment=experiment, variant=variant, epoch__gt=0)
    if enrolled_in is not None:
        rows = rows.filter(epoch=enrolled_in)
    for number, epoch in rows.order_by().values_list("unit", "epoch").iterator(chunk_size=_CHUNK):
        yield number, place_of(number, variant, epoch, epochs)


# --- what a kill would do ---


@dataclass(frozen=True, slots=True)
class VariantKillPreview:
    """What killing a variant would change; nothing was written to find out.

    `moves` counts the enrolled who leave it, by where they go; `stays` those who stay, by variant. `before` and `after`
    are what newcomers get, in percent of all. `warnings` say who gets it by the flag's own definition, killed or not.
    Every process answers so after at most `waits_seconds`.
    """

    experiment: Experiment
    variant: str
    mode: str
    is_killed: bool
    moves: dict[str, int]
    stays: dict[str, int]
    before: dict[str, float]
    after: dict[str, float]
    ranges: dict[str, list[list[int]]]
    unplanned: int
    warnings: list[str]
    waits_seconds: int = SEEN_EVERYWHERE_SECONDS

    @property
    def moved(self) -> int:
        return sum(self.moves.values())

    @property
    def sentence(self) -> str:
        if self.is_killed:
            return f"{self.variant} is killed already: nothing would change.{self.warned}"
        leave = _people(self.moves, "enrolled go to", f"nobody is enrolled with {self.variant}")
        stay = _people(self.stays, "stay in", "nobody else is enrolled")
        return f"{leave}; {stay}; {self.newcomers}.{self.warned}"

    @property
    def warned(self) -> str:
        return f" Look out: {'; '.join(self.warnings)}." if self.warnings else ""

    @property
    def newcomers(self) -> str:
        return "newcomers get " + ", ".join(f"{name} {percent:g} %" for name, percent in self.after.items())


def _people(counts: dict[str, int], verb: str, nobody: str) -> str:
    found = [f"{count:,} {verb} {variant}" for variant, count in counts.items() if count]
    return ", ".join(found) or nobody


def preview_variant_kill(experiment: Experiment, variant: str, mode: str = TO_FALLBACK) -> VariantKillPreview:
    """What killing `variant` would do. Raises Invalid for a variant that can't be killed, Conflict unless it runs."""
    epochs = epochs_of(experiment)
    check_kill(experiment, variant, mode, epochs)
    return _preview(experiment, variant, mode, epochs, enrolled(experiment, epochs))


def preview_variant_kills(experiment: Experiment) -> list[VariantKillPreview]:
    """The same of each variant that can be killed and is not yet; the ledger is counted once for all of them."""
    epochs = epochs_of(experiment)
    if experiment.state != Experiment.State.RUNNING or not epochs:
        return []
    counted, spared = enrolled(experiment, epochs), {experiment.fallback, *killed_in(epochs)}
    names = [name for name in experiment.percents if name not in spared]
    return [_preview(experiment, name, TO_FALLBACK, epochs, counted) for name in names]


def _preview(
    experiment: Experiment, variant: str, mode: str, epochs: Sequence[Epoch], counted: Enrolled
) -> VariantKillPreview:
    current, is_killed = epochs[-1].ranges, variant in killed_in(epochs)
    after = current if is_killed else without(current, variant, experiment.fallback)
    leaving = counted.by_variant.get(variant, 0)
    moves = {experiment.fallback: leaving} if leaving else {}
    if leaving and mode == SPLIT_EVENLY:
        moves = _split(experiment, variant, epochs, after)
    return VariantKillPreview(
        experiment=experiment,
        variant=variant,
        mode=mode,
        is_killed=is_killed,
        moves={} if is_killed else moves,
        stays={name: counted.by_variant.get(name, 0) for name in after if name != variant},
        before=percents_of(current),
        after=percents_of(after),
        ranges={name: [list(each) for each in several] for name, several in after.items()},
        unplanned=counted.unplanned,
        warnings=_given_elsewhere(experiment.flag, variant, after),
    )


def _given_elsewhere(flag: Flag, variant: str, after: Ranges) -> list[str]:
    """Where the flag's own definition gives the variant, which no kill of it in an experiment changes."""
    try:
        definition = read_definition(flag.type, flag.definition)
    except Invalid:  # stored by hand: programs get an error, and a kill must not wait for it
        return []
    found = [f"the rule {rule.name!r} still gives it" for rule in definition.rules if variant in served(rule.serve)]
    if variant in served(definition.serve):
        some = "to whom takes no part, and " if sum(sizes(after).values()) < SLOTS else ""
        found.append(f"the flag's default gives it {some}to everybody once the experiment has ended")
    return found


def _split(experiment: Experiment, variant: str, epochs: Sequence[Epoch], after: Ranges) -> dict[str, int]:
    """Where those would go who are with `variant` now: its own enrolled, and who came to it by an earlier kill."""
    found: Counter[str] = Counter()
    for name in sorted({variant, *killed_in(epochs)}):
        for number, place in places(experiment, name, epochs):
            if place == variant:
                found[variant_at(after, slot_of(number)) or OUTSIDE] += 1
    return dict(found)


def check_kill(experiment: Experiment, variant: str, mode: str, epochs: Sequence[Epoch]) -> None:
    """Raise Invalid or Conflict where a kill makes no sense; one that was killed already is fine."""
    known = list(experiment.percents)
    if mode not in MODES:
        raise Invalid(f"Choose the mode among {', '.join(MODES)}.", fields={"mode": ["Unknown mode."]})
    if variant not in known:
        sentence = f"{experiment.key} has no variant {variant[:100]!r}; there are {', '.join(known)}."
        raise Invalid(sentence, code="unknown_variant", fields={"variant": [sentence]})
    if variant == experiment.fallback:
        sentence = f"{variant} is what the others fall back to: end the experiment, or kill its flag, instead."
        raise Invalid(sentence, code="fallback_variant", fields={"variant": [sentence]})
    if experiment.state != Experiment.State.RUNNING or not epochs:
        raise Conflict(f"{experiment.key} does not run: nobody gets {variant}.", code="experiment_not_running")


def percents_of(ranges: Ranges) -> dict[str, float]:
    """What newcomers get, in percent of all."""
    return {variant: round(size * 100 / SLOTS, 2) for variant, size in sizes(ranges).items()}


# --- sample ratio ---


@dataclass(frozen=True, slots=True)
class RatioFigures:
    """Whether the variants were seen in the proportions of their slots, epoch by epoch."""

    count: int
    statistic: float
    freedom: int
    p_value: float

    @property
    def is_mismatch(self) -> bool:
        return self.p_value < MISMATCH_BELOW


def ratio_figures(experiment: Experiment, epochs: Sequence[Epoch]) -> RatioFigures:
    """Pearson's chi-squared of first exposures against slots, summed over the epochs; one query.

    Of a later epoch only the slots count that none before it used: in the others some are enrolled already, and not
    alike many for each variant. Once the ledger is swept, what it said in the end.
    """
    if (kept := summary_of(experiment)) is not None:
        return RatioFigures(kept.ratio_count, kept.ratio_statistic, kept.ratio_freedom, kept.ratio_p_value)
    fresh = _fresh(epochs)
    if not fresh:
        return RatioFigures(0, 0.0, 0, 1.0)
    rows = Exposure.objects.filter(experiment=experiment).annotate(slot=F("unit") % SLOTS).order_by()
    rows = rows.filter(reduce(or_, (_in_slots(*each, everywhere=each[0] == epochs[0].number) for each in fresh)))
    seen: dict[int, dict[str, int]] = {}
    for variant, epoch, count in rows.values_list("variant", "epoch").annotate(count=Count("pk")):
        seen.setdefault(epoch, {})[variant] = count
    statistic, freedom = 0.0, 0
    for number, ranges in fresh:
        found, degrees = chi_squared(seen.get(number, {}), sizes(ranges))
        statistic, freedom = statistic + found, freedom + degrees
    total = sum(sum(counts.values()) for counts in seen.values())
    return RatioFigures(total, statistic, freedom, chi_squared_p(statistic, freedom))


def _fresh(epochs: Sequence[Epoch]) -> list[tuple[int, Ranges]]:
    """Of each epoch the slots that none before it used, where at least two variants have some."""
    found: list[tuple[int, Ranges]] = []
    used: list[list[int]] = []
    for epoch in epochs:
        ranges = {variant: beyond(several, used) for variant, several in epoch.ranges.items()}
        used = joined([*used, *(each for several in ranges.values() for each in several)])
        if sum(map(bool, ranges.values())) > 1:
            found.append((epoch.number, ranges))
    return found


def _in_slots(number: int, ranges: Ranges, *, everywhere: bool) -> Q:
    """Whose first exposure belongs to this epoch; unless it is meant `everywhere`, only those in these slots."""
    if everywhere:
        return Q(epoch=number)
    several = (each for found in ranges.values() for each in found)
    return Q(epoch=number) & reduce(or_, (Q(slot__gte=begin, slot__lt=end) for begin, end in several))
