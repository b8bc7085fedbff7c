from __future__ import annotations

from django.apps import AppConfig


class StateConfig(AppConfig):
    """Configuration documents and entities: versions, snapshots, backups and diffs."""

    name = "apps.state"
    label = "state"
    verbose_name = "Prepare"

    def ready(self) -> None:
        from apps.engine.registry import Sweeper, register_sweeper
        from apps.foundation.subjects import SubjectKind, register_subject
        from apps.state import queries
        from apps.state.entities import queries as entities
        from apps.state.entities.operations import taking, working
        from apps.state.operations import capturing

        register_subject(
            SubjectKind(
                kind=queries.SUBJECT_KIND, titles=queries.titles, url=queries.url, visible_keys=queries.visible_keys
            )
        )
        register_sweeper(
            Sweeper(
                "captures", capturing.CAPTURE_TASK, capturing.CAPTURE_QUEUE, capturing.capture_due, queries.captures_due
            )
        )
        register_subject(
            SubjectKind(
                kind=entities.SUBJECT_KIND,
                titles=entities.titles,
                url=entities.url,
                visible_keys=entities.visible_keys,
            )
        )
        register_sweeper(Sweeper("entities", taking.TASK, taking.QUEUE, working.run_due, entities.work_due))
