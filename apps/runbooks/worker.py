"""The worker: claim a step, have its effect, write down what came of it.

The intent is written before the effect and the outcome after it, in transactions of their own. Effects on rows of this
database happen inside the transaction of the outcome, hence exactly once. An effect outside carries one idempotency
key for all attempts; when a worker dies with it, what may be repeated is repeated, what can be found out is found out,
and the rest waits for a person.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

from django.db import Error as DatabaseError
from django.db import InterfaceError, OperationalError, connection, transaction

from apps.engine.operations import report_fault
from apps.foundation.actor import Actor, acting
from apps.foundation.clock import now
from apps.runbooks.faults import log_raised, said
from apps.runbooks.models import Execution, StepRun
from apps.runbooks.operations.claiming import (
    WORKER,
    LeaseKeeper,
    Superseded,
    fenced,
    keep,
    lease_length,
    locked,
    tell_refused,
)
from apps.runbooks.operations.outcomes import go_on, next_run, record, skip, unknown
from apps.runbooks.operations.telling import log
from apps.runbooks.queries import CLAIMED, due_executions
from apps.runbooks.records import Notebook, storable
from apps.runbooks.secrets import Vault
from apps.runbooks.steps.base import Outcome, StepContext
from apps.runbooks.steps.preparing import Prepared
from apps.runbooks.work import Work, look_at, take

logger = logging.getLogger(__name__)

LOOK_AHEAD = 20
PUT_OFF = timedelta(seconds=60)
# What came of an effect is too precious to be lost to a database that is away for a moment.
WRITE_ATTEMPTS = 4
SYSTEM = Actor.system(WORKER)

_NOBODY_KNOWS = "The worker died with it, and there is no way to find out whether it has happened."


def run_due() -> int:
    """Do one step of the execution that has been due for longest; returns how many steps were done, at most one.

    A long runbook never starves others: after each step it goes behind those that are due already.
    """
    for pk in due_executions(now()).values_list("pk", flat=True)[:LOOK_AHEAD]:
        try:
            if advance(pk):
                return 1
        except DatabaseError:
            raise
        except Exception as error:  # noqa: BLE001  # one execution that can't be looked at must not stop the others
            log_raised(f"Execution {pk}", error, Vault())
            _put_off(pk, error)
            return 1
    return 0


def advance(execution_id: int) -> bool:
    """Do the next step of one execution, if it is due and nobody else is at it; whether anything was done.

    Safe to call from anywhere, at any time, by any number of processes; not inside a transaction.
    """
    found = Execution.objects.select_related("runbook", "runbook_version", "incident", "started_by", "requested_by")
    seen = found.filter(pk=execution_id, state__in=CLAIMED, due_at__lte=now()).first()
    if seen is None:
        return False
    run = next_run(seen)
    work = look_at(seen, run) if run is not None else None
    with transaction.atomic(), acting(SYSTEM, "step claimed"):
        execution = _unchanged(seen)
        if execution is None:
            return False
        if run is None or work is None or _is_cancelled(execution, run):
            keep(execution, fence=execution.fence + 1)
            go_on(execution, SYSTEM)
            return True
        if work.mode == "skip":
            keep(execution, fence=execution.fence + 1)
            skip(execution, run, work.problem, SYSTEM)
            return True
        take(execution, run, work)
    _do(work)
    return True


def _unchanged(seen: Execution) -> Execution | None:
    """The execution, locked, when it is as it was seen; None when another worker or a person was faster."""
    execution = locked(seen.pk, skip_locked=True)
    if execution is None or (execution.version, execution.fence) != (seen.version, seen.fence):
        return None
    return execution if execution.due_at is not None and execution.due_at <= now() else None


def _is_cancelled(execution: Execution, run: StepRun) -> bool:
    """Cancelled between two steps; a running one, lost or not, is brought to its end first."""
    forward = execution.state == Execution.State.RUNNING and run.state != StepRun.State.RUNNING
    return forward and execution.cancel_requested_at is not None


def _do(work: Work) -> None:
    try:
        outcome = _effect(work)
        if outcome is not None:
            _write(work, outcome)
    except Superseded as error:
        if not error.told:
            tell_refused(work.claim, "what came of it")


# --- effect -------------------------------------------------------------------------------------------------------


def _effect(work: Work) -> Outcome | None:
    """Have the effect; its outcome, or None where it is written down already."""
    prepared = work.prepared
    if prepared is None:
        return Outcome("failed", error=work.problem, maybe_done=work.mode == "lost")
    if work.mode == "inside":
        return _inside(work, prepared)
    context = Notebook(work.claim, work.vault).listening(work.context)
    with LeaseKeeper(work.claim, work.context.timeout_seconds + lease_length().total_seconds()):
        if work.mode in {"probe", "again"}:
            found = _found_out(work, context)
            if found is not None and (found.state == "succeeded" or work.mode == "probe"):
                return found
        if work.mode == "probe":
            return Outcome("failed", error=_NOBODY_KNOWS, maybe_done=True)
        found = _guarded(work, lambda: prepared.kind.perform(prepared.options, context))
        if found is not None and found.state == "failed" and found.maybe_done and work.probe is not None:
            found = _found_out(work, context) or found
        return found or Outcome("failed", error="The step gave no outcome.", maybe_done=True)


def _found_out(work: Work, context: StepContext) -> Outcome | None:
    """What the runbook's own probe finds, else the kind's. Only a success of the runbook's says anything: a check that
    fails may have failed for a hundred reasons."""
    prepared, probe = work.prepared, work.probe
    if probe is not None:
        seen = _guarded(work, lambda: probe.kind.perform(probe.options, replace(context, waited=None)))
        if seen is not None and seen.state == "succeeded":
            context.log("The probe says that it has happened.")
            return Outcome("succeeded", data=seen.data)
        context.log("The probe can't tell that it has happened.")
    return _guarded(work, lambda: prepared.kind.probe(prepared.options, context)) if prepared is not None else None


def _guarded(work: Work, act: Callable[[], Outcome | None]) -> Outcome | None:
    """What `act` gives. An error is a failed attempt; its effect outside stays possible unless the error denies it."""
    try:
        return act()
    except Superseded:
        raise
    except Exception as error:  # noqa: BLE001  # a step may fail in any way: that is a failed attempt, never a crash
        log_raised(f"Step {work.claim.step_id} of execution {work.claim.execution_id}", error, work.vault)
        maybe = work.effect == "external" and bool(getattr(error, "maybe_sent", True))
        return Outcome("failed", error=said(error, work.vault), maybe_done=maybe)


class _RolledBack(Exception):
    """An internal effect failed: its rows must go."""

    def __init__(self, outcome: Outcome) -> None:
        super().__init__(outcome.error)
        self.outcome = outcome


def _inside(work: Work, prepared: Prepared) -> Outcome | None:
    """An effect on rows of this database, in one transaction with its outcome; a failed one leaves nothing behind."""
    notebook = Notebook(work.claim, work.vault, inside=True)
    try:
        with fenced(work.claim) as (execution, run):
            outcome = _succeeding(prepared.kind.perform(prepared.options, notebook.listening(work.context)))
            run.refresh_from_db(fields=["progress"])
            _record(work, execution, run, outcome)
    except _RolledBack as failed:
        notebook.write_again()
        return failed.outcome
    except (Superseded, OperationalError, InterfaceError):
        raise  # nothing has happened: whoever claims it next does it again
    except Exception as error:  # noqa: BLE001  # the same as above; all its rows are rolled back
        log_raised(f"Step {work.claim.step_id} of execution {work.claim.execution_id}", error, work.vault)
        notebook.write_again()
        return Outcome("failed", error=said(error, work.vault))
    return None


def _succeeding(outcome: Outcome) -> Outcome:
    if outcome.state == "failed":
        raise _RolledBack(outcome)
    return outcome


# --- outcome ------------------------------------------------------------------------------------------------------


def _write(work: Work, outcome: Outcome) -> None:
    """Write the outcome down, trying again while the database is away. Raises Superseded, as `fenced` does."""
    for attempt in range(1, WRITE_ATTEMPTS + 1):
        try:
            with fenced(work.claim) as (execution, run):
                if work.mode == "lost" and not work.idempotent:
                    unknown(execution, run, work.problem, SYSTEM)
                else:
                    _record(work, execution, run, outcome)
                return
        except (OperationalError, InterfaceError) as error:
            if attempt == WRITE_ATTEMPTS or connection.in_atomic_block:
                raise
            logger.warning("What came of step %s can't be written yet: %s", work.claim.step_id, error)
            connection.close()
            time.sleep(0.5 * attempt)


def _record(work: Work, execution: Execution, run: StepRun, outcome: Outcome) -> None:
    kept = Outcome(
        outcome.state,
        data=storable(work.vault.mask(dict(outcome.data))),
        error=said(outcome.error, work.vault) if outcome.error else "",
        due_at=outcome.due_at,
        maybe_done=outcome.maybe_done,
    )
    record(execution, run, kept, idempotent=work.idempotent, actor=SYSTEM)


def _put_off(execution_id: int, error: Exception) -> None:
    """An execution that can't even be looked at waits a minute, and a person hears of it; the others go on."""
    with transaction.atomic(), acting(SYSTEM, "put off"):
        execution = locked(execution_id, skip_locked=True)
        if execution is None or execution.state not in CLAIMED:
            return
        keep(execution, due_at=now() + PUT_OFF)
        text = said(error, Vault())
        log(execution, f"It can't go on: {text} The next look is in a minute.", level="error")
        report_fault(f"execution:{execution_id}:stuck", f"{execution.runbook.name} #{execution_id} can't go on", text)
