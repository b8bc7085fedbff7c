"""Layers and the places of people in them, over the API."""

from __future__ import annotations

from datetime import time

from drf_spectacular.utils import OpenApiExample, extend_schema, extend_schema_serializer
from rest_framework import serializers
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from apps.oncall import operations
from apps.oncall.api.fields import RestrictionField, WallClockField, row_id
from apps.oncall.models import Layer, RotationMember
from apps.oncall.permissions import require_edit_somewhere
from apps.oncall.queries import warnings_of
from apps.people.api.serializers import InputSerializer
from apps.people.api.viewsets import PortalReadOnlyViewSet


class LayerSerializer(serializers.ModelSerializer[Layer]):
    """One order of people, with a cadence, a zone, restrictions and holidays of its own."""

    rotation = serializers.IntegerField(source="rotation_id", read_only=True)
    handoff_time = WallClockField(read_only=True)
    restrictions = RestrictionField(many=True, read_only=True)
    holiday_calendar = serializers.IntegerField(source="holiday_calendar_id", read_only=True, allow_null=True)

    class Meta:
        model = Layer
        fields = (
            "id",
            "rotation",
            "name",
            "priority",
            "cadence",
            "every",
            "time_zone",
            "handoff_weekday",
            "handoff_day",
            "handoff_time",
            "starts_on",
            "restrictions",
            "holiday_calendar",
            "holiday_rule",
        )
        read_only_fields = fields


class LayerFields(InputSerializer):
    """When a layer hands over, and when it works at all."""

    cadence = serializers.ChoiceField(choices=Layer.Cadence.choices, required=False)
    every = serializers.IntegerField(
        min_value=1, max_value=1000, required=False, help_text="2 with weekly: every other week"
    )
    time_zone = serializers.CharField(max_length=64, required=False, help_text="IANA name, for example Europe/Berlin")
    handoff_weekday = serializers.IntegerField(
        min_value=0, max_value=6, required=False, help_text="of weekly layers; 0 is Monday, 6 is Sunday"
    )
    handoff_day = serializers.IntegerField(
        min_value=1, max_value=31, required=False, help_text="of monthly layers; in shorter months the last day"
    )
    handoff_time = WallClockField(required=False, help_text="wall-clock time in the layer's zone")
    starts_on = serializers.DateField(required=False, help_text="the first handoff is on or after this day")
    restrictions = RestrictionField(many=True, required=False, help_text="empty: the layer always works")
    holiday_calendar = row_id(source="holiday_calendar_id", required=False, allow_null=True)
    holiday_rule = serializers.ChoiceField(choices=Layer.HolidayRule.choices, required=False)

    def validate_handoff_time(self, value: str) -> time:
        return time.fromisoformat(value)


class LayerChangeInput(LayerFields):
    """What may change in a layer."""

    name = serializers.CharField(max_length=60, required=False)
    priority = serializers.IntegerField(min_value=0, max_value=32767, required=False)
    reason = serializers.CharField(max_length=200, required=False, allow_blank=True)


@extend_schema_serializer(
    examples=[
        OpenApiExample(
            "Nights from Sydney",
            value={
                "rotation": 1,
                "name": "Sydney",
                "cadence": "daily",
                "time_zone": "Australia/Sydney",
                "restrictions": [{"weekdays": [0, 1, 2, 3, 4, 5, 6], "starts": "09:00", "ends": "17:00"}],
                "members": [3, 5],
            },
        )
    ]
)
class LayerInput(LayerFields):
    """A new layer. It wins over the others unless `priority` says otherwise."""

    rotation = row_id(source="rotation_id")
    name = serializers.CharField(max_length=60)
    priority = serializers.IntegerField(min_value=0, max_value=32767, required=False)
    members = serializers.ListField(
        child=row_id(), source="member_ids", required=False, max_length=200, help_text="accounts, in their order"
    )


class MemberSerializer(serializers.ModelSerializer[RotationMember]):
    """A person's place in the order of a layer."""

    layer = serializers.IntegerField(source="layer_id", read_only=True)
    user = serializers.IntegerField(source="user_id", read_only=True)

    class Meta:
        model = RotationMember
        fields: tuple[str, ...] = ("id", "layer", "user", "position", "effective_from", "effective_until")
        read_only_fields = fields


