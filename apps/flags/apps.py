from __future__ import annotations

from django.apps import AppConfig


class FlagsConfig(AppConfig):
    """Flags that running systems ask for."""

    name = "apps.flags"
    label = "flags"
    verbose_name = "Respond"

    def ready(self) -> None:
        """Tell how flags and segments are titled, linked and seen, and what is done at its time."""
        from apps.engine.registry import register_timer_kind
        from apps.flags import experiment_queries, queries, timers
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
        for kind in (timers.KIND, timers.HELD_KIND, timers.RATIO_KIND):
            register_timer_kind(kind)
