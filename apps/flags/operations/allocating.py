"""The frame of every verb on an experiment, and the epochs that verbs open."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, TypeVar

from apps.engine.operations import publish
from apps.engine.timers import NewTimer, schedule_many
from apps.flags.events import ExperimentEvent
from apps.flags.experiment_queries import epochs_of, experiment_subject, places
from apps.flags.experiments.epochs import EVENLY, Epoch
from apps.flags.experiments.plan import pack
from apps.flags.experiments.slots import Ranges, is_within, slot_of, table
from apps.flags.models import AllocationEpoch, Experiment, Exposure, Flag, FlagRevision, HeldUnits
from apps.flags.operations.changing import locked_flag, read_anew, said_of
from apps.foundation.actor import Actor
from apps.foundation.clock import now
from apps.foundation.errors import NotFound, PreconditionFailed
from apps.foundation.subjects import Subject

E = TypeVar("E", bound=ExperimentEvent)
NOTHING = Subject("", "")
HELD_TIMER = "flags.late_exposures"
LATE_SECONDS = 10
_LARGEST_ID = 2**63 - 1


def no_such_experiment() -> NotFound:
    """One sentence for what is missing and for what is hidden."""
    return NotFound("There is no such experiment, or you may not see it.")


def locked_experiment(
    experiment_id: int, permission: str, *, expected_version: int | None = None, actor: Actor
) -> tuple[Experiment, Flag, FlagRevision]:
    """The experiment under the locks of the revision, its flag and itself, once `actor` may do this to the flag.

    Raises NotFound, Forbidden, and PreconditionFailed for another version than the expected one.
    """
    rows = (
        Experiment.objects.filter(pk=experiment_id) if 0 < experiment_id <= _LARGEST_ID else Experiment.objects.none()
    )
    flag_id = rows.values_list("flag_id", flat=True).first()
    if flag_id is None:
        raise no_such_experiment()
    try:
        flag, revision = locked_flag(flag_id, permission, expected_version=None, actor=actor)
    except NotFound as error:
        raise no_such_experiment() from error
    experiment = Experiment.objects.select_for_update().get(pk=experiment_id)
    experiment.flag = flag
    if expected_version is not None and expected_version != experiment.version:
        raise PreconditionFailed(
            f"{experiment.key} was changed in the meantime: it has version {experiment.version} now."
        )
    return experiment, flag, revision


def save_both(experiment: Experiment, flag: Flag, revision: FlagRevision, actor: Actor) -> None:
    """New versions of the experiment and of its flag, which answers otherwise now; every process reads them anew."""
    experiment.version += 1
    experiment.save()
    flag.version += 1
    flag.save()
    read_anew(flag, revision, actor)


def tell(
    event: type[E], experiment: Experiment, *, reason: str, about: Subject = NOTHING, actor: Actor, **more: Any
) -> int:
    """Publish what happened; the event's id."""
    flag = experiment.flag
    newest = AllocationEpoch.objects.filter(experiment=experiment).order_by("-number").values_list("number", flat=True)
    told = event(
        **said_of(flag, reason, about),
        experiment_id=experiment.pk,
        experiment=experiment.key,
        title=experiment.name,
        epoch=newest.first() or 0,
        **more,
    )
    return publish(told, subject=experiment_subject(experiment), actor=actor)


def open_epoch(
    experiment: Experiment,
    ranges: Ranges,
    *,
    moves: Mapping[str, str] | None = None,
    cause: AllocationEpoch.Cause,
    reason: str,
    about: Subject = NOTHING,
    actor: Actor,
) -> AllocationEpoch:
    """Allocate anew from here on. The enrolled keep their places, but for those that `moves` speaks of.

    The caller holds the experiment's lock. Reads the enrolled whose slots change hands, in bounded memory but for
    eight bytes of each who is held.
    """
    epochs = epochs_of(experiment)
    made = AllocationEpoch(
        experiment=experiment,
        number=epochs[-1].number + 1 if epochs else 1,
        ranges=ranges,
        moves=dict(moves or {}),
        cause=cause,
        reason=reason,
        about_kind=about.kind,
        about_key=about.key,
        created_by_id=actor.user_id,
    )
    made.save()
    store_held(made, held_of(experiment, [*epochs, Epoch(made.number, ranges, made.moves)]))
    if epochs:  # somebody may be recorded just now, by a transaction that does not see this one
        hold_soon(made)
    return made


def hold_soon(newest: AllocationEpoch) -> None:
    """Work out anew who is held elsewhere; once for all calls of the same ten seconds.

    That is ten seconds after the last of them: what each of their transactions writes can be read by then.
    """
    number = int(now().timestamp()) // LATE_SECONDS
    due_at = datetime.fromtimestamp((number + 2) * LATE_SECONDS, UTC)
    schedule_many([NewTimer(HELD_TIMER, str(newest.pk), 1, number, due_at)])


def held_of(experiment: Experiment, epochs: Sequence[Epoch]) -> dict[str, bytes]:
    """Who is held elsewhere than the newest epoch's slots, worked out from the ledger."""
    return {variant: pack(numbers) for variant, numbers in _held(experiment, epochs).items()}


def stored_held(row: AllocationEpoch) -> dict[str, bytes]:
    """Who was when it was worked out last."""
    return {variant: bytes(packed) for variant, packed in row.held.values_list("variant", "packed")}


def store_held(row: AllocationEpoch, held: Mapping[str, bytes]) -> None:
    """Keep these instead."""
    row.held.all().delete()
    HeldUnits.objects.bulk_create(
        [
            HeldUnits(epoch=row, variant=variant, packed=packed, unit_count=len(packed) // 8)
            for variant, packed in held.items()
        ]
    )


def _held(experiment: Experiment, epochs: Sequence[Epoch]) -> dict[str, list[int]]:
    newest = table(epochs[-1].ranges)
    found: dict[str, list[int]] = {}
    kinds = Exposure.objects.filter(experiment=experiment, epoch__gt=0).order_by().values_list("variant", "epoch")
    for variant, enrolled_in in kinds.distinct():
        if _all_stay(variant, enrolled_in, epochs):
            continue
        for number, place in places(experiment, variant, epochs, enrolled_in=enrolled_in):
            if place is not None and place != newest[slot_of(number)]:
                found.setdefault(place, []).append(number)
    return found


def _all_stay(variant: str, enrolled_in: int, epochs: Sequence[Epoch]) -> bool:
    """Whether the slots alone say where everybody is who was enrolled so: then nobody of them need be read."""
    since = [epoch for epoch in epochs if epoch.number > enrolled_in]
    if any(epoch.moves.get(variant) == EVENLY for epoch in since):
        return False
    place = next((epoch.moves[variant] for epoch in since if variant in epoch.moves), variant)
    given = next(epoch.ranges.get(variant, ()) for epoch in epochs if epoch.number == enrolled_in)
    return is_within(given, epochs[-1].ranges.get(place, ()))
