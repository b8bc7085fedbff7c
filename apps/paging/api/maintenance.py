"""Maintenance windows over the API: when nobody is paged."""

from __future__ import annotations

from typing import Any

from django.db.models import QuerySet
from drf_spectacular.utils import OpenApiExample, extend_schema, extend_schema_serializer
from rest_framework import serializers
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from apps.oncall.api.fields import row_id
from apps.oncall.permissions import require_edit_somewhere
from apps.paging import operations
from apps.paging.models import MaintenanceWindow
from apps.paging.operations.maintaining import ADD
from apps.paging.queries import visible_windows
from apps.people.api.serializers import InputSerializer
from apps.people.api.viewsets import PortalReadOnlyViewSet


class MaintenanceWindowSerializer(serializers.ModelSerializer[MaintenanceWindow]):
    """Of a team, of a service, or, with neither, of everything; from `starts_at` until before `ends_at`."""

    team = serializers.IntegerField(source="team_id", read_only=True, allow_null=True)
    service = serializers.IntegerField(source="service_id", read_only=True, allow_null=True)
    created_by = serializers.IntegerField(source="created_by_id", read_only=True, allow_null=True)

    class Meta:
        model = MaintenanceWindow
        fields = ("id", "team", "service", "starts_at", "ends_at", "reason", "created_by", "created_at")
        read_only_fields = fields


@extend_schema_serializer(
    examples=[
        OpenApiExample(
            "A database upgrade",
            value={
                "service": 7,
                "starts_at": "2026-05-02T02:00:00Z",
                "ends_at": "2026-05-02T04:00:00Z",
                "reason": "PostgreSQL upgrade",
            },
        )
    ]
)
class MaintenanceWindowInput(InputSerializer):
    """When nobody is to be paged, and why."""

    team = row_id(source="team_id", required=False, allow_null=True)
    service = row_id(source="service_id", required=False, allow_null=True)
    starts_at = serializers.DateTimeField()
    ends_at = serializers.DateTimeField()
    reason = serializers.CharField(max_length=200)


@extend_schema_serializer(examples=[OpenApiExample("Now", value={})])
class MaintenanceEndInput(InputSerializer):
    """The new end; without it now."""

    ends_at = serializers.DateTimeField(required=False, allow_null=True)
    reason = serializers.CharField(max_length=200, required=False, allow_blank=True)


class MaintenanceWindowViewSet(PortalReadOnlyViewSet):
    """When nobody is paged: what opens in a window is stored and shown, and pages at its end if it is still open."""

    scope_area = "incidents"
    action_permissions = {"create": None, "end": None}
    queryset = MaintenanceWindow.objects.all()
    serializer_class = MaintenanceWindowSerializer
    filterset_fields = ("team", "service")

    def visible(self, queryset: QuerySet[Any]) -> QuerySet[Any]:
        return visible_windows(self.request.user)

    @extend_schema(request=MaintenanceWindowInput, responses={201: MaintenanceWindowSerializer})
    def create(self, request: Request) -> Response:
        """Plan a window."""
        require_edit_somewhere(self.actor, ADD)
        return self.answer(self.perform(operations.plan_maintenance, **self.inputs(MaintenanceWindowInput)), status=201)

    @extend_schema(request=MaintenanceEndInput, responses=MaintenanceWindowSerializer)
    @action(detail=True, methods=["post"])
    def end(self, request: Request, pk: str) -> Response:
        """Move the end of a window; without `ends_at` it ends now."""
        self.expected_version(self.get_object())
        return self.answer(self.perform(operations.move_maintenance_end, int(pk), **self.inputs(MaintenanceEndInput)))
