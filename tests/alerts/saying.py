"""Payloads as sources send them."""

from __future__ import annotations

from typing import Any


def trigger(
    key: str = "disk-1", title: str = "Disk is full", severity: str = "critical", **more: Any
) -> dict[str, Any]:
    """A generic alert that fires."""
    return {"dedup_key": key, "title": title, "severity": severity, "status": "trigger", **more}


def resolve(key: str = "disk-1", **more: Any) -> dict[str, Any]:
    """A generic alert that is resolved."""
    return {"dedup_key": key, "status": "resolve", **more}


def prometheus(*alerts: dict[str, Any]) -> dict[str, Any]:
    """An Alertmanager payload, as version 4 of its webhook sends it."""
    return {
        "version": "4",
        "groupKey": '{}:{alertname="x"}',
        "truncatedAlerts": 0,
        "status": "firing",
        "receiver": "incident-portal",
        "groupLabels": {},
        "commonLabels": {},
        "commonAnnotations": {},
        "externalURL": "http://alertmanager:9093",
        "alerts": list(alerts),
    }


def alert(
    fingerprint: str = "f1", status: str = "firing", starts: str = "2026-11-20T20:00:00Z", **labels: str
) -> dict[str, Any]:
    """One alert in an Alertmanager payload."""
    return {
        "status": status,
        "labels": {"alertname": "HighLatency", "severity": "critical", **labels},
        "annotations": {"summary": "p99 is over a second", "description": "For five minutes."},
        "startsAt": starts,
        "endsAt": "0001-01-01T00:00:00Z",
        "generatorURL": "http://prometheus:9090/graph?g0.expr=x",
        "fingerprint": fingerprint,
    }
