"""What is kept of snapshots and dry runs, and for how long."""

from __future__ import annotations

from datetime import timedelta

from django.db import transaction

from apps.foundation.actor import acting
from apps.foundation.clock import now
from apps.state.entities.leases import WORKER
from apps.state.entities.models import EntityRestore, EntitySource, Job, Snapshot
from apps.state.entities.queries import kept_anyway

DRY_RUN_DAYS = 7
"""So long a restore may wait to be confirmed; what it compared with is of no use to anybody afterwards."""
_AT_ONCE = 100


def retain(source: EntitySource) -> int:
    """Delete the snapshots that are too many or too old, their diffs with them; returns how many.

    The newest one that is done stays, however old, and so do pinned ones and those that something was restored
    from, or is about to be. Failed and stopped ones go when they are older than what is kept. Dry runs of restores
    that nobody has confirmed for a week go before, and so no longer keep theirs. A repeat finds nothing to do.
    """
    with transaction.atomic(), acting(WORKER, "retention"):
        _drop_stale_dry_runs(source)
        chosen = _superfluous(source)
        # Who plans a restore locks its snapshot: they have come before, and keep it, or will not find it any more.
        locked = list(Snapshot.objects.select_for_update().filter(pk__in=chosen).order_by("pk"))
        kept = set(kept_anyway(source).values_list("pk", flat=True))
        gone = [snapshot.pk for snapshot in locked if snapshot.pk not in kept]
        Snapshot.objects.filter(pk__in=gone).delete()
    return len(gone)


def _superfluous(source: EntitySource) -> list[int]:
    oldest = now() - timedelta(days=source.keep_days or 36_500)
    kept = set(kept_anyway(source).values_list("pk", flat=True))
    found: list[int] = []
    for states in ([Snapshot.State.DONE], [Snapshot.State.FAILED, Snapshot.State.STOPPED]):
        rows = Snapshot.objects.filter(source=source, state__in=states).order_by("-number")
        for place, (pk, finished_at) in enumerate(rows.values_list("pk", "finished_at")):
            is_newest = Snapshot.State.DONE in states and place == 0
            if place >= source.keep_count or (not is_newest and finished_at is not None and finished_at < oldest):
                found.append(pk)
    return [pk for pk in found if pk not in kept][:_AT_ONCE]


def _drop_stale_dry_runs(source: EntitySource) -> None:
    """Those that wait for a person, found nothing to do, or failed; one that a worker is at stays."""
    oldest = now() - timedelta(days=DRY_RUN_DAYS)
    rows = EntityRestore.objects.select_for_update(skip_locked=True).filter(source=source, confirmed_at__isnull=True)
    stale = rows.filter(created_at__lt=oldest).exclude(state__in=Job.OPEN).order_by("pk")[:_AT_ONCE]
    for restore in stale:
        restore.delete()
