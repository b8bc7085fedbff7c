"""Integrations, over the API."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any

from django.db.models import QuerySet
from drf_spectacular.utils import OpenApiExample, extend_schema, extend_schema_field, extend_schema_serializer
from rest_framework import serializers
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from apps.alerts import operations
from apps.alerts.mapping import FIELDS as MAPPED
from apps.alerts.mapping import MAX_EXPRESSION
from apps.alerts.models import Integration
from apps.alerts.operations import Settings
from apps.alerts.operations.integrations import MAX_OVERLAP_SECONDS
from apps.alerts.policy import FIELDS
from apps.alerts.queries import address_for, key_for, load_of, visible_integrations
from apps.catalog.permissions import leads_any_team, require_team_editor
from apps.people.api.serializers import InputSerializer
from apps.people.api.viewsets import PortalReadOnlyViewSet
from apps.people.permissions import require
from apps.policies.durations import LONGEST_SECONDS

LARGEST_ID = 2**63 - 1
MAX_SAMPLE = 200_000


class IntegrationSerializer(serializers.ModelSerializer[Integration]):
    """A source of alerts or changes."""

    team = serializers.IntegerField(source="team_id", read_only=True)
    service = serializers.IntegerField(source="service_id", read_only=True, allow_null=True)
    address = serializers.SerializerMethodField(
        help_text="where the source sends to; with the key only for those who may change the integration"
    )

    routing_key = serializers.SerializerMethodField(
        help_text="the key alone, as PagerDuty's clients want it; empty for those who may not change the integration"
    )
    mapping = serializers.DictField(
        child=serializers.CharField(), read_only=True, help_text="JMESPath expressions by field; see try-mapping"
    )
    group_by = serializers.ListField(child=serializers.CharField(), read_only=True)
    heartbeat_state = serializers.CharField(
        source="heartbeat.state", read_only=True, allow_null=True, default=None, help_text="waiting, beating or missing"
    )
    last_beat_at = serializers.DateTimeField(
        source="heartbeat.last_beat_at", read_only=True, allow_null=True, default=None
    )

    class Meta:
        model = Integration
        fields = (
            "id",
            "kind",
            "name",
            "team",
            "service",
            "state",
            "address",
            "routing_key",
            "previous_key_until",
            "mapping",
            "rate_per_minute",
            "group_by",
            "group_window_seconds",
            "group_max_alerts",
            "interval_seconds",
            "grace_seconds",
            "heartbeat_state",
            "last_beat_at",
            "created_at",
        )
        read_only_fields = fields

    @extend_schema_field(serializers.CharField())
    def get_routing_key(self, integration: Integration) -> str:
        return key_for(self.context["request"].user, integration)

    @extend_schema_field(serializers.CharField())
    def get_address(self, integration: Integration) -> str:
        return address_for(self.context["request"].user, integration)


class SettingsInput(InputSerializer):
    """Limits and groups; null leaves it to the pack or to the portal."""

    rate_per_minute = serializers.IntegerField(
        min_value=0,
        max_value=10_000_000,
        required=False,
        allow_null=True,
        help_text="requests in a minute; 0: no limit",
    )
    group_by = serializers.ListField(
        child=serializers.CharField(max_length=120),
        max_length=10,
        required=False,
        help_text=f"labels, and of the fields {', '.join(FIELDS)}; empty: as the pack says",
    )
    group_window_seconds = serializers.IntegerField(
        min_value=1, max_value=LONGEST_SECONDS, required=False, allow_null=True
    )
    group_max_alerts = serializers.IntegerField(min_value=1, max_value=100_000, required=False, allow_null=True)
    interval_seconds = serializers.IntegerField(
        min_value=5, max_value=LONGEST_SECONDS, required=False, allow_null=True, help_text="of a heartbeat"
    )
    grace_seconds = serializers.IntegerField(
        min_value=0, max_value=LONGEST_SECONDS, required=False, allow_null=True, help_text="of a heartbeat"
    )


def _settings(given: dict[str, Any], before: Settings) -> Settings:
    """Take the settings out of what was given; what was not stays."""
    return replace(before, **{field.name: given.pop(field.name) for field in fields(Settings) if field.name in given})


class MappingInput(InputSerializer):
    """JMESPath expressions by the field of an alert that they find; none: the portal's own format."""

    mapping = serializers.DictField(
        child=serializers.CharField(max_length=MAX_EXPRESSION, allow_blank=True),
        help_text=f"of {', '.join(MAPPED)}",
    )


class SampleInput(MappingInput):
    """The same, and a payload to try them on."""

    sample = serializers.CharField(max_length=MAX_SAMPLE, help_text="JSON as text, as the sender posts it")


class RotateInput(InputSerializer):
    """How long the old key goes on."""

    overlap_seconds = serializers.IntegerField(min_value=0, max_value=MAX_OVERLAP_SECONDS, default=0)


