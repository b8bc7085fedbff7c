from django.apps import AppConfig


class PoliciesConfig(AppConfig):
    name = "apps.policies"
    label = "policies"
    verbose_name = "Prepare"

    def ready(self) -> None:
        """Tell how packs are titled, linked and seen; anybody who may see packs sees all of them."""
        from apps.foundation.subjects import SubjectKind, register_subject
        from apps.policies import operations, queries

        register_subject(
            SubjectKind(operations.SUBJECT_KIND, queries.pack_titles, queries.pack_url, queries.visible_pack_keys)
        )
