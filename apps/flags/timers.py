"""The timer that does what was scheduled."""

from __future__ import annotations

from collections.abc import Sequence

from apps.engine.registry import DueTimer, Locked, TimerKind
from apps.flags.models import FlagChange
from apps.flags.operations.scheduling import CHANGE_TIMER, do_changes


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
