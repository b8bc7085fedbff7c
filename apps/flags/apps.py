from __future__ import annotations

from django.apps import AppConfig


class FlagsConfig(AppConfig):
    """Flags that running systems ask for."""

    name = "apps.flags"
    label = "flags"
    verbose_name = "Respond"

    def ready(self) -> None:
        """Tell how flags and segments are titled, linked and seen, and what is done at its time."""
        from apps.approvals.registry import register_display
        from apps.engine.registry import Invariant, register_invariant, register_timer_kind
        from apps.flags import experiment_queries, previews, queries, subscribers, timers
        from apps.flags.operations.reporting import keep_reporting
        from apps.flags.operations.retaining import keep_sweeping
        from apps.foundation.subjects import SubjectKind, register_subject

        register_subject(SubjectKind(queries.FLAG, queries.flag_titles, queries.flag_url, queries.visible_flag_keys))
        segments = (queries.segment_titles, queries.segment_url, queries.visible_segment_keys)
        register_subject(SubjectKind(queries.SEGMENT, *segments))
        register_subject(
            SubjectKind(
                experiment_queries.EXPERIMENT,
                experiment_queries.experiment_titles,
                experiment_queries.experiment_url,
                experiment_queries.visible_experiment_keys,
            )
        )
        changes = (queries.change_titles, queries.change_url, queries.visible_change_keys)
        register_subject(SubjectKind(queries.CHANGE, *changes))
        register_display(queries.CHANGE, "flags/approval.html", previews.proposal_context)
        subscribers.register()
        register_invariant(Invariant("the report on stale flags is to come", keep_reporting))
        register_invariant(Invariant("the sweep of exposures is to come", keep_sweeping))
        for kind in (timers.KIND, timers.STALE_KIND, timers.LEDGER_KIND, timers.HELD_KIND, timers.RATIO_KIND):
            register_timer_kind(kind)
