"""An execution at work always has a time, a lease or a person to wait for; what has none is repaired and told."""

from __future__ import annotations

from django.db import transaction
from django.db.models import Exists, OuterRef, Q, QuerySet

from apps.foundation.actor import Actor, acting
from apps.foundation.clock import now
from apps.runbooks.models import Execution, StepRun, TargetLock
from apps.runbooks.operations.claiming import keep, locked
from apps.runbooks.operations.outcomes import ring_workers
from apps.runbooks.operations.telling import log
from apps.runbooks.queries import CLAIMED

_AT_ONCE = 200
_State = Execution.State
_OVER = sorted(Execution.FINAL)


def stuck() -> QuerySet[Execution]:
    """Executions at work that nothing will ever move on."""
    steps = StepRun.objects.filter(execution=OuterRef("pk"))
    waits = Exists(steps.filter(state=StepRun.State.WAITING, due_at__isnull=True))
    unknown = Exists(steps.filter(state=StepRun.State.UNKNOWN))
    return Execution.objects.filter(
        Q(state__in=CLAIMED, due_at__isnull=True)
        | (Q(state=_State.WAITING) & ~waits)
        | (Q(state=_State.UNKNOWN) & ~unknown)
    )


def repair() -> list[str]:
    """Let stuck executions go on now, and take locks from those that are over; a sentence for each."""
    told: list[str] = []
    for pk in list(stuck().values_list("pk", flat=True)[:_AT_ONCE]):
        with transaction.atomic(), acting(Actor.system("runbooks"), "repaired"):
            execution = locked(pk, skip_locked=True)
            if execution is None or not stuck().filter(pk=pk).exists():
                continue
            undoing = execution.steps.filter(direction=StepRun.Direction.COMPENSATE).exists()
            was = execution.state
            state = _State.COMPENSATING if undoing else _State.RUNNING
            keep(execution, state=state, due_at=now(), lease_until=None)
            text = f"It was {was} and nothing would ever have moved it on; it goes on now."
            log(execution, text, level="warning")
            ring_workers()
            told.append(f"Execution {pk}: {text}")
    over = TargetLock.objects.filter(execution__state__in=_OVER)
    for lock in over[:_AT_ONCE]:
        told.append(f"The lock on {lock.target} was left behind by execution {lock.execution_id}; it is gone.")
        lock.delete()
    return told
