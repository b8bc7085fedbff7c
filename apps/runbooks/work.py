"""One attempt of one step: what must be known of it before anything is locked, and the intent that is written first."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from django.db import Error as DatabaseError

from apps.foundation.clock import now
from apps.runbooks.conditions import skip_reason
from apps.runbooks.faults import said
from apps.runbooks.models import Execution, StepRun
from apps.runbooks.operations.attempts import context_of, probe_of, ready, step_of
from apps.runbooks.operations.claiming import Claim, keep, lease_length, this_worker
from apps.runbooks.operations.telling import log
from apps.runbooks.records import storable
from apps.runbooks.secrets import Vault
from apps.runbooks.steps.base import Effect, StepContext
from apps.runbooks.steps.preparing import NotReady, Prepared

MOST_LOST = 10
"""So many workers may die with a step before it counts as the step's own fault."""

Mode = Literal["perform", "inside", "again", "probe", "broken", "lost", "skip"]


@dataclass(frozen=True, slots=True)
class Work:
    """A step to be claimed.

    `perform` it outside of any transaction, or `inside` that of its outcome. After a lost attempt with an effect
    outside: `again` where it may be repeated, else `probe` whether it happened. It can't be done when `broken`
    (a failed attempt) or `lost` (so was an attempt before, perhaps with its effect): then there is a `problem` and
    nothing `prepared`. `skip` it where its conditions don't hold: the `problem` says which. `probe` is the check that
    the runbook names for an attempt of which no outcome is known.
    """

    claim: Claim
    mode: Mode
    context: StepContext
    vault: Vault
    prepared: Prepared | None = None
    effect: Effect = "none"
    problem: str = ""
    idempotent: bool = True
    lost_count: int = 0
    probe: Prepared | None = None


def look_at(execution: Execution, run: StepRun) -> Work:
    """Everything that the attempt needs, read before any lock is taken. Whatever is wrong is a failed attempt."""
    runs, vault = list(execution.steps.order_by("order")), Vault()
    claim = Claim(execution.pk, run.pk, execution.fence + 1, this_worker())
    context = context_of(execution, run, runs, at=now())
    before = run.intent or {}
    lost = run.state == StepRun.State.RUNNING
    lost_count = int(before.get("lost", 0)) + lost
    try:
        _refuse_endless_loss(lost_count)
        if run.direction == StepRun.Direction.FORWARD and run.state == StepRun.State.PENDING and not run.attempts:
            why = skip_reason(step_of(execution, run), context, vault)
            if why:
                return Work(claim, "skip", context, vault, problem=why)
        prepared = ready(execution, run, runs, context, vault)
        effect = prepared.effect
    except DatabaseError:
        raise
    except Exception as error:  # noqa: BLE001  # a runbook may be wrong in any way; the step says in which
        mode: Mode = "lost" if lost and before.get("effect") == "external" else "broken"
        idempotent = bool(before.get("idempotent", True))
        problem = said(error, vault)
        return Work(claim, mode, context, vault, problem=problem, idempotent=idempotent, lost_count=lost_count)
    if effect == "internal":
        mode = "inside"
    elif lost and effect == "external":
        mode = "again" if prepared.idempotent else "probe"
    else:
        mode = "perform"
    probe = None if prepared.idempotent else probe_of(execution, run, context, vault)
    return Work(
        claim, mode, context, vault, prepared, effect,
        idempotent=prepared.idempotent, lost_count=lost_count, probe=probe,
    )  # fmt: skip


def _refuse_endless_loss(lost_count: int) -> None:
    if lost_count > MOST_LOST:
        raise NotReady([f"{lost_count} workers died with it."])


def take(execution: Execution, run: StepRun, work: Work) -> None:
    """Under the execution's lock: raise the fence, begin the lease, write the intent."""
    at = now()
    if run.state == StepRun.State.RUNNING:
        who = execution.worker or "The worker"
        log(execution, f"{who} stopped before it wrote down what came of it.", step=run, level="warning")
    if work.mode not in {"probe", "lost"}:
        run.attempts += run.state != StepRun.State.WAITING
        run.intent, run.intent_at = _intent(work), at
    run.state, run.fence, run.due_at = StepRun.State.RUNNING, work.claim.fence, None
    run.started_at = run.started_at or work.context.started_at
    run.save()
    until = at + lease_length()
    keep(execution, fence=work.claim.fence, lease_until=until, due_at=until, worker=work.claim.worker)


def _intent(work: Work) -> dict[str, Any]:
    """What is about to be done, and what must be known of it should nobody live to tell."""
    if work.prepared is None:
        return {"problem": work.problem, "lost": work.lost_count}
    try:
        told = work.prepared.kind.intent(work.prepared.options, work.context)
    except DatabaseError:
        raise
    except Exception as error:  # noqa: BLE001  # a record that can't be made is no reason to stop
        told = {"problem": said(error, work.vault)}
    kept: dict[str, Any] = storable(work.vault.mask(told))
    known = {"effect": work.effect, "idempotent": work.idempotent, "lost": work.lost_count}
    return {**kept, **known}
