from __future__ import annotations

from django.apps import AppConfig


class RunbooksConfig(AppConfig):
    """Runbooks, dry runs, executions and one-click mitigations."""

    name = "apps.runbooks"
    label = "runbooks"
    verbose_name = "Respond"

    def ready(self) -> None:
        from apps.engine.registry import Invariant, Sweeper, register_invariant, register_sweeper, register_timer_kind
        from apps.runbooks import loose_ends, metrics, queries, subscribers, worker
        from apps.runbooks.operations.outcomes import EXECUTE_QUEUE, EXECUTE_TASK
        from apps.runbooks.operations.repairing import repair
        from apps.runbooks.panels import register_panels
        from apps.runbooks.timers import REVIEW_KIND

        register_subjects()
        register_sweeper(Sweeper("executions", EXECUTE_TASK, EXECUTE_QUEUE, worker.run_due, queries.executions_due))
        register_invariant(Invariant("executions at work can go on", repair))
        register_timer_kind(REVIEW_KIND)
        subscribers.register()
        metrics.register()
        register_panels()
        loose_ends.register()


def register_subjects() -> None:
    """How lower apps title, link and protect executions, runbooks and their versions."""
    from apps.foundation.subjects import SubjectKind, register_subject
    from apps.runbooks import queries

    register_subject(
        SubjectKind(
            kind=queries.EXECUTION,
            titles=queries.execution_titles,
            url=queries.execution_url,
            visible_keys=queries.visible_execution_keys,
        )
    )
    register_subject(
        SubjectKind(
            kind=queries.RUNBOOK,
            titles=queries.runbook_titles,
            url=queries.runbook_url,
            visible_keys=queries.visible_runbook_keys,
        )
    )
    register_subject(
        SubjectKind(
            kind=queries.VERSION,
            titles=queries.version_titles,
            url=queries.version_url,
            visible_keys=queries.visible_version_keys,
        )
    )
