"""The portal's own signs of life, as home shows them to people; machines read /readyz and /metrics."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from apps.engine.metrics import oldest_due_timer_seconds
from apps.engine.models import Delivery, Timer
from apps.engine.pulses import last_beats
from apps.incidents.admin.showing import Tone, span_text

_TICKER_LATE, _TIMER_LATE = timedelta(seconds=10), 5.0


@dataclass(frozen=True, slots=True)
class HealthLine:
    name: str
    value: str
    tone: Tone


def health_lines(at: datetime) -> tuple[HealthLine, ...]:
    """The signs of life that a person on duty should know; four cheap queries."""
    beat = last_beats().get("ticker")
    late = oldest_due_timer_seconds()
    failed_timers = Timer.objects.filter(state=Timer.State.FAILED).count()
    failed_deliveries = Delivery.objects.filter(state=Delivery.State.FAILED).count()
    lines = [
        HealthLine("Ticker", "never ran" if beat is None else f"beat {span_text((at - beat).total_seconds())} ago",
                   "ok" if beat is not None and at - beat <= _TICKER_LATE else "danger"),
        HealthLine("Oldest due timer", "none late" if late < 1 else f"{span_text(late)} late",
                   "ok" if late <= _TIMER_LATE else "danger"),
    ]  # fmt: skip
    stuck = failed_timers + failed_deliveries
    lines.append(
        HealthLine(
            "Waiting for a person",
            f"{failed_timers} timers, {failed_deliveries} deliveries" if stuck else "nothing",
            "warn" if stuck else "ok",
        )
    )
    return tuple(lines)
