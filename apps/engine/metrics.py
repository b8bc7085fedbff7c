"""The portal's own figures for Prometheus, read from the database when scraped."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from django.db import DatabaseError
from django.db.models import Count
from prometheus_client import REGISTRY
from prometheus_client.core import GaugeMetricFamily, Metric

from apps.engine.models import Delivery, Timer
from apps.engine.pulses import last_beats
from apps.foundation.clock import now


@dataclass(frozen=True, slots=True)
class Gauge:
    """`read` gives values by label value; a gauge without a label uses the one key ""."""

    name: str
    help: str
    label: str
    read: Callable[[], dict[str, float]]


_gauges: list[Gauge] = []


def register_gauge(name: str, help_text: str, read: Callable[[], dict[str, float]], *, label: str = "") -> None:
    """Export `read()` as the gauge `name`; called once in an app's `ready()`."""
    _gauges.append(Gauge(name, help_text, label, read))


def oldest_due_timer_seconds() -> float:
    """How late the most overdue pending timer is, in seconds; 0 when none is overdue."""
    at = now()
    oldest = (
        Timer.objects.filter(state=Timer.State.PENDING, due_at__lte=at)
        .order_by("try_at")
        .values_list("due_at", flat=True)
        .first()
    )
    return max((at - oldest).total_seconds(), 0.0) if oldest else 0.0


def _by_state(model: type[Timer] | type[Delivery], states: list[str]) -> dict[str, float]:
    counted = model._default_manager.filter(state__in=states).values_list("state").annotate(Count("pk"))
    return dict.fromkeys(states, 0.0) | {str(state): float(count) for state, count in counted}


class PortalCollector:
    """Reads all registered gauges; a database that is down leaves them out rather than failing the scrape."""

    def collect(self) -> Iterator[Metric]:
        for gauge in _gauges:
            try:
                values = gauge.read()
            except DatabaseError:
                continue
            family = GaugeMetricFamily(gauge.name, gauge.help, labels=[gauge.label] if gauge.label else None)
            for label, value in values.items():
                family.add_metric([label] if gauge.label else [], value)
            yield family

    def describe(self) -> list[Metric]:
        """Nothing: describing must not ask the database at import time."""
        return []


def register() -> None:
    """Export the engine's gauges and the collector; called once in `ready()`."""
    register_gauge(
        "portal_oldest_due_timer_seconds",
        "How late the most overdue timer is.",
        lambda: {"": oldest_due_timer_seconds()},
    )
    register_gauge("portal_timers", "Timers by state.", lambda: _by_state(Timer, ["pending", "failed"]), label="state")
    register_gauge(
        "portal_deliveries",
        "Event deliveries by state.",
        lambda: _by_state(Delivery, ["pending", "failed"]),
        label="state",
    )
    register_gauge(
        "portal_pulse_age_seconds",
        "How long ago each sweep and the ticker last ran.",
        lambda: {name: (now() - at).total_seconds() for name, at in last_beats().items()},
        label="name",
    )
    REGISTRY.register(PortalCollector())
