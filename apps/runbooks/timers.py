"""The timer that reminds of reviews."""

from __future__ import annotations

from collections.abc import Sequence

from apps.engine.registry import DueTimer, Locked, TimerKind
from apps.runbooks.models import Runbook
from apps.runbooks.operations.reviewing import REVIEW_TIMER, remind


def lock(keys: Sequence[str]) -> dict[str, Locked]:
    """Lock the runbooks that nobody else holds."""
    rows = Runbook.objects.select_for_update(skip_locked=True, of=("self",)).select_related("active_version")
    return {str(row.pk): Locked(row, 1) for row in rows.filter(pk__in=[int(key) for key in keys]).order_by("pk")}


def exists(keys: Sequence[str]) -> set[str]:
    """Which of the runbooks are there, locked or not."""
    rows = Runbook.objects.filter(pk__in=[int(key) for key in keys]).values_list("pk", flat=True)
    return {str(pk) for pk in rows}


def fire(due: Sequence[DueTimer]) -> None:
    """Remind of those that nobody has read since."""
    remind([item.subject for item in due])


REVIEW_KIND = TimerKind(name=REVIEW_TIMER, lock=lock, exists=exists, fire=fire, queue="bulk")
