"""What counts as an alert: one list for Prometheus' rule file and for the world's own watcher."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass

from apps.demo.world.traffic import Signals


@dataclass(frozen=True, slots=True)
class Rule:
    """Fires while `value` of the signals is over `limit`; `metric` is the same value on `/metrics`."""

    name: str
    metric: str
    limit: float
    value: Callable[[Signals], float]
    severity: str
    service: str
    summary: str
    description: str

    def fires(self, signals: Signals) -> bool:
        return self.value(signals) > self.limit

    def labels(self, instance: str) -> dict[str, str]:
        return {
            "alertname": self.name,
            "environment": "production",
            "instance": instance,
            "job": "demo-world",
            "service": self.service,
            "severity": self.severity,
        }

    def annotations(self) -> dict[str, str]:
        return {"summary": self.summary, "description": self.description}


RULES = (
    Rule(
        name="GameErrorsHigh",
        metric="world_error_ratio",
        limit=0.05,
        value=lambda signals: signals.error_ratio,
        severity="critical",
        service="game-api",
        summary="Players get errors",
        description="More than 5 % of the game's requests fail.",
    ),
    Rule(
        name="PaymentsFailing",
        metric="world_payment_failure_ratio",
        limit=0.2,
        value=lambda signals: signals.payment_failure_ratio,
        severity="high",
        service="payments",
        summary="Purchases fail",
        description="More than 20 % of the purchases in the shop fail.",
    ),
    Rule(
        name="GameLatencyHigh",
        metric="world_latency_p95_seconds",
        limit=1.5,
        value=lambda signals: signals.latency_p95_seconds,
        severity="warning",
        service="matchmaking",
        summary="The game answers slowly",
        description="The 95th percentile of latency is over 1.5 s.",
    ),
)


def fingerprint(labels: dict[str, str]) -> str:
    """The same labels give the same 16 characters, as in Alertmanager."""
    return hashlib.sha256(json.dumps(labels, sort_keys=True).encode()).hexdigest()[:16]


def prometheus_rules(for_seconds: int = 10) -> str:
    """The rules as a Prometheus rule file (YAML)."""
    lines = ["groups:", "  - name: demo-world", "    rules:"]
    for rule in RULES:
        lines += [
            f"      - alert: {rule.name}",
            f"        expr: {rule.metric} > {rule.limit:g}",
            f"        for: {for_seconds}s",
            "        labels:",
            f"          severity: {rule.severity}",
            f"          service: {rule.service}",
            "          environment: production",
            "        annotations:",
            f"          summary: {json.dumps(rule.summary)}",
            f"          description: {json.dumps(rule.description)}",
        ]
    return "\n".join(lines) + "\n"
