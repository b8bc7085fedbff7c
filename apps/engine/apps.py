from django.apps import AppConfig


class EngineConfig(AppConfig):
    name = "apps.engine"
    label = "engine"
    verbose_name = "Administer"

    def ready(self) -> None:
        """The engine's own two sweepers; other apps add theirs."""
        from apps.engine import metrics, operations, sweep
        from apps.engine.registry import Sweeper, register_sweeper
        from apps.engine.timers import FIRE_TASK

        register_sweeper(Sweeper("timers", FIRE_TASK, "timers", sweep.fire_timers, sweep.timers_due))
        register_sweeper(
            Sweeper("deliveries", operations.DELIVER_TASK, "bulk", operations.deliver, operations.deliveries_due)
        )
        metrics.register()
