from __future__ import annotations

from django.apps import AppConfig


class IncidentsConfig(AppConfig):
    """Incidents, who does what in them, their timelines and their live streams."""

    name = "apps.incidents"
    label = "incidents"
    verbose_name = "Respond"

    def ready(self) -> None:
        from apps.foundation.subjects import SubjectKind, register_subject
        from apps.incidents import (
            contacts,
            incident_types,
            permissions,
            policy,
            presses,
            queries,
            service_levels,
            subscribers,
        )
        from apps.paging.registry import register_authority
        from apps.policies.activation import register_open_incidents

        policy.register()
        incident_types.register()
        service_levels.register()
        contacts.register()
        register_open_incidents("incidents", queries.open_by_version)
        register_subject(
            SubjectKind(
                kind=queries.SUBJECT_KIND,
                titles=queries.titles,
                url=queries.url,
                visible_keys=queries.visible_keys,
            )
        )
        register_authority(queries.SUBJECT_KIND, permissions.may_respond_to)
        subscribers.register()
        presses.register()
