"""A timer kind and a subscriber of the tests' own, on the engine's real tables."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import pytest
from django.db import transaction

from apps.engine import registry
from apps.engine.models import Pulse, Timer
from apps.engine.registry import DueTimer, Locked, TimerKind
from apps.engine.timers import NewTimer, schedule_many
from apps.foundation.clock import now


class Bells:
    """Subjects are pulses whose `run` stands in their detail; ringing one counts it in the detail."""

    def __init__(self) -> None:
        self.broken: set[str] = set()

    def lock(self, keys: Sequence[str]) -> dict[str, Locked]:
        rows = Pulse.objects.select_for_update(skip_locked=True).filter(name__in=keys)
        return {row.name: Locked(row, row.detail["run"]) for row in rows}

    def exists(self, keys: Sequence[str]) -> set[str]:
        return set(Pulse.objects.filter(name__in=keys).values_list("name", flat=True))

    def fire(self, due: Sequence[DueTimer]) -> None:
        for item in due:
            if item.timer.key in self.broken:
                raise ValueError(f"{item.timer.key} is broken")
            item.subject.detail["rung"] = item.subject.detail.get("rung", 0) + 1
            item.subject.save(update_fields=["detail"])

    def make(self, *names: str, run: int = 1) -> None:
        Pulse.objects.bulk_create([Pulse(name=name, at=now(), detail={"run": run}) for name in names])

    def rung(self, name: str) -> int:
        return int(Pulse.objects.get(name=name).detail.get("rung", 0))


@pytest.fixture
def bells() -> Iterator[Bells]:
    kind = Bells()
    registry.register_timer_kind(TimerKind("test.bell", kind.lock, kind.exists, kind.fire))
    yield kind
    del registry._timer_kinds["test.bell"]


def set_timer(key: str, *, run: int = 1, seq: int = 0) -> Timer:
    with transaction.atomic():
        schedule_many([NewTimer("test.bell", key, run, seq, now())])
    return Timer.objects.get(kind="test.bell", key=key, run=run, seq=seq)
