"""Rotations, their members and their shifts, over the API."""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta
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
from apps.oncall.api.fields import WallClockField, row_id
from apps.oncall.models import Rotation, RotationMember
from apps.oncall.permissions import require_edit_somewhere
from apps.oncall.queries import shifts_of, visible_rotations
from apps.oncall.schedule import gaps
from apps.people.api.serializers import InputSerializer
from apps.people.api.viewsets import PortalReadOnlyViewSet
from apps.people.models import User

LONGEST_WINDOW = timedelta(days=400)
_DEFAULT_WINDOW = timedelta(days=28)


class RotationSerializer(serializers.ModelSerializer[Rotation]):
    """People who take turns."""

    team = serializers.IntegerField(source="team_id", read_only=True)

    class Meta:
        model = Rotation
        fields = (
            "id",
            "slug",
            "name",
            "team",
            "swaps_need_approval",
        )
        read_only_fields = fields


class HandoffInput(InputSerializer):
    """What may change in a rotation."""

    name = serializers.CharField(max_length=120, required=False)
    time_zone = serializers.CharField(max_length=64, required=False, help_text="IANA name, for example Europe/Berlin")
    handoff_weekday = serializers.IntegerField(
        min_value=0, max_value=6, required=False, help_text="0 is Monday, 6 is Sunday"
    )
    handoff_time = WallClockField(required=False, help_text="wall-clock time in the rotation's zone")
    starts_on = serializers.DateField(required=False, help_text="the first handoff is on or after this day")

    def validate_handoff_time(self, value: str) -> time:
        return time.fromisoformat(value)


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
        )
    ]
)
class RotationInput(HandoffInput):
    """A new rotation. Without `starts_on` it holds at once."""

    team = row_id(source="team_id")
    slug = serializers.RegexField(r"^[-a-zA-Z0-9_]+\Z", max_length=60)
    name = serializers.CharField(max_length=120)
    members = serializers.ListField(
        child=row_id(), source="member_ids", required=False, max_length=200, help_text="accounts, in their order"
    )


class MemberSerializer(serializers.ModelSerializer[RotationMember]):
    """A person's place in the order of a rotation."""

    layer = serializers.IntegerField(source="layer_id", read_only=True)
    user = serializers.IntegerField(source="user_id", read_only=True)

    class Meta:
        model = RotationMember
        fields = ("id", "layer", "user", "position", "effective_from", "effective_until")
        read_only_fields = fields


@extend_schema_serializer(examples=[OpenApiExample("Last in the order", value={"layer": 1, "user": 3})])
class MemberInput(InputSerializer):
    """A new place. Without `position` it is the last, without `effective_from` it holds at once."""

    layer = row_id(source="layer_id")
    user = row_id(source="user_id")
    position = serializers.IntegerField(min_value=0, max_value=32767, required=False)
    effective_from = serializers.DateTimeField(required=False)


@extend_schema_serializer(examples=[OpenApiExample("Now", value={"reason": "left the team"})])
class EndInput(InputSerializer):
    """When a place ends; now unless said otherwise."""

    effective_until = serializers.DateTimeField(required=False)
    reason = serializers.CharField(max_length=200, required=False, allow_blank=True)


class ShiftSerializer(serializers.Serializer[Any]):
    """One shift, cut at the edges of the window."""

    user = serializers.IntegerField()
    name = serializers.CharField()
    starts_at = serializers.DateTimeField()
    ends_at = serializers.DateTimeField()
    override = serializers.IntegerField(allow_null=True, help_text="the override that makes it, if one does")


class GapSerializer(serializers.Serializer[Any]):
    """A stretch in which nobody is on call."""

    starts_at = serializers.DateTimeField()
    ends_at = serializers.DateTimeField()


class ShiftsSerializer(serializers.Serializer[Any]):
    """Shifts and gaps fill the window together."""

    shifts = ShiftSerializer(many=True)
    gaps = GapSerializer(many=True)


class RotationViewSet(PortalReadOnlyViewSet):
    """Rotations. Managers edit all of them, leads those of their team."""

    scope_area = "oncall"
    action_permissions = {"create": None, "partial_update": None, "destroy": None, "shifts": "oncall.view_rotation"}
    queryset = Rotation.objects.all()
    serializer_class = RotationSerializer
    filterset_fields = ("team", "slug")

    def visible(self, queryset: QuerySet[Any]) -> QuerySet[Any]:
        return visible_rotations(self.request.user)

    @extend_schema(request=RotationInput, responses={201: RotationSerializer})
    def create(self, request: Request) -> Response:
        """Make a rotation, with its members in their order."""
        require_edit_somewhere(self.actor, "oncall.add_rotation")
        return self.answer(self.perform(operations.create_rotation, **self.inputs(RotationInput)), status=201)

    @extend_schema(request=HandoffInput, responses=RotationSerializer)
    def partial_update(self, request: Request, pk: str) -> Response:
        """Change what is named; the rest stays."""
        row = self.get_object()
        self.expected_version(row)
        return self.answer(self.perform(operations.update_rotation, row.pk, **self.inputs(HandoffInput)))

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
        start = _instant(request, "start") or now()
        end = _instant(request, "end") or start + _DEFAULT_WINDOW
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
                }
                for shift in found
            ],
            "gaps": [{"starts_at": begins, "ends_at": ends} for begins, ends in gaps(found, start, end)],
        }
        return Response(ShiftsSerializer(data).data)


def _instant(request: Request, name: str) -> datetime | None:
    """An instant of the query. Raises Invalid for what is none, or lies beyond what calendars can hold."""
    given = request.query_params.get(name)
    if given is None:
        return None
    try:
        found: datetime = serializers.DateTimeField(default_timezone=UTC).to_internal_value(given)
    except serializers.ValidationError as error:
        raise Invalid(f"`{name}` is no instant.", fields={name: [str(error.detail[0])]}) from error  # type: ignore[index]  # a list here
    operations.check_instant(found, name)
    return found


class MemberViewSet(PortalReadOnlyViewSet):
    """Places in rotations."""

    scope_area = "oncall"
    action_permissions = {"create": None, "end": None}
    queryset = RotationMember.objects.all()
    serializer_class = MemberSerializer
    filterset_fields = ("layer", "layer__rotation", "user")

    @extend_schema(request=MemberInput, responses={201: MemberSerializer})
    def create(self, request: Request) -> Response:
        """Give a person a place. Somebody who has one keeps it."""
        require_edit_somewhere(self.actor, "oncall.add_rotationmember")
        return self.answer(self.perform(operations.add_member, **self.inputs(MemberInput)), status=201)

    @extend_schema(request=EndInput, responses={200: MemberSerializer, 204: None})
    @action(detail=True, methods=["post"])
    def end(self, request: Request, pk: str) -> Response:
        """End a place; its person's duty goes to the next. 204 when it had not begun yet and is gone."""
        self.expected_version(self.get_object())
        member = self.perform(operations.end_member, int(pk), **self.inputs(EndInput))
        return self.answer(member) if member else Response(status=204)
