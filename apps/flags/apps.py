from __future__ import annotations

from django.apps import AppConfig


class FlagsConfig(AppConfig):
    """Kill switches that running systems ask for."""

    name = "apps.flags"
    label = "flags"
    verbose_name = "Respond"

    def ready(self) -> None:
        """Tell how flags are titled, linked and seen."""
        from apps.flags import queries
        from apps.foundation.subjects import SubjectKind, register_subject

        register_subject(SubjectKind(queries.FLAG, queries.flag_titles, queries.flag_url, queries.visible_flag_keys))
