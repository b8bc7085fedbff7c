"""What to put into the sender of each kind, ready to copy."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from apps.alerts.mapping import DATADOG_PAYLOAD, PRESETS
from apps.alerts.models import Integration


class Snippet(NamedTuple):
    """One piece of text to copy, and where it goes."""

    title: str
    text: str


def snippets(integration: Integration, address: str, key: str) -> list[Snippet]:
    """The pieces for an integration; `key` is empty for those who may not see it."""
    return _OF_KIND[Integration.Kind(integration.kind)](integration, address, key or "…")


def _alertmanager_pieces(_integration: Integration, address: str, _key: str) -> list[Snippet]:
    return [Snippet("For alertmanager.yml", _alertmanager(address))]


def _grafana_pieces(_integration: Integration, address: str, _key: str) -> list[Snippet]:
    return [Snippet("For provisioning/alerting/portal.yaml, or by hand as a webhook contact point", _grafana(address))]


def _pagerduty_pieces(_integration: Integration, address: str, key: str) -> list[Snippet]:
    return [
        Snippet("The routing key, for everything that speaks PagerDuty's Events API v2", key),
        Snippet("Try it", _pagerduty_curl(address, key)),
        Snippet("With PagerDuty's Python library", _pagerduty_python(address, key)),
    ]


def _heartbeat_pieces(_integration: Integration, address: str, _key: str) -> list[Snippet]:
    return [
        Snippet("At the end of a job", f"curl -fsS -m 10 --retry 3 {address}"),
        Snippet("In a crontab", f"*/5 * * * * /usr/local/bin/backup && curl -fsS -m 10 --retry 3 {address}"),
    ]


def _change_pieces(_integration: Integration, address: str, _key: str) -> list[Snippet]:
    body = '{"title": "API v2.3.1", "service": "api", "version": "v2.3.1"}'
    return [Snippet("Try it", f"curl -d '{body}' {address}")]


def _generic_pieces(integration: Integration, address: str, _key: str) -> list[Snippet]:
    if integration.mapping == PRESETS["datadog"]:
        return [Snippet("As the payload of a webhook in Datadog, with the address as its URL", DATADOG_PAYLOAD)]
    if integration.mapping:
        return [Snippet("Try it", f"curl -d @sample.json {address}")]
    body = '{"title": "Disk is full", "dedup_key": "disk-1", "severity": "warning"}'
    return [Snippet("Try it", f"curl -d '{body}' {address}")]


_OF_KIND: dict[Integration.Kind, Callable[[Integration, str, str], list[Snippet]]] = {
    Integration.Kind.ALERTMANAGER: _alertmanager_pieces,
    Integration.Kind.GRAFANA: _grafana_pieces,
    Integration.Kind.PAGERDUTY: _pagerduty_pieces,
    Integration.Kind.HEARTBEAT: _heartbeat_pieces,
    Integration.Kind.CHANGE: _change_pieces,
    Integration.Kind.GENERIC: _generic_pieces,
}


def _alertmanager(address: str) -> str:
    return (
        "route:\n"
        "  receiver: incident-portal\n"
        "  group_by: ['...']  # each alert by itself; the portal groups\n"
        "  group_wait: 0s\n"
        "  group_interval: 10s\n"
        "  repeat_interval: 5m\n"
        "receivers:\n"
        "  - name: incident-portal\n"
        "    webhook_configs:\n"
        f"      - url: {address}\n"
        "        send_resolved: true\n"
    )


def _grafana(address: str) -> str:
    return (
        "apiVersion: 1\n"
        "contactPoints:\n"
        "  - orgId: 1\n"
        "    name: incident-portal\n"
        "    receivers:\n"
        "      - uid: incident-portal\n"
        "        type: webhook\n"
        "        settings:\n"
        f"          url: {address}\n"
        "          httpMethod: POST\n"
    )


def _pagerduty_curl(address: str, key: str) -> str:
    payload = '{"summary": "Disk is full", "source": "db-1", "severity": "warning"}'
    event = f'{{"routing_key": "{key}", "event_action": "trigger", "dedup_key": "disk-1", "payload": {payload}}}'
    return f"curl -d '{event}' {address}"


def _pagerduty_python(address: str, key: str) -> str:
    return (
        "import pagerduty\n\n"
        f'events = pagerduty.EventsApiV2Client("{key}", base_url="{address.removesuffix("/v2/enqueue")}")\n'
        'key = events.trigger("Disk is full", source="db-1", severity="warning")\n'
        "events.acknowledge(key)\n"
        "events.resolve(key)\n"
    )
