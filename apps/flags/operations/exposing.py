"""The ledger of who has seen their variant, and what follows from one who is told of late."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from apps.flags.events import SampleRatioMismatch
from apps.flags.experiment_queries import epochs_of, ratio_figures, summary_of
from apps.flags.experiments.epochs import Epoch, epoch_of, place_of
from apps.flags.experiments.slots import slot_of, unit_number, variant_at
from apps.flags.models import AllocationEpoch, Experiment, Exposure, SampleRatio
from apps.flags.operations.allocating import held_of, hold_soon, no_such_experiment, store_held, stored_held, tell
from apps.flags.operations.changing import lock_revision, raise_revision
from apps.flags.permissions import CHANGE, RECORD, authorize
from apps.foundation.actor import Actor
from apps.foundation.checking import invalid
from apps.foundation.clock import now
from apps.foundation.errors import Conflict
from apps.foundation.operations import operation
from apps.people.permissions import allowed

MOST_AT_ONCE = 1_000
LONGEST_KEY = 500
FEWEST_TO_JUDGE, GROWN_BY = 100, 1.25
_LARGEST_ID = 2**63 - 1


class Seen(NamedTuple):
    """Somebody, by the targetingKey that their flag was asked with, and the variant that they saw."""

    key: str
    variant: str


@operation
def record_exposures(experiment_id: int, seen: Sequence[Seen], *, actor: Actor) -> int:
    """Enrol those who saw their variant; how many were given. Of each the first time counts: repeats change nothing.

    At most 1,000 at once, all or none; one query writes them. Keys are kept only as numbers. A variant that nobody's
    slots give them is kept, too, but enrols nobody. Needs `flags.record_exposure`, or to be allowed to change the flag.
    Raises NotFound, Forbidden, Conflict before the experiment has started or after its ledger was swept, and Invalid.
    """
    experiment = experiment_to_record(experiment_id, actor)
    if experiment.state == Experiment.State.DRAFT:
        raise Conflict(f"{experiment.key} has not started.", code="experiment_not_running")
    if summary_of(experiment) is not None:
        raise Conflict(f"{experiment.key} has ended, and its ledger is closed.", code="experiment_ended")
    _check(experiment, seen)
    epochs = epochs_of(experiment)
    rows: dict[int, Exposure] = {}
    late = set()
    at = now()
    for each in seen:
        number = unit_number(experiment.salt, each.key)
        epoch = epoch_of(number, each.variant, epochs)
        row = Exposure(experiment=experiment, unit=number, variant=each.variant, epoch=epoch, seen_at=at)
        rows.setdefault(number, row)
        if 0 < epoch < epochs[-1].number and _is_elsewhere(number, each.variant, epoch, epochs):
            late.add(number)
    if late and Exposure.objects.filter(experiment=experiment, unit__in=late).count() < len(late):
        hold_soon(AllocationEpoch.objects.filter(experiment=experiment).latest("number"))
    # In one order, so that two batches with the same people never wait for each other.
    Exposure.objects.bulk_create([rows[number] for number in sorted(rows)], ignore_conflicts=True)
    return len(seen)


def experiment_to_record(experiment_id: int, actor: Actor) -> Experiment:
    """The experiment, if `actor` may report what people saw and what was measured. Raises NotFound and Forbidden."""
    rows = Experiment.objects.select_related("flag__environment", "flag__owner")
    experiment = rows.filter(pk=experiment_id).first() if 0 < experiment_id <= _LARGEST_ID else None
    if experiment is None:
        raise no_such_experiment()
    if not allowed(actor, RECORD):
        authorize(actor, experiment.flag, CHANGE)
    return experiment


def _check(experiment: Experiment, seen: Sequence[Seen]) -> None:
    if not 1 <= len(seen) <= MOST_AT_ONCE:
        raise invalid("exposures", f"Give 1 to {MOST_AT_ONCE:,} exposures at once; these are {len(seen):,}.")
    for place, each in enumerate(seen):
        if not 1 <= len(each.key) <= LONGEST_KEY:
            raise invalid(f"exposures[{place}].key", f"A key has 1 to {LONGEST_KEY} characters.")
        if each.variant not in experiment.percents:
            known = ", ".join(experiment.percents)
            raise invalid(
                f"exposures[{place}].variant",
                f"{experiment.key} has no variant {each.variant[:100]!r}; there are {known}.",
            )


def _is_elsewhere(number: int, variant: str, epoch: int, epochs: Sequence[Epoch]) -> bool:
    return place_of(number, variant, epoch, epochs) != variant_at(epochs[-1].ranges, slot_of(number))


def hold_late(rows: Sequence[AllocationEpoch]) -> None:
    """Hold those who were told of after a kill, where no newer epoch has done so. Repeats change nothing.

    The ledger is read before the one lock that every change of a flag, and so every kill, waits for.
    """
    found: list[tuple[AllocationEpoch, dict[str, bytes]]] = []
    for row in rows:
        epochs = epochs_of(row.experiment)
        if epochs[-1].number == row.number and (held := held_of(row.experiment, epochs)) != stored_held(row):
            found.append((row, held))
    if not found:
        return
    revision = lock_revision()
    for row, held in found:  # to one that is not the newest by now it does no harm: nobody is placed by it
        store_held(row, held)
    raise_revision(revision)


def look_at_ratios(rows: Sequence[SampleRatio]) -> None:
    """Compare numbers with slots wherever they have grown by a quarter, and tell of a mismatch, once.

    From a hundred to a million these are 42 looks, so at a limit of 0.0005 a false alarm has a chance of at most 2 %.
    """
    for row in rows:
        figures = ratio_figures(row.experiment, epochs_of(row.experiment))
        if figures.count < max(FEWEST_TO_JUDGE, row.exposure_count * GROWN_BY):
            continue
        row.exposure_count, row.p_value, row.looked_at = figures.count, figures.p_value, now()
        if figures.is_mismatch and row.mismatch_at is None:
            row.mismatch_at = row.looked_at
            tell(
                SampleRatioMismatch,
                row.experiment,
                reason=f"{figures.count:,} people, p = {figures.p_value:.2g}: other proportions than planned",
                actor=Actor.system("flags"),
                p_value=figures.p_value,
            )
        row.save()
