from __future__ import annotations

from django.apps import AppConfig


class PagingConfig(AppConfig):
    """Escalation, pages and acknowledgements."""

    name = "apps.paging"
    label = "paging"
    verbose_name = "Respond"

    def ready(self) -> None:
        from apps.engine.registry import Invariant, register_invariant, register_timer_kind
        from apps.messaging.registry import register_fallback, register_guard
        from apps.paging import cautions, policy, queries, timers
        from apps.paging.other_ways import call_other_ways
        from apps.paging.texts import PAGE_GUARD, RUN_GUARD
        from apps.policies.activation import register_cautions

        policy.register()
        register_cautions("paging", cautions.unbound_roles)
        register_timer_kind(timers.KIND)
        register_invariant(Invariant("running escalations have a timer", timers.repair))
        register_guard(RUN_GUARD, queries.current_runs)
        register_guard(PAGE_GUARD, queries.open_pages)
        register_fallback(call_other_ways)
