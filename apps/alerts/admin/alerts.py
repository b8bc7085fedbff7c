"""The list of alerts: what fires, since when, and in which incident."""

from __future__ import annotations

from typing import Any, ClassVar

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.template.loader import render_to_string
from django.utils.html import format_html
from django.utils.safestring import SafeString

from apps.alerts.models import Alert
from apps.alerts.queries import visible_alerts
from apps.incidents.queries import url
from apps.people.admin.base import PortalModelAdmin, ReadOnlyAdmin


@admin.register(Alert)
class AlertAdmin(ReadOnlyAdmin, PortalModelAdmin):
    """Alerts, as far as the reader may see their incidents."""

    list_display = (
        "state_column",
        "title",
        "severity",
        "service",
        "incident_column",
        "integration",
        "last_seen_at",
        "receipt_count",
    )
    list_display_links = ("title",)
    list_filter = ("state", "severity", "service", "integration")
    search_fields = ("title", "dedup_key", "service__name")
    list_select_related = ("service", "integration", "group__incident")
    date_hierarchy = None
    ordering = ("-last_seen_at", "-id")
    fields = (
        "title",
        "state_column",
        "severity",
        "service",
        "incident_column",
        "integration",
        "link_column",
        "dedup_key",
        "labels_column",
        "annotations_column",
        "starts_at",
        "fired_at",
        "last_seen_at",
        "resolved_at",
        "flapping_since",
        "is_suppressed",
        "receipt_count",
        "episode_count",
    )
    readonly_fields: ClassVar[Any] = fields

    def visible_to(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        return queryset.filter(pk__in=visible_alerts(request.user).order_by().values("pk"))

    @admin.display(description="State", ordering="state")
    def state_column(self, alert: Alert) -> SafeString:
        return render_to_string("alerts/_state.html", {"alert": alert})

    @admin.display(description="Incident")
    def incident_column(self, alert: Alert) -> SafeString | str:
        incident = alert.group.incident if alert.group is not None else None
        if incident is None:
            return "–"
        return format_html('<a href="{}">{}</a>', url(str(incident.pk)), incident.number)

    @admin.display(description="Link")
    def link_column(self, alert: Alert) -> SafeString | str:
        if not alert.link:
            return "–"
        return format_html('<a href="{0}" rel="noreferrer noopener">{0}</a>', alert.link)

    @admin.display(description="Labels")
    def labels_column(self, alert: Alert) -> SafeString:
        return render_to_string("alerts/_pairs.html", {"pairs": sorted(alert.labels.items())})

    @admin.display(description="Annotations")
    def annotations_column(self, alert: Alert) -> SafeString:
        return render_to_string("alerts/_pairs.html", {"pairs": sorted(alert.annotations.items())})
