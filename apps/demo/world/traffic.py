"""Simulated traffic: a pure function of the time and of what is broken, so that runs can be compared."""

from __future__ import annotations

import math
from collections.abc import Collection
from dataclasses import dataclass

BUCKETS = (0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
_REQUESTS_PER_PLAYER = 0.08
_PAYMENTS_PER_PLAYER = 0.0015
_WITHOUT_FIGHTS = 2 / 3


@dataclass(frozen=True, slots=True)
class Signals:
    """What the game looks like at one instant. Rates are per second, ratios from 0 to 1."""

    players_online: int
    requests_per_second: float
    error_ratio: float
    latency_p95_seconds: float
    payments_per_second: float
    payment_failure_ratio: float
    gold_per_second: float

    def growth(self, seconds: float) -> dict[str, float]:
        """By how much each counter grows in `seconds` of this."""
        requests = self.requests_per_second * seconds
        payments = self.payments_per_second * seconds
        found = {
            "requests_ok": requests * (1 - self.error_ratio),
            "requests_error": requests * self.error_ratio,
            "payments_ok": payments * (1 - self.payment_failure_ratio),
            "payments_failed": payments * self.payment_failure_ratio,
            "gold": self.gold_per_second * seconds,
            # The mean of an exponential distribution with this 95th percentile.
            "duration_sum": requests * self.latency_p95_seconds / math.log(20),
        }
        for bound in BUCKETS:
            found[f"duration_le_{bound}"] = requests * (1 - 20 ** (-bound / self.latency_p95_seconds))
        return found


def _wobble(at: float, period: float) -> float:
    """From -1 to 1, two waves that never quite repeat."""
    return 0.7 * math.sin(2 * math.pi * at / period) + 0.3 * math.sin(2 * math.pi * at / (period * 0.237))


def signals(
    at: float,
    *,
    player_factor: float,
    drop_rate: float,
    gold_per_kill: float,
    faults: Collection[str],
    killed: Collection[str] = (),
) -> Signals:
    """The signals at the Unix time `at`. `killed` are the flags that are off."""
    players = (1200 + 250 * _wobble(at, 600) + 30 * _wobble(at, 37)) * player_factor
    errors = 0.004 + 0.002 * (1 + _wobble(at, 53))
    latency = 0.14 + 0.03 * _wobble(at, 71)
    failures = 0.01 + 0.005 * (1 + _wobble(at, 89))
    if "bad-config" in faults:
        errors = 0.34 + 0.05 * _wobble(at, 53)
        latency *= 2.5
    if "payment-outage" in faults:
        failures = 0.9 + 0.05 * _wobble(at, 89)
    if "event-overload" in faults:
        errors = max(errors, 0.03)
        latency = 3.2 + 0.6 * _wobble(at, 71)
    buys = "payments.checkout" not in killed
    fights = 1.0 if "combat.attacks" not in killed else _WITHOUT_FIGHTS
    return Signals(
        players_online=round(players),
        requests_per_second=players * _REQUESTS_PER_PLAYER * fights,
        error_ratio=errors,
        latency_p95_seconds=latency,
        payments_per_second=players * _PAYMENTS_PER_PLAYER if buys else 0.0,
        payment_failure_ratio=failures if buys else 0.0,
        gold_per_second=players * drop_rate * gold_per_kill,
    )
