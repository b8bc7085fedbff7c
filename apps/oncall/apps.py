from __future__ import annotations

from django.apps import AppConfig


class OncallConfig(AppConfig):
    """Rotations, overrides, and what the roles of packs mean."""

    name = "apps.oncall"
    label = "oncall"
    verbose_name = "Prepare"

    def ready(self) -> None:
        from apps.foundation.subjects import SubjectKind, register_subject
        from apps.oncall.queries import rotation_titles, rotation_url, visible_rotation_keys

        register_subject(
            SubjectKind(kind="rotation", titles=rotation_titles, url=rotation_url, visible_keys=visible_rotation_keys)
        )
