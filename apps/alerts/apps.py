from __future__ import annotations

from django.apps import AppConfig


class AlertsConfig(AppConfig):
    """Integrations, what they send, and the alerts and incidents it amounts to."""

    name = "apps.alerts"
    label = "alerts"
    verbose_name = "Respond"

    def ready(self) -> None:
        from apps.alerts import experiments, kills, policy, portal_faults, posting, subscribers
        from apps.alerts.operations import calming, group, heartbeats, limits, receipts_due
        from apps.alerts.panels import register_panels
        from apps.engine.registry import Sweeper, register_sweeper, register_timer_kind, subscribe, subscribe_batch

        policy.register()
        register_sweeper(
            Sweeper(name="alerts to group", task="alerts.group", queue="timers", run=group, due=receipts_due)
        )
        register_sweeper(
            Sweeper(
                name="refused requests to tell",
                task="alerts.limits",
                queue="timers",
                run=limits.tell_limits,
                due=limits.limits_due,
            )
        )
        for kind in (heartbeats.KIND, limits.KIND, calming.CALM_KIND, calming.RELEASE_KIND):
            register_timer_kind(kind)
        subscribe(["incidents.resolved", "incidents.reopened"], "alerts.groups", subscribers.follow_incident)
        subscribe(["engine.portal_fault"], "alerts.portal_fault", portal_faults.open_incident)
        subscribe(experiments.KINDS, "alerts.experiments", experiments.open_incident)
        subscribe_batch(kills.KINDS, kills.SUBSCRIBER, kills.tell_kills)
        subscribe_batch(posting.KINDS, posting.SUBSCRIBER, posting.tell_places)
        register_panels()
