from __future__ import annotations

from django.apps import AppConfig


class PostmortemsConfig(AppConfig):
    """Reviews of incidents and the action items that come of them."""

    name = "apps.postmortems"
    label = "postmortems"
    verbose_name = "Learn"

    def ready(self) -> None:
        from apps.engine.registry import Invariant, register_invariant, register_timer_kind
        from apps.foundation.subjects import SubjectKind, register_subject
        from apps.messaging.registry import register_guard
        from apps.postmortems import digests, policy, queries, subscribers, texts, timers
        from apps.postmortems.panels import register_panels

        policy.register()
        register_subject(
            SubjectKind(
                kind=queries.REVIEW_SUBJECT,
                titles=queries.review_titles,
                url=queries.review_url,
                visible_keys=queries.visible_review_keys,
            )
        )
        register_subject(
            SubjectKind(
                kind=queries.ITEM_SUBJECT,
                titles=queries.item_titles,
                url=queries.item_url,
                visible_keys=queries.visible_item_keys,
            )
        )
        for kind in (*timers.KINDS, digests.KIND):
            register_timer_kind(kind)
        register_guard(texts.ITEM_GUARD, queries.current_item_runs)
        register_guard(texts.REVIEW_GUARD, queries.current_review_runs)
        register_invariant(Invariant("demanded reviews are open", subscribers.open_missing))
        subscribers.register()
        register_panels()
