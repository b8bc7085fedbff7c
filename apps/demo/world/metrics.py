"""The world's metrics in Prometheus' text format."""

from __future__ import annotations

from collections.abc import Mapping

from apps.demo.world.game import FAULTS, World
from apps.demo.world.switches import SWITCHES
from apps.demo.world.traffic import BUCKETS

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


def _metric(name: str, kind: str, text: str, samples: Mapping[str, float]) -> str:
    lines = [f"# HELP {name} {text}", f"# TYPE {name} {kind}"]
    lines += [f"{name}{labels} {value:.10g}" for labels, value in samples.items()]
    return "\n".join(lines) + "\n"


def _histogram(counters: Mapping[str, float]) -> str:
    name = "world_request_duration_seconds"
    total = counters.get("requests_ok", 0.0) + counters.get("requests_error", 0.0)
    lines = [f"# HELP {name} How long the game's requests took.", f"# TYPE {name} histogram"]
    lines += [f'{name}_bucket{{le="{bound:g}"}} {counters.get(f"duration_le_{bound}", 0.0):.10g}' for bound in BUCKETS]
    lines += [
        f'{name}_bucket{{le="+Inf"}} {total:.10g}',
        f"{name}_sum {counters.get('duration_sum', 0.0):.10g}",
        f"{name}_count {total:.10g}",
    ]
    return "\n".join(lines) + "\n"


def render(world: World) -> str:
    """Everything a scrape of `/metrics` answers."""
    counters, now, faults = world.counters(), world.signals(), world.faults()
    config, tried = world.config(), world.canary_signals()
    parts = [
        _metric("world_players_online", "gauge", "Players online.", {"": now.players_online}),
        _metric("world_error_ratio", "gauge", "Share of requests that fail now.", {"": now.error_ratio}),
        _metric(
            "world_canary_error_ratio",
            "gauge",
            "The same among those who have a config's canary; without one, of all.",
            {"": (tried or now).error_ratio},
        ),
        _metric("world_latency_p95_seconds", "gauge", "95th percentile of latency now.", {"": now.latency_p95_seconds}),
        _metric(
            "world_payment_failure_ratio", "gauge", "Share of purchases that fail.", {"": now.payment_failure_ratio}
        ),
        _metric("world_config_version", "gauge", "Version of the live config.", {"": config["version"]}),
        _metric(
            "world_canary_percent",
            "gauge",
            "The share that has a config's canary.",
            {"": config.get("canary", {}).get("percentage", 0)},
        ),
        _metric("world_drop_rate", "gauge", "Drop rate in it.", {"": config["document"]["economy"]["drop_rate"]}),
        _metric(
            "world_fault_active",
            "gauge",
            "1 while this is broken.",
            {f'{{fault="{fault}"}}': float(fault in faults) for fault in FAULTS},
        ),
        _metric(
            "world_live_event_active",
            "gauge",
            "1 while this live event runs.",
            {f'{{event="{slug}"}}': float(event["active"]) for slug, event in world.events().items()},
        ),
        _metric(
            "world_event_paused",
            "gauge",
            "1 while this live event is paused.",
            {f'{{event="{slug}"}}': float(bool(event.get("paused"))) for slug, event in world.events().items()},
        ),
        _metric(
            "world_event_queue",
            "gauge",
            "What players handed in and nobody has looked at yet.",
            {f'{{event="{slug}"}}': float(event.get("queue", 0)) for slug, event in world.events().items()},
        ),
        _metric(
            "world_flag_on",
            "gauge",
            "0 while this flag is killed.",
            {f'{{flag="{key}"}}': float(key not in world.killed()) for key in SWITCHES},
        ),
        _metric(
            "world_requests_total",
            "counter",
            "Requests to the game.",
            {f'{{status="{status}"}}': counters.get(f"requests_{status}", 0.0) for status in ("ok", "error")},
        ),
        _metric(
            "world_payments_total",
            "counter",
            "Purchases in the shop.",
            {f'{{result="{result}"}}': counters.get(f"payments_{result}", 0.0) for result in ("ok", "failed")},
        ),
        _metric("world_gold_minted_total", "counter", "Gold the game gave away.", {"": counters.get("gold", 0.0)}),
        _histogram(counters),
    ]
    return "".join(parts)
