"""Alerts and their groups, over the API: read only, for sources write through intake."""

from __future__ import annotations

from typing import Any

import django_filters
from django.db.models import QuerySet
from rest_framework import serializers

from apps.alerts.models import Alert, AlertGroup
from apps.alerts.queries import visible_alerts, visible_groups
from apps.people.api.viewsets import PortalReadOnlyViewSet


class AlertSerializer(serializers.ModelSerializer[Alert]):
    """One dedup key of one integration, as it is now."""

    integration = serializers.IntegerField(source="integration_id", read_only=True)
    service = serializers.CharField(source="service.slug", read_only=True, allow_null=True, default=None)
    group = serializers.IntegerField(source="group_id", read_only=True, allow_null=True)
    incident = serializers.IntegerField(source="group.incident_id", read_only=True, allow_null=True, default=None)
    labels = serializers.DictField(child=serializers.CharField(), read_only=True)
    annotations = serializers.DictField(child=serializers.CharField(), read_only=True)

    class Meta:
        model = Alert
        fields = (
            "id",
            "integration",
            "dedup_key",
            "state",
            "title",
            "severity",
            "service",
            "group",
            "incident",
            "labels",
            "annotations",
            "link",
            "starts_at",
            "fired_at",
            "last_seen_at",
            "resolved_at",
            "flapping_since",
            "is_suppressed",
            "receipt_count",
            "episode_count",
        )
        read_only_fields = fields


class AlertFilter(django_filters.FilterSet):
    """By state, severity, service, integration, group, incident and time."""

    service = django_filters.CharFilter(field_name="service__slug", label="the slug of a service")
    incident = django_filters.NumberFilter(
        field_name="group__incident_id", min_value=1, max_value=2**63 - 1, label="an incident's id"
    )
    since = django_filters.IsoDateTimeFilter(
        field_name="last_seen_at", lookup_expr="gte", label="seen from this instant on"
    )

    class Meta:
        model = Alert
        fields = ("state", "severity", "service", "integration", "group", "incident", "dedup_key", "since")


class AlertViewSet(PortalReadOnlyViewSet):
    """Alerts, the newest first."""

    scope_area = "alerts"
    queryset = Alert.objects.all()
    serializer_class = AlertSerializer
    filterset_class = AlertFilter
    ordering = ("-last_seen_at", "-id")

    def visible(self, queryset: QuerySet[Any]) -> QuerySet[Any]:
        return visible_alerts(self.request.user)


class AlertGroupSerializer(serializers.ModelSerializer[AlertGroup]):
    """Alerts that belong together, and the incident they opened."""

    integration = serializers.IntegerField(source="integration_id", read_only=True)
    incident = serializers.IntegerField(source="incident_id", read_only=True, allow_null=True)
    alert_count = serializers.IntegerField(read_only=True)
    firing_count = serializers.IntegerField(read_only=True)

    class Meta:
        model = AlertGroup
        fields = (
            "id",
            "integration",
            "group_key",
            "state",
            "incident",
            "opened_at",
            "closed_at",
            "alert_count",
            "firing_count",
        )
        read_only_fields = fields


class AlertGroupViewSet(PortalReadOnlyViewSet):
    """Groups of alerts, the newest first."""

    scope_area = "alerts"
    queryset = AlertGroup.objects.all()
    serializer_class = AlertGroupSerializer
    filterset_fields = ("state", "integration", "incident", "group_key")

    def visible(self, queryset: QuerySet[Any]) -> QuerySet[Any]:
        return visible_groups(self.request.user)
