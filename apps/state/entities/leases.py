"""Who works on a job: a lease for one slice, and a fence that lets nobody write who lost it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any, TypeVar

from django.db import transaction
from django.db.models import Q, QuerySet

from apps.foundation.actor import Actor, acting
from apps.foundation.clock import now
from apps.state.entities.models import Job

LEASE = timedelta(seconds=60)
SLICE_SECONDS = 3.0
MOST_ATTEMPTS = 6
WORKER = Actor.system("entities")
J = TypeVar("J", bound=Job)


class Lost(Exception):
    """Another worker has the job, or it is over: nothing may be written any more."""


def due(model: type[J], at: datetime) -> QuerySet[J]:
    """The jobs that a worker may claim, the longest waiting first."""
    free = Q(lease_until__isnull=True) | Q(lease_until__lte=at)
    return model._default_manager.filter(free, state__in=Job.OPEN, due_at__lte=at).order_by("due_at", "pk")


def claim(model: type[J], job_id: int | None = None) -> J | None:
    """The next job under a lease of its own, or this one; None when there is none free."""
    at = now()
    with transaction.atomic():
        rows = due(model, at).select_for_update(skip_locked=True)
        job = (rows if job_id is None else rows.filter(pk=job_id)).first()
        if job is None:
            return None
        keep(
            job,
            state=Job.State.RUNNING,
            fence=job.fence + 1,
            lease_until=at + LEASE,
            attempts=job.attempts + 1,
            started_at=job.started_at or at,
        )
    return job


@contextmanager
def held(job: J, *, reason: str = "") -> Iterator[J]:
    """A transaction on the locked job, whose lease begins anew. Raises Lost when it is somebody else's by now."""
    with transaction.atomic(), acting(WORKER, reason or job.reason or "entities"):
        rows = type(job)._default_manager.select_for_update()
        row = rows.filter(pk=job.pk, fence=job.fence, state=Job.State.RUNNING).first()
        if row is None:
            raise Lost
        row.lease_until = now() + LEASE
        yield row


def got_on(row: Job, **fields: Any) -> None:
    """Store what a held job has reached; it counts as alive again."""
    keep(row, attempts=0, error="", lease_until=row.lease_until, **fields)


def release(job: Job, *, pause_seconds: float = 0.0, error: str = "") -> None:
    """End a slice: whoever comes next goes on, after a pause where the source was away."""
    with held(job) as row:
        fields = {"error": error} if error else {}
        keep(row, lease_until=None, due_at=now() + timedelta(seconds=pause_seconds), **fields)


def closed(row: Job, state: str, *, error: str = "", **fields: Any) -> None:
    """Bring a held job to its end; its history says so."""
    for name, value in {"state": state, "error": error, "lease_until": None, "finished_at": now(), **fields}.items():
        setattr(row, name, value)
    row.save()


def keep(row: Job, **fields: Any) -> None:
    """Store fields without a history row: a job writes many times a minute."""
    for name, value in fields.items():
        setattr(row, name, value)
    save: Any = getattr(row, "save_without_historical_record", row.save)
    save(update_fields=list(fields))