class MadeMemberSerializer(MemberSerializer):
    """A new place, and what is wrong with the rotation so far."""

    warnings = serializers.SerializerMethodField()

    class Meta(MemberSerializer.Meta):
        fields = (*MemberSerializer.Meta.fields, "warnings")
        read_only_fields = fields

    def get_warnings(self, member: RotationMember) -> list[str]:
        rotation = member.layer.rotation
        return warnings_of([rotation])[rotation.pk]


@extend_schema_serializer(examples=[OpenApiExample("Last in the order", value={"layer": 1, "user": 3})])
class MemberInput(InputSerializer):
    """A new place. Without `position` it is the last, without `effective_from` it holds at once."""

    layer = row_id(source="layer_id")
    user = row_id(source="user_id")
    position = serializers.IntegerField(min_value=0, max_value=32767, required=False)
    effective_from = serializers.DateTimeField(required=False)


@extend_schema_serializer(examples=[OpenApiExample("From the next handoff on", value={"members": [5, 3, 9]})])
class MembersInput(InputSerializer):
    """Who takes turns, in their order; from the next handoff on, or from `effective_from`."""

    members = serializers.ListField(child=row_id(), source="user_ids", max_length=200)
    effective_from = serializers.DateTimeField(required=False)
    reason = serializers.CharField(max_length=200, required=False, allow_blank=True)


@extend_schema_serializer(examples=[OpenApiExample("Now", value={"reason": "left the team"})])
class EndInput(InputSerializer):
    """When a place ends; now unless said otherwise."""

    effective_until = serializers.DateTimeField(required=False)
    reason = serializers.CharField(max_length=200, required=False, allow_blank=True)


class LayerViewSet(PortalReadOnlyViewSet):
    """Layers of rotations. Managers edit all of them, leads those of their team."""

    scope_area = "oncall"
    action_permissions = {"create": None, "partial_update": None, "destroy": None, "members": None}
    queryset = Layer.objects.all()
    serializer_class = LayerSerializer
    filterset_fields = ("rotation",)

    @extend_schema(request=LayerInput, responses={201: LayerSerializer})
    def create(self, request: Request) -> Response:
        """Add a layer, with its members in their order."""
        require_edit_somewhere(self.actor, "oncall.add_layer")
        return self.answer(self.perform(operations.add_layer, **self.inputs(LayerInput)), status=201)

    @extend_schema(request=LayerChangeInput, responses=LayerSerializer)
    def partial_update(self, request: Request, pk: str) -> Response:
        """Change what is named; the rest stays."""
        row = self.get_object()
        self.expected_version(row)
        return self.answer(self.perform(operations.update_layer, row.pk, **self.inputs(LayerChangeInput)))

    def destroy(self, request: Request, pk: str) -> Response:
        """Delete a layer that is not the last of its rotation."""
        row = self.get_object()
        self.expected_version(row)
        self.perform(operations.delete_layer, row.pk)
        return Response(status=204)

    @extend_schema(request=MembersInput, responses=MemberSerializer(many=True))
    @action(detail=True, methods=["post"])
    def members(self, request: Request, pk: str) -> Response:
        """Say who takes turns, the first of them first, from the next handoff on. The same again changes nothing."""
        require_edit_somewhere(self.actor, "oncall.change_rotationmember")
        row = self.get_object()
        self.expected_version(row)
        found = self.perform(operations.set_members, row.pk, **self.inputs(MembersInput))
        return Response(MemberSerializer(found, many=True).data)


class MemberViewSet(PortalReadOnlyViewSet):
    """Places in rotations."""

    scope_area = "oncall"
    action_permissions = {"create": None, "end": None}
    queryset = RotationMember.objects.all()
    serializer_class = MemberSerializer
    filterset_fields = ("layer", "layer__rotation", "user")

    @extend_schema(request=MemberInput, responses={201: MadeMemberSerializer})
    def create(self, request: Request) -> Response:
        """Give a person a place; somebody who has one keeps it. The answer warns of whom pages can't reach."""
        require_edit_somewhere(self.actor, "oncall.add_rotationmember")
        made = self.perform(operations.add_member, **self.inputs(MemberInput))
        return self.answer(made, status=201, serializer_class=MadeMemberSerializer)

    @extend_schema(request=EndInput, responses={200: MemberSerializer, 204: None})
    @action(detail=True, methods=["post"])
    def end(self, request: Request, pk: str) -> Response:
        """End a place; its person's duty goes to the next. 204 when it had not begun yet and is gone."""
        self.expected_version(self.get_object())
        member = self.perform(operations.end_member, int(pk), **self.inputs(EndInput))
        return self.answer(member) if member else Response(status=204)
