"""Rotations and their shifts, over the API."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from django.db.models import QuerySet
from drf_spectacular.utils import OpenApiExample, OpenApiParameter, extend_schema, extend_schema_serializer
from rest_framework import serializers
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from apps.foundation.clock import now
from apps.foundation.errors import Invalid
from apps.oncall import operations
from apps.oncall.api.fields import instant_of, row_id
from apps.oncall.api.layers import LayerFields
from apps.oncall.models import Rotation
from apps.oncall.permissions import require_edit_somewhere
from apps.oncall.queries import shifts_of, visible_rotations, warnings_of
from apps.oncall.schedule import gaps
from apps.people.api.serializers import InputSerializer
from apps.people.api.viewsets import PortalReadOnlyViewSet
from apps.people.models import User

LONGEST_WINDOW = timedelta(days=400)
_DEFAULT_WINDOW = timedelta(days=28)


class RotationSerializer(serializers.ModelSerializer[Rotation]):
    """People who take turns, in one layer or several."""

    team = serializers.IntegerField(source="team_id", read_only=True)

    class Meta:
        model = Rotation
        fields: tuple[str, ...] = ("id", "slug", "name", "team", "swaps_need_approval")
        read_only_fields = fields


class MadeRotationSerializer(RotationSerializer):
    """A new rotation, and what is wrong with it so far."""

    warnings = serializers.SerializerMethodField()

    class Meta(RotationSerializer.Meta):
        fields = (*RotationSerializer.Meta.fields, "warnings")
        read_only_fields = fields

    def get_warnings(self, rotation: Rotation) -> list[str]:
        return warnings_of([rotation])[rotation.pk]


@extend_schema_serializer(
    examples=[
        OpenApiExample(
            "Weekly",
            value={
                "team": 1,
                "slug": "api-primary",
                "name": "API primary",
                "time_zone": "Europe/Berlin",
                "handoff_weekday": 0,
                "handoff_time": "09:00",
                "members": [3, 5],
            },
        ),
        OpenApiExample(
            "Monthly, in business hours",
            value={
                "team": 1,
                "slug": "managers",
                "name": "Managers",
                "cadence": "monthly",
                "handoff_day": 1,
                "restrictions": [{"weekdays": [0, 1, 2, 3, 4], "starts": "09:00", "ends": "17:00"}],
                "members": [3, 5],
            },
        ),
    ]
)
class RotationInput(LayerFields):
    """A new rotation with its first layer. Without `starts_on` it holds at once."""

    team = row_id(source="team_id")
    slug = serializers.RegexField(r"^[-a-zA-Z0-9_]+\Z", max_length=60)
    name = serializers.CharField(max_length=120)
    swaps_need_approval = serializers.BooleanField(required=False)
    members = serializers.ListField(
        child=row_id(), source="member_ids", required=False, max_length=200, help_text="accounts, in their order"
    )


@extend_schema_serializer(examples=[OpenApiExample("A better name", value={"name": "API, first line"})])
class RotationChangeInput(InputSerializer):
    """What may change in a rotation; its layers have addresses of their own."""

    name = serializers.CharField(max_length=120, required=False)
    swaps_need_approval = serializers.BooleanField(required=False)
    reason = serializers.CharField(max_length=200, required=False, allow_blank=True)


class ShiftSerializer(serializers.Serializer[Any]):
    """One shift, cut at the edges of the window."""

    user = serializers.IntegerField()
    name = serializers.CharField()
    starts_at = serializers.DateTimeField()
    ends_at = serializers.DateTimeField()
    override = serializers.IntegerField(allow_null=True, help_text="the override that makes it, if one does")
    replaces = serializers.IntegerField(allow_null=True, help_text="whom the override stands in for, if for one person")
    coverage = serializers.IntegerField(allow_null=True, help_text="the coverage that puts the person on besides")
    layer = serializers.IntegerField(allow_null=True, help_text="the layer whose turn it is, if it is one")
    reason = serializers.CharField(allow_blank=True)


class GapSerializer(serializers.Serializer[Any]):
    """A stretch in which nobody is on call."""

    starts_at = serializers.DateTimeField()
    ends_at = serializers.DateTimeField()


class ShiftsSerializer(serializers.Serializer[Any]):
    """Shifts and gaps fill the window together; shifts overlap where coverage puts people on besides."""

    shifts = ShiftSerializer(many=True)
    gaps = GapSerializer(many=True)


class WarningsSerializer(serializers.Serializer[Any]):
    """What makes pages reach nobody."""

    warnings = serializers.ListField(child=serializers.CharField())


class RotationViewSet(PortalReadOnlyViewSet):
    """Rotations. Managers edit all of them, leads those of their team."""

    scope_area = "oncall"
    action_permissions = {
        "create": None,
        "partial_update": None,
        "destroy": None,
        "shifts": "oncall.view_rotation",
        "warnings": "oncall.view_rotation",
    }
    queryset = Rotation.objects.all()
    serializer_class = RotationSerializer
    filterset_fields = ("team", "slug")

    def visible(self, queryset: QuerySet[Any]) -> QuerySet[Any]:
        return visible_rotations(self.request.user)

    @extend_schema(request=RotationInput, responses={201: MadeRotationSerializer})
    def create(self, request: Request) -> Response:
        """Make a rotation with one layer, its members in their order; the answer warns of what is missing."""
        require_edit_somewhere(self.actor, "oncall.add_rotation")
        made = self.perform(operations.create_rotation, **self.inputs(RotationInput))
        return self.answer(made, status=201, serializer_class=MadeRotationSerializer)

    @extend_schema(responses=WarningsSerializer)
    @action(detail=True, methods=["get"])
    def warnings(self, request: Request, pk: str) -> Response:
        """What makes pages reach nobody: layers without members, members without a verified contact point."""
        rotation = self.get_object()
        return Response({"warnings": warnings_of([rotation])[rotation.pk]})

    @extend_schema(request=RotationChangeInput, responses=RotationSerializer)
    def partial_update(self, request: Request, pk: str) -> Response:
        """Change what is named; the rest stays."""
        row = self.get_object()
        self.expected_version(row)
        return self.answer(self.perform(operations.update_rotation, row.pk, **self.inputs(RotationChangeInput)))

    def destroy(self, request: Request, pk: str) -> Response:
        """Delete a rotation that no role means."""
        row = self.get_object()
        self.expected_version(row)
        self.perform(operations.delete_rotation, row.pk)
        return Response(status=204)

    @extend_schema(
        parameters=[
            OpenApiParameter("start", datetime, description="an instant; now unless given"),
            OpenApiParameter("end", datetime, description="an instant; 28 days after the start unless given"),
        ],
        responses=ShiftsSerializer,
    )
    @action(detail=True, methods=["get"])
    def shifts(self, request: Request, pk: str) -> Response:
        """Who is on call when, in a window of at most 400 days, and where nobody is."""
        rotation = self.get_object()
        start = instant_of(request, "start") or now()
        end = instant_of(request, "end") or start + _DEFAULT_WINDOW
        if not start < end <= start + LONGEST_WINDOW:
            sentence = "`end` must be after `start`, by at most 400 days."
            raise Invalid(sentence, fields={"end": [sentence]})
        found = shifts_of(rotation.pk, start, end)
        names = {user.pk: user.name for user in User.objects.filter(pk__in={shift.user_id for shift in found})}
        data = {
            "shifts": [
                {
                    "user": shift.user_id,
                    "name": names.get(shift.user_id, ""),
                    "starts_at": shift.starts_at,
                    "ends_at": shift.ends_at,
                    "override": shift.cover_id,
                    "replaces": shift.replaces,
                    "coverage": shift.coverage_id,
                    "layer": shift.layer_id,
                    "reason": shift.reason,
                }
                for shift in found
            ],
            "gaps": [{"starts_at": begins, "ends_at": ends} for begins, ends in gaps(found, start, end)],
        }
        return Response(ShiftsSerializer(data).data)
