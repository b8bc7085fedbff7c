"""The two boxes that alerts add to the command page of an incident."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest

from apps.alerts.models import Alert
from apps.alerts.queries import alerts_of_incident, changes_before
from apps.incidents.models import Incident
from apps.incidents.panels import Panel, register_panel

SHOWN = 50


def alerts_context(incident: Incident, request: HttpRequest) -> dict[str, Any]:
    """The alerts that opened or joined the incident, as far as the reader may see them."""
    alerts = alerts_of_incident(incident.pk, request.user, limit=SHOWN + 1)
    return {
        "alerts": alerts[:SHOWN],
        "more_alerts": len(alerts) > SHOWN,
        "firing_count": sum(1 for alert in alerts[:SHOWN] if alert.state == Alert.State.FIRING),
    }


def changes_context(incident: Incident, request: HttpRequest) -> dict[str, Any]:
    """What was changed shortly before, on the incident's services and on what they need."""
    if not request.user.has_perm("catalog.view_change"):
        return {"changes": [], "may_see_changes": False}
    return {"changes": changes_before(incident), "may_see_changes": True}


_ALERTS = Panel("alerts", "Alerts", "alerts/panel_alerts.html", alerts_context, position=20)
_CHANGES = Panel("changes", "What changed", "alerts/panel_changes.html", changes_context, position=30)


def register_panels() -> None:
    """Put both boxes on the command page. Called from `ready()`."""
    register_panel(_ALERTS)
    register_panel(_CHANGES)
