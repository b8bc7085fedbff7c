from __future__ import annotations

from django.apps import AppConfig


class ApprovalsConfig(AppConfig):
    """Who asked for what exactly, and who allowed it."""

    name = "apps.approvals"
    label = "approvals"
    verbose_name = "Respond"

    def ready(self) -> None:
        from apps.approvals import queries, timers
        from apps.approvals.texts import GUARD
        from apps.engine.registry import register_timer_kind
        from apps.foundation.subjects import SubjectKind, register_subject
        from apps.messaging.registry import register_guard

        register_timer_kind(timers.KIND)
        register_guard(GUARD, queries.current_runs)
        register_subject(
            SubjectKind(
                kind=queries.SUBJECT_KIND, titles=queries.titles, url=queries.url, visible_keys=queries.visible_keys
            )
        )
