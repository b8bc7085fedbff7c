"""The boxes that alerts add to the command page of an incident and to home."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest

from apps.alerts.models import Alert, Integration
from apps.alerts.queries import alerts_of_incident, changes_before, visible_alerts
from apps.incidents.home_panels import HomePanel, register_home_panel
from apps.incidents.models import Incident
from apps.incidents.panels import Panel, register_panel

SHOWN = 50
SHOWN_AT_HOME = 6


def alerts_context(incident: Incident, request: HttpRequest) -> dict[str, Any]:
    """The alerts that opened or joined the incident, as far as the reader may see them."""
    alerts = alerts_of_incident(incident.pk, request.user, limit=SHOWN + 1)
    return {
        "alerts": alerts[:SHOWN],
        "more_alerts": len(alerts) > SHOWN,
        "opened_by_alert": incident.source in Integration.Kind.values,
        "firing_count": sum(1 for alert in alerts[:SHOWN] if alert.state == Alert.State.FIRING),
    }


def changes_context(incident: Incident, request: HttpRequest) -> dict[str, Any]:
    """What was changed shortly before, on the incident's services and on what they need."""
    if not request.user.has_perm("catalog.view_change"):
        return {"changes": [], "may_see_changes": False}
    return {"changes": changes_before(incident), "may_see_changes": True}


def home_context(request: HttpRequest) -> dict[str, Any] | None:
    """The alerts heard of last, as far as the reader may see them; no box for those who may see none."""
    if not request.user.has_perm("alerts.view_alert"):
        return None
    return {"alerts": list(visible_alerts(request.user).order_by("-last_seen_at", "-id")[:SHOWN_AT_HOME])}


_ALERTS = Panel("alerts", "Alerts", "alerts/panel_alerts.html", alerts_context, position=20)
_HOME = HomePanel("alerts", "Alerts heard of last", "alerts/home_alerts.html", home_context, position=20)
_CHANGES = Panel("changes", "What changed", "alerts/panel_changes.html", changes_context, position=30)


def register_panels() -> None:
    """Put two boxes on the command page and one on home. Called from `ready()`."""
    register_panel(_ALERTS)
    register_panel(_CHANGES)
    register_home_panel(_HOME)
