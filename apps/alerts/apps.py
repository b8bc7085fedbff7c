from __future__ import annotations

from django.apps import AppConfig


class AlertsConfig(AppConfig):
    """Integrations, what they send, and the alerts and incidents it amounts to."""

    name = "apps.alerts"
    label = "alerts"
    verbose_name = "Respond"

    def ready(self) -> None:
        from apps.alerts import policy, portal_faults, subscribers
        from apps.alerts.operations import group, receipts_due
        from apps.alerts.panels import register_panels
        from apps.engine.registry import Sweeper, register_sweeper, subscribe

        policy.register()
        register_sweeper(
            Sweeper(name="alerts to group", task="alerts.group", queue="timers", run=group, due=receipts_due)
        )
        subscribe(["incidents.resolved", "incidents.reopened"], "alerts.groups", subscribers.follow_incident)
        subscribe(["engine.portal_fault"], "alerts.portal_fault", portal_faults.open_incident)
        register_panels()
