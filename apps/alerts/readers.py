"""Which reader understands what an integration sent: the same one at the door and when it is grouped."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from apps.alerts.grafana import read_grafana
from apps.alerts.mapping import compiled_mapping, read_mapped
from apps.alerts.pagerduty import read_change_event, read_event
from apps.alerts.payloads import AlertEvent, ChangeEvent, read_alertmanager, read_change, read_generic

BEAT = "beat"
CHANGE = "change"
PORTAL = "portal"
RECHECK = "recheck"
"""Forms of a receipt: a heartbeat, a PagerDuty change event, the portal's own words for its integration, and alerts to
be looked at once more. An ordinary one has none."""

Found = list[AlertEvent] | list[ChangeEvent]
Reader = Callable[[Any], Found]

READERS: dict[str, Reader] = {
    "alertmanager": read_alertmanager,
    "grafana": read_grafana,
    "pagerduty": read_event,
    "generic": read_generic,
    "change": read_change,
}


def reader(kind: str, form: str, mapping: Mapping[str, str]) -> Reader:
    """The reader of an integration's ordinary receipts, or of those of another form."""
    if form == PORTAL:
        return read_generic
    if kind == "pagerduty" and form == CHANGE:
        return read_change_event
    if kind == "generic" and mapping:
        compiled = compiled_mapping(mapping)
        return lambda document: read_mapped(compiled, document)
    return READERS[kind]
