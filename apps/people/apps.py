from __future__ import annotations

from django.apps import AppConfig


class PeopleConfig(AppConfig):
    """Accounts, groups, contact points, tokens, and the bases of every API and admin page."""

    name = "apps.people"
    label = "people"
    verbose_name = "Administer"

    def ready(self) -> None:
        from apps.engine.registry import Sweeper, register_sweeper
        from apps.foundation.subjects import SubjectKind, register_subject
        from apps.people.operations import forget_old_answers, has_old_answers
        from apps.people.queries import user_titles, user_url, visible_user_keys

        register_subject(SubjectKind(kind="user", titles=user_titles, url=user_url, visible_keys=visible_user_keys))
        register_sweeper(
            Sweeper(
                name="people.forget_answers",
                task="people.forget_answers",
                queue="bulk",
                run=forget_old_answers,
                due=has_old_answers,
            )
        )
