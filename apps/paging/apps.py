from __future__ import annotations

from django.apps import AppConfig


class PagingConfig(AppConfig):
    """Escalation, pages and acknowledgements."""

    name = "apps.paging"
    label = "paging"
    verbose_name = "Respond"

    def ready(self) -> None:
        from apps.engine.metrics import register_gauge
        from apps.engine.registry import Invariant, register_invariant, register_timer_kind
        from apps.messaging.registry import (
            register_fallback,
            register_guard,
            register_parts,
            register_responder,
            register_worder,
        )
        from apps.oncall.queries.fairness import register_page_counter
        from apps.oncall.registry import register_warnings
        from apps.paging import bundles, cautions, policy, presses, queries, timers
        from apps.paging.counting import pages_by_person
        from apps.paging.other_ways import call_other_ways
        from apps.paging.rules.queries import warnings_about
        from apps.paging.texts import BUNDLE_GUARD, BUNDLE_KIND, PAGE_GUARD, RUN_GUARD
        from apps.policies.activation import register_cautions

        policy.register()
        register_cautions("paging", cautions.unbound_roles)
        register_timer_kind(timers.KIND)
        register_invariant(Invariant("running escalations have a timer", timers.repair))
        register_guard(RUN_GUARD, queries.current_runs)
        register_guard(PAGE_GUARD, queries.open_pages)
        register_fallback(call_other_ways)
        register_guard(BUNDLE_GUARD, bundles.open_bundles)
        register_worder(BUNDLE_GUARD, bundles.bundle_wordings)
        register_parts(BUNDLE_KIND, bundles.open_subjects)
        register_responder(BUNDLE_KIND, presses.respond)
        register_warnings(warnings_about)
        register_page_counter(pages_by_person)
        register_gauge(
            "portal_pages_gathered",
            "Pages of the last 24 hours that were told together with others.",
            bundles.gathered_counts,
            label="reason",
        )
