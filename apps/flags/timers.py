"""The timers that do what was scheduled, and that look after experiments."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import timedelta

from apps.engine.registry import DueTimer, Locked, TimerKind
from apps.engine.timers import NewTimer, schedule_many
from apps.flags.models import AllocationEpoch, Experiment, FlagChange, SampleRatio
from apps.flags.operations.allocating import HELD_TIMER
from apps.flags.operations.approving import CHANGE_TIMER
from apps.flags.operations.experiments import RATIO_TIMER
from apps.flags.operations.exposing import hold_late, look_at_ratios
from apps.flags.operations.reporting import STALE_TIMER, report_stale
from apps.flags.operations.retaining import LEDGER_TIMER, sweep_ledgers
from apps.flags.operations.scheduling import do_changes
from apps.foundation.clock import now


def lock(keys: Sequence[str]) -> dict[str, Locked]:
    """Lock the changes that nobody else holds."""
    rows = FlagChange.objects.select_for_update(skip_locked=True, of=("self",))
    found = rows.select_related("flag__environment", "flag__owner", "created_by")
    return {str(row.pk): Locked(row, 1) for row in found.filter(pk__in=[int(key) for key in keys]).order_by("pk")}


def exists(keys: Sequence[str]) -> set[str]:
    """Which of the changes are there, locked or not."""
    rows = FlagChange.objects.filter(pk__in=[int(key) for key in keys]).values_list("pk", flat=True)
    return {str(pk) for pk in rows}


def fire(due: Sequence[DueTimer]) -> None:
    """Do those that still wait, in the order of their time."""
    do_changes(sorted((item.subject for item in due), key=lambda change: (change.due_at, change.pk)))


KIND = TimerKind(name=CHANGE_TIMER, lock=lock, exists=exists, fire=fire)


# --- the daily report ---


def _round(name: str, work: Callable[[], object]) -> TimerKind:
    """A timer of no subject: one round of `work`, however many are due."""

    def fire(due: Sequence[DueTimer]) -> None:
        work()

    return TimerKind(name, lambda keys: {key: Locked(None, 1) for key in keys}, set, fire, queue="bulk")


STALE_KIND = _round(STALE_TIMER, report_stale)
LEDGER_KIND = _round(LEDGER_TIMER, sweep_ledgers)


# --- experiments ---

RATIO_SECONDS = 300


def lock_epochs(keys: Sequence[str]) -> dict[str, Locked]:
    """Lock the epochs whose held are to be worked out anew."""
    rows = AllocationEpoch.objects.select_for_update(skip_locked=True, of=("self",)).select_related("experiment")
    return {str(row.pk): Locked(row, 1) for row in rows.filter(pk__in=[int(key) for key in keys]).order_by("pk")}


def existing_epochs(keys: Sequence[str]) -> set[str]:
    """Which of the epochs are there, locked or not."""
    rows = AllocationEpoch.objects.filter(pk__in=[int(key) for key in keys]).values_list("pk", flat=True)
    return {str(pk) for pk in rows}


def fire_held(due: Sequence[DueTimer]) -> None:
    """Hold those who were told of late."""
    hold_late([item.subject for item in due])


def lock_ratios(keys: Sequence[str]) -> dict[str, Locked]:
    """Lock what was seen of the numbers of the enrolled."""
    found = SampleRatio.objects.select_for_update(skip_locked=True, of=("self",))
    rows = found.select_related("experiment__flag__environment").filter(pk__in=[int(key) for key in keys])
    return {str(row.pk): Locked(row, 1) for row in rows.order_by("pk")}


def existing_ratios(keys: Sequence[str]) -> set[str]:
    """Which of them are there, locked or not."""
    rows = SampleRatio.objects.filter(pk__in=[int(key) for key in keys]).values_list("pk", flat=True)
    return {str(pk) for pk in rows}


def fire_ratios(due: Sequence[DueTimer]) -> None:
    """Look at the experiments that run, and again in five minutes."""
    running = [item for item in due if item.subject.experiment.state == Experiment.State.RUNNING]
    look_at_ratios([item.subject for item in running])
    again = now() + timedelta(seconds=RATIO_SECONDS)
    schedule_many([NewTimer(RATIO_TIMER, item.timer.key, 1, item.timer.seq + 1, again) for item in running])


# Both may read a whole ledger, hence not before pages.
HELD_KIND = TimerKind(name=HELD_TIMER, lock=lock_epochs, exists=existing_epochs, fire=fire_held, queue="bulk")
RATIO_KIND = TimerKind(name=RATIO_TIMER, lock=lock_ratios, exists=existing_ratios, fire=fire_ratios, queue="bulk")
