"""One slice of whatever is due: snapshots, restores and diffs take turns, so that none starves the others."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

from apps.foundation.errors import DomainError
from apps.state.entities.leases import MOST_ATTEMPTS, Lost, claim, release
from apps.state.entities.models import EntityRestore, Job, Snapshot, SnapshotDiff
from apps.state.entities.operations.comparing import advance_diff, fail_diff
from apps.state.entities.operations.restoring import advance_restore, fail_restore
from apps.state.entities.operations.taking import advance_snapshot, ask_when_due, fail_snapshot
from apps.state.live import LiveUnreachable

logger = logging.getLogger(__name__)
_LONGEST_PAUSE_SECONDS = 60.0
_WORK: dict[type[Job], tuple[Callable[[Any], None], Callable[[Any, DomainError], None]]] = {
    EntityRestore: (advance_restore, fail_restore),
    Snapshot: (advance_snapshot, fail_snapshot),
    SnapshotDiff: (advance_diff, fail_diff),
}


def run_due() -> int:
    """One round of the sweeper: asks for what falls due, then a slice of each kind; returns how many were done."""
    return ask_when_due() + sum(advance(model) for model in _WORK)


def advance(model: type[Job], job_id: int | None = None) -> int:
    """Do a slice of the next due job of a kind, or of this one; 0 when there is none that is free.

    Safe to call from anywhere, by any number of processes, outside transactions. A source that is away is asked
    again with growing pauses, six times; then, and at once when it answers nonsense, the job fails and says why.
    """
    job = claim(model, job_id)
    if job is None:
        return 0
    work, give_up = _WORK[model]
    try:
        if job.attempts > MOST_ATTEMPTS:
            give_up(job, DomainError(job.error or "Its workers died again and again."))
        else:
            _slice(job, work, give_up)
    except Lost:
        logger.info("%s %s went on elsewhere.", model.__name__, job.pk)
    return 1


def _slice(job: Job, work: Callable[[Any], None], give_up: Callable[[Any, DomainError], None]) -> None:
    try:
        work(job)
    except LiveUnreachable as error:
        if job.attempts >= MOST_ATTEMPTS:
            give_up(job, error)
        else:
            release(job, pause_seconds=min(2.0**job.attempts, _LONGEST_PAUSE_SECONDS), error=error.message[:1000])
    except DomainError as error:
        give_up(job, error)
