"""Claims: who may write for an execution now, for how long, and what happens to the writes of anybody else.

A claim raises the execution's `fence`. Every write of a worker compares the fence under the row's lock, so what a
worker writes after its lease ran out and another took over is refused, however late it comes.
"""

from __future__ import annotations

import logging
import os
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from types import TracebackType

from django.conf import settings
from django.db import Error as DatabaseError
from django.db import connections, transaction

from apps.foundation.actor import Actor, acting
from apps.foundation.clock import now
from apps.runbooks.models import Execution, LogLine, StepRun

logger = logging.getLogger(__name__)

WORKER = "runbooks"


class Superseded(Exception):
    """Another claim holds: whatever this worker was doing is no longer its business. `told` once it is in the log."""

    told = False


@dataclass(frozen=True, slots=True)
class Claim:
    """The right to write for one step of one execution while `fence` stands in its row."""

    execution_id: int
    step_id: int
    fence: int
    worker: str


def lease_length() -> timedelta:
    return timedelta(seconds=settings.RUNBOOK_LEASE_SECONDS)


def this_worker() -> str:
    """What claims and logs call this process."""
    return f"{os.environ.get('PORTAL_PROCESS') or socket.gethostname()}:{os.getpid()}"[:120]


def locked(execution_id: int, *, skip_locked: bool = False) -> Execution | None:
    """The execution, its row locked; others may still add rows that point at it. None where it is gone or skipped."""
    rows = Execution.objects.select_for_update(no_key=True, skip_locked=skip_locked, of=("self",))
    return rows.select_related("runbook", "incident").filter(pk=execution_id).first()


@contextmanager
def fenced(claim: Claim) -> Iterator[tuple[Execution, StepRun]]:
    """One transaction in which this claim may write. Raises Superseded where it no longer may."""
    with transaction.atomic(), acting(Actor.system(WORKER), "runbook at work"):
        execution = locked(claim.execution_id)
        if execution is None or execution.fence != claim.fence:
            raise Superseded
        step = StepRun.objects.get(pk=claim.step_id)
        if step.state != StepRun.State.RUNNING or step.fence != claim.fence:
            raise Superseded
        yield execution, step


def tell_refused(claim: Claim, what: str) -> None:
    """Note for good that a late write was refused."""
    logger.warning(
        "A write (%s) of %s to execution %s was refused: its claim %s is over.",
        what, claim.worker, claim.execution_id, claim.fence,
    )  # fmt: skip
    text = f"A late write ({what}) of {claim.worker} was refused: its claim {claim.fence} is over."
    LogLine.objects.create(execution_id=claim.execution_id, step_id=claim.step_id, level="warning", text=text)


def keep(execution: Execution, **changes: object) -> None:
    """Save columns of a locked execution; the version rises. Those outside its history are written without one."""
    for name, value in changes.items():
        setattr(execution, name, value)
    execution.version += 1
    untracked = {"fence", "lease_until", "due_at", "worker"}
    if set(changes) <= untracked:
        # Kept out of history on purpose, so nothing is missed by not going through `save`.
        Execution.objects.filter(pk=execution.pk).update(**changes, version=execution.version)
    else:
        execution.save(update_fields=[*changes, "version"])


class LeaseKeeper:
    """Renews a claim's lease from a thread of its own while an effect runs, for at most `longest_seconds`.

    A frozen process renews nothing, and a lease that ran out stays so.
    """

    def __init__(self, claim: Claim, longest_seconds: float) -> None:
        self._claim = claim
        self._until = time.monotonic() + longest_seconds
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"lease-{claim.execution_id}", daemon=True)

    def __enter__(self) -> LeaseKeeper:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join(timeout=5)

    def _run(self) -> None:
        each = lease_length().total_seconds() / 3
        try:
            while not self._stop.wait(each) and time.monotonic() < self._until:
                if not self._renew():
                    return
        finally:
            connections.close_all()

    def _renew(self) -> bool:
        at = now()
        held = Execution.objects.filter(pk=self._claim.execution_id, fence=self._claim.fence, lease_until__gt=at)
        until = at + lease_length()
        try:
            return held.update(lease_until=until, due_at=until) == 1
        except DatabaseError as error:
            logger.warning("The lease of execution %s can't be renewed: %s", self._claim.execution_id, error)
            connections.close_all()
            return True  # tried again as long as the lease holds