class MappedAlertSerializer(serializers.Serializer[Any]):
    """What a mapping makes of one alert in a payload."""

    status = serializers.CharField(read_only=True)
    title = serializers.CharField(read_only=True)
    dedup_key = serializers.CharField(read_only=True)
    severity = serializers.CharField(read_only=True)
    service = serializers.CharField(read_only=True)
    link = serializers.CharField(read_only=True)
    occurred_at = serializers.DateTimeField(source="starts_at", read_only=True, allow_null=True)
    labels = serializers.DictField(child=serializers.CharField(), read_only=True)
    annotations = serializers.DictField(child=serializers.CharField(), read_only=True)


class LoadSerializer(serializers.Serializer[Any]):
    """How many requests an integration sent lately."""

    limit = serializers.IntegerField(read_only=True, help_text="requests in a minute; 0: no limit")
    this_minute = serializers.IntegerField(read_only=True)
    taken = serializers.IntegerField(read_only=True, help_text="in the last hour")
    refused = serializers.IntegerField(read_only=True, help_text="in the last hour, with 429")
    refused_at = serializers.DateTimeField(read_only=True, allow_null=True, help_text="the last minute with a refusal")


@extend_schema_serializer(
    examples=[OpenApiExample("Alertmanager", value={"name": "Prometheus EU", "kind": "alertmanager", "team": 1})]
)
class IntegrationInput(SettingsInput):
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
class IntegrationEdit(SettingsInput):
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
    action_permissions = dict.fromkeys(
        ("create", "partial_update", "rotate_key", "pause", "resume", "revoke", "set_mapping", "try_mapping")
    )

    def visible(self, queryset: QuerySet[Any]) -> QuerySet[Any]:
        return visible_integrations(self.request.user)

    def _editable(self) -> None:
        """Raise Forbidden for who can't change this integration, before the body is looked at."""
        require_team_editor(self.actor, self.get_object().team, "alerts.change_integration")

    @extend_schema(request=IntegrationInput, responses={201: IntegrationSerializer})
    def create(self, request: Request) -> Response:
        """Make an integration; the answer has its address with the key."""
        if not leads_any_team(self.request.user):
            require(self.actor, "alerts.add_integration")
        given = self.inputs(IntegrationInput)
        given["settings"] = _settings(given, Settings())
        made, _ = self.perform(operations.create_integration, given.pop("name"), given.pop("kind"), **given)
        return self.answer(made, status=201)

    @extend_schema(request=IntegrationEdit(partial=True), responses=IntegrationSerializer)
    def partial_update(self, request: Request, pk: str) -> Response:
        """Change the name, the service for alerts that name none, limits and groups."""
        row = self.get_object()
        self.expected_version(row)
        given = {"name": row.name, "service_id": row.service_id, **self.inputs(IntegrationEdit, partial=True)}
        given["settings"] = _settings(given, operations.settings_of(row))
        return self.answer(self.perform(operations.update_integration, row.pk, **given))

    @extend_schema(request=MappingInput, responses=IntegrationSerializer)
    @action(detail=True, methods=["put"], url_path="mapping")
    def set_mapping(self, request: Request, pk: str) -> Response:
        """Read what a generic integration sends by these expressions, from now on."""
        self._editable()
        given = self.inputs(MappingInput)
        return self.answer(self.perform(operations.set_mapping, self.get_object().pk, given["mapping"]))

    @extend_schema(request=SampleInput, responses=MappedAlertSerializer(many=True))
    @action(detail=True, methods=["post"], url_path="try-mapping", pagination_class=None, filterset_fields=())
    def try_mapping(self, request: Request, pk: str) -> Response:
        """What a mapping would make of a sample; nothing is kept."""
        self._editable()
        given = self.inputs(SampleInput)
        found = self.perform(operations.try_mapping, self.get_object().pk, given["mapping"], given["sample"])
        return Response(MappedAlertSerializer(found, many=True).data)

    @extend_schema(responses=LoadSerializer)
    @action(detail=True, methods=["get"])
    def load(self, request: Request, pk: str) -> Response:
        """How many of its requests were taken and refused lately."""
        return Response(LoadSerializer(load_of(self.get_object())).data)

    @extend_schema(request=RotateInput, responses=IntegrationSerializer)
    @action(detail=True, methods=["post"], url_path="rotate-key")
    def rotate_key(self, request: Request, pk: str) -> Response:
        """Give it a new key. The old one goes on for `overlap_seconds`, or is refused within two seconds."""
        # A body is optional, and clients without one name any content type.
        given = self.inputs(RotateInput) if request.content_type == "application/json" else {}
        made, _ = self.perform(operations.rotate_key, self.get_object().pk, **given)
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
