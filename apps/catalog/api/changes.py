"""Changes, over the API: read, and record with POST."""

from __future__ import annotations

from typing import Any

import django_filters
from django.db.models import Q, QuerySet
from drf_spectacular.utils import OpenApiExample, extend_schema, extend_schema_serializer
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from apps.catalog import operations
from apps.catalog.models import Change, Environment
from apps.catalog.operations import NewChange
from apps.catalog.queries import visible_services
from apps.foundation.errors import Invalid
from apps.people.api.serializers import InputSerializer
from apps.people.api.viewsets import PortalReadOnlyViewSet

MOST_LABELS = 50
LONGEST_LABEL = 120


class ChangeSerializer(serializers.ModelSerializer[Change]):
    """A deployment or another change."""

    service = serializers.CharField(source="service.slug", read_only=True, allow_null=True, default=None)
    environment = serializers.CharField(source="environment.slug", read_only=True, allow_null=True, default=None)
    labels = serializers.DictField(child=serializers.CharField(), read_only=True)

    class Meta:
        model = Change
        fields = (
            "id",
            "kind",
            "title",
            "service",
            "environment",
            "version",
            "author",
            "link",
            "source",
            "dedup_key",
            "labels",
            "occurred_at",
            "received_at",
        )
        read_only_fields = fields


class LabelsField(serializers.DictField):
    """Names and texts; DRF itself would take a number for a text."""

    def to_internal_value(self, data: Any) -> Any:
        if isinstance(data, dict):
            if len(data) > MOST_LABELS:
                raise serializers.ValidationError(f"At most {MOST_LABELS} labels.")
            if any(not name or len(name) > LONGEST_LABEL for name in data):
                raise serializers.ValidationError(f"A label's name has 1 to {LONGEST_LABEL} characters.")
            if any(not isinstance(value, str) for value in data.values()):
                raise serializers.ValidationError("A label's value must be text.")
        return super().to_internal_value(data)


@extend_schema_serializer(
    examples=[
        OpenApiExample(
            "Deployment",
            value={
                "title": "API v2.3.1",
                "service": "api",
                "environment": "production",
                "version": "v2.3.1",
                "source": "ci",
                "dedup_key": "build-4711",
            },
        )
    ]
)
class ChangeInput(InputSerializer):
    """What was changed. With `dedup_key` it is recorded once per `source`, however often it is sent."""

    title = serializers.CharField(max_length=300)
    kind = serializers.ChoiceField(choices=Change.Kind.choices, required=False)
    service = serializers.CharField(max_length=60, required=False, help_text="the slug of a service")
    environment = serializers.CharField(max_length=40, required=False, help_text="the slug of an environment")
    version = serializers.CharField(max_length=120, required=False, allow_blank=True)
    author = serializers.CharField(max_length=120, required=False, allow_blank=True)
    link = serializers.URLField(max_length=500, required=False, allow_blank=True)
    source = serializers.CharField(  # type: ignore[assignment]  # DRF takes declared fields off the class
        max_length=120, required=False, allow_blank=True
    )
    dedup_key = serializers.CharField(max_length=200, required=False, allow_blank=True)
    labels = LabelsField(child=serializers.CharField(max_length=500, allow_blank=True), required=False)
    occurred_at = serializers.DateTimeField(required=False)


class ChangeFilter(django_filters.FilterSet):
    """By service, kind, source and time."""

    service = django_filters.CharFilter(field_name="service__slug", label="the slug of a service")
    since = django_filters.IsoDateTimeFilter(field_name="occurred_at", lookup_expr="gte", label="from this instant on")

    class Meta:
        model = Change
        fields = ("service", "kind", "source", "since")


class ChangeViewSet(PortalReadOnlyViewSet):
    """What changed, newest first."""

    scope_area = "changes"
    queryset = Change.objects.select_related("service", "environment")
    serializer_class = ChangeSerializer
    filterset_class = ChangeFilter
    ordering = ("-occurred_at", "-id")

    def visible(self, queryset: QuerySet[Any]) -> QuerySet[Any]:
        shown = visible_services(self.request.user).values("pk")
        return queryset.filter(Q(service__isnull=True) | Q(service__in=shown))

    @extend_schema(request=ChangeInput, responses={201: ChangeSerializer})
    def create(self, request: Request) -> Response:
        """Record a change. The same `source` and `dedup_key` again returns the recorded one."""
        given = self.inputs(ChangeInput)
        service = self._service_id(given.pop("service", ""))
        environment = _environment_id(given.pop("environment", ""))
        change = NewChange(service_id=service, environment_id=environment, **given)
        change_id = self.perform(operations.record_change, change)
        return self.answer(Change.objects.select_related("service", "environment").get(pk=change_id), status=201)

    def _service_id(self, slug: str) -> int | None:
        if not slug:
            return None
        found = visible_services(self.request.user).filter(slug=slug).values_list("pk", flat=True).first()
        if found is None:
            message = f"There is no service {slug!r}."
            raise Invalid(message, fields={"service": [message]})
        return found


def _environment_id(slug: str) -> int | None:
    if not slug:
        return None
    found = Environment.objects.filter(slug=slug).values_list("pk", flat=True).first()
    if found is None:
        message = f"There is no environment {slug!r}."
        raise Invalid(message, fields={"environment": [message]})
    return found
