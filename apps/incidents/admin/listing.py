"""The columns of the incident list."""

from __future__ import annotations

from typing import Any, cast

from django.contrib import admin
from django.template.loader import render_to_string
from django.utils.html import format_html
from django.utils.safestring import SafeString

from apps.foundation.clock import now
from apps.incidents.admin.showing import ago_text, chip_of, span_text
from apps.incidents.models import Incident, RoleAssignment
from apps.incidents.policy import lifecycle, roles
from apps.incidents.queries import url


class ListColumns:
    """Mixed into the ModelAdmin; every column reads only what its queryset has loaded."""

    @admin.display(description="Severity", ordering="severity_rank")
    def severity_column(self, incident: Incident) -> SafeString:
        return render_to_string("incidents/_severity.html", {"chip": chip_of(incident)})

    @admin.display(description="Incident", ordering="number")
    def title_column(self, incident: Incident) -> SafeString:
        return render_to_string(
            "incidents/_list_title.html",
            {
                "url": url(str(incident.pk)),
                "number": incident.number,
                "title": incident.title,
                "is_private": incident.visibility == Incident.Visibility.PRIVATE,
                "is_drill": incident.kind == Incident.Kind.DRILL,
            },
        )

    @admin.display(description="Phase", ordering="phase")
    def phase_column(self, incident: Incident) -> SafeString:
        label = lifecycle(incident.policy_version_id).labels[incident.phase]
        if incident.is_open and incident.acknowledged_at is None:
            return format_html('{} <br><span class="ip-danger">nobody acknowledged</span>', label)
        return format_html("{}", label)

    @admin.display(description="Commander")
    def commander_column(self, incident: Incident) -> str:
        slug = roles(incident.policy_version_id).commander.slug
        held = cast("list[RoleAssignment]", cast("Any", incident).held_roles)
        return next((row.user.name for row in held if row.role == slug), "–")

    @admin.display(description="Since", ordering="detected_at")
    def since_column(self, incident: Incident) -> SafeString:
        if incident.resolved_at is not None:
            text = f"lasted {span_text((incident.resolved_at - incident.detected_at).total_seconds())}"
        else:
            text = ago_text(now() - incident.detected_at)
        at = f"{incident.detected_at:%Y-%m-%d %H:%M} UTC"
        return format_html('<time datetime="{}" title="{}">{}</time>', incident.detected_at.isoformat(), at, text)
