from __future__ import annotations

from django.apps import AppConfig


class OncallConfig(AppConfig):
    """Rotations, overrides, and what the roles of packs mean."""

    name = "apps.oncall"
    label = "oncall"
    verbose_name = "Prepare"

    def ready(self) -> None:
        from apps.engine.registry import Sweeper, register_sweeper, register_timer_kind, subscribe
        from apps.foundation.subjects import SubjectKind, register_subject
        from apps.oncall import accounts, notices
        from apps.oncall.queries import rotation_titles, rotation_url, rotations, visible_rotation_keys

        register_subject(
            SubjectKind(kind="rotation", titles=rotation_titles, url=rotation_url, visible_keys=visible_rotation_keys)
        )
        register_subject(
            SubjectKind(
                kind="swap",
                titles=rotations.swap_titles,
                url=rotations.swap_url,
                visible_keys=rotations.visible_swap_keys,
            )
        )
        register_timer_kind(notices.KIND)
        subscribe(accounts.KINDS, accounts.SUBSCRIBER, accounts.follow_account)
        register_sweeper(Sweeper("shift reminders", notices.REMIND_TASK, "bulk", notices.remind, notices.reminders_due))
