from django.apps import AppConfig


class CatalogConfig(AppConfig):
    name = "apps.catalog"
    label = "catalog"
    verbose_name = "Prepare"

    def ready(self) -> None:
        """Tell how teams and services are titled, linked and seen, and which packs they follow."""
        from apps.catalog import queries
        from apps.foundation.subjects import SubjectKind, register_subject
        from apps.policies.activation import register_followers

        register_subject(SubjectKind(queries.TEAM, queries.team_titles, queries.team_url, queries.visible_team_keys))
        register_subject(
            SubjectKind(queries.SERVICE, queries.service_titles, queries.service_url, queries.visible_service_keys)
        )
        register_followers("catalog", queries.followers_of)
