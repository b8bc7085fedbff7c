"""Integrations, over the API."""

from __future__ import annotations

from typing import Any

from django.db.models import QuerySet
from drf_spectacular.utils import OpenApiExample, extend_schema, extend_schema_field, extend_schema_serializer
from rest_framework import serializers
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from apps.alerts import operations
from apps.alerts.models import Integration
from apps.alerts.queries import address_for, visible_integrations
from apps.catalog.permissions import leads_any_team
from apps.people.api.serializers import InputSerializer
from apps.people.api.viewsets import PortalReadOnlyViewSet
from apps.people.permissions import require

LARGEST_ID = 2**63 - 1


class IntegrationSerializer(serializers.ModelSerializer[Integration]):
    """A source of alerts or changes."""

    team = serializers.IntegerField(source="team_id", read_only=True)
    service = serializers.IntegerField(source="service_id", read_only=True, allow_null=True)
    address = serializers.SerializerMethodField(
        help_text="where the source sends to; with the key only for those who may change the integration"
    )

    class Meta:
        model = Integration
        fields = ("id", "kind", "name", "team", "service", "state", "address", "created_at")
        read_only_fields = fields

    @extend_schema_field(serializers.CharField())
    def get_address(self, integration: Integration) -> str:
        return address_for(self.context["request"].user, integration)


@extend_schema_serializer(
    examples=[OpenApiExample("Alertmanager", value={"name": "Prometheus EU", "kind": "alertmanager", "team": 1})]
)
class IntegrationInput(InputSerializer):
    """A new source."""

    name = serializers.CharField(max_length=120)
    kind = serializers.ChoiceField(choices=Integration.Kind.choices)
    team = serializers.IntegerField(source="team_id", min_value=1, max_value=LARGEST_ID, help_text="a team's id")
    service = serializers.IntegerField(
        source="service_id",
        min_value=1,
        max_value=LARGEST_ID,
        required=False,
        allow_null=True,
        help_text="a service's id, for alerts whose labels name none",
    )


@extend_schema_serializer(examples=[OpenApiExample("Renamed", value={"name": "Prometheus EU (new)", "service": None})])
class IntegrationEdit(InputSerializer):
    """What can be changed by hand."""

    name = serializers.CharField(max_length=120, required=False)
    service = serializers.IntegerField(
        source="service_id", min_value=1, max_value=LARGEST_ID, required=False, allow_null=True
    )


class IntegrationViewSet(PortalReadOnlyViewSet):
    """Integrations. Managers change all; the lead of a team those of the team."""

    scope_area = "alerts"
    queryset = Integration.objects.all()
    serializer_class = IntegrationSerializer
    filterset_fields = ("kind", "state", "team", "service")
    # The operations ask for the permission, because the lead of a team needs none.
    action_permissions = dict.fromkeys(("create", "partial_update", "rotate_key", "pause", "resume", "revoke"))

    def visible(self, queryset: QuerySet[Any]) -> QuerySet[Any]:
        return visible_integrations(self.request.user)

    @extend_schema(request=IntegrationInput, responses={201: IntegrationSerializer})
    def create(self, request: Request) -> Response:
        """Make an integration; the answer has its address with the key."""
        if not leads_any_team(self.request.user):
            require(self.actor, "alerts.add_integration")
        given = self.inputs(IntegrationInput)
        made, _ = self.perform(operations.create_integration, given.pop("name"), given.pop("kind"), **given)
        return self.answer(made, status=201)

    @extend_schema(request=IntegrationEdit(partial=True), responses=IntegrationSerializer)
    def partial_update(self, request: Request, pk: str) -> Response:
        """Change the name or the service for alerts that name none."""
        row = self.get_object()
        self.expected_version(row)
        given = {"name": row.name, "service_id": row.service_id, **self.inputs(IntegrationEdit, partial=True)}
        return self.answer(self.perform(operations.update_integration, row.pk, **given))

    @extend_schema(request=None, responses=IntegrationSerializer)
    @action(detail=True, methods=["post"], url_path="rotate-key")
    def rotate_key(self, request: Request, pk: str) -> Response:
        """Give it a new key. The old one is refused within two seconds."""
        made, _ = self.perform(operations.rotate_key, self.get_object().pk)
        return self.answer(made)

    @extend_schema(request=None, responses=IntegrationSerializer)
    @action(detail=True, methods=["post"])
    def pause(self, request: Request, pk: str) -> Response:
        """Go on storing what arrives, but open and page nothing."""
        return self.answer(self.perform(operations.pause, self.get_object().pk))

    @extend_schema(request=None, responses=IntegrationSerializer)
    @action(detail=True, methods=["post"])
    def resume(self, request: Request, pk: str) -> Response:
        """Open and page again."""
        return self.answer(self.perform(operations.resume, self.get_object().pk))

    @extend_schema(request=None, responses=IntegrationSerializer)
    @action(detail=True, methods=["post"])
    def revoke(self, request: Request, pk: str) -> Response:
        """Refuse the key for ever."""
        return self.answer(self.perform(operations.revoke, self.get_object().pk))
