"""How fairly on-call is shared, double bookings, and one's own reminder, over the API."""

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
from apps.oncall.api.fields import LARGEST_ID, instant_of
from apps.oncall.models import Rotation, ShiftReminder
from apps.oncall.queries import visible_rotations
from apps.oncall.queries.fairness import FairnessRow, fairness
from apps.oncall.queries.feeds import reminder_of
from apps.people.api.serializers import InputSerializer
from apps.people.api.viewsets import PortalViewSet

LONGEST_WINDOW = timedelta(days=400)
_USUAL = timedelta(days=90)
_MOST_ROTATIONS = 100


class FairnessSerializer(serializers.Serializer[FairnessRow]):
    """What one person had. Nights, weekends and holidays are among the hours."""

    user = serializers.IntegerField(source="user.pk")
    name = serializers.CharField(source="user.name")
    shifts = serializers.IntegerField()
    hours = serializers.FloatField()
    night_hours = serializers.FloatField(help_text="22:00 to 06:00 by the person's own clocks")
    weekend_hours = serializers.FloatField()
    holiday_hours = serializers.FloatField()
    pages = serializers.IntegerField(allow_null=True, help_text="pages of these teams")
    expected_hours = serializers.FloatField(help_text="by how long each had a place in the order and did not pause")
    deviation_hours = serializers.FloatField()
    deviation = serializers.CharField()


class ReminderSerializer(serializers.Serializer[Any]):
    """How long before a shift one is reminded."""

    lead = serializers.ChoiceField(choices=ShiftReminder.Lead.choices)


@extend_schema_serializer(examples=[OpenApiExample("An hour before", value={"lead": "hour"})])
class ReminderInput(InputSerializer):
    """How long before a shift one wants to be reminded."""

    lead = serializers.ChoiceField(choices=ShiftReminder.Lead.choices)


class OnCallReportViewSet(PortalViewSet):
    """Fairness of rotations, and one's own reminder."""

    scope_area = "oncall"
    action_permissions = {
        "fairness": "oncall.view_rotation",
        "reminder": "oncall.view_rotation",
        "set_reminder": "oncall.view_rotation",
    }
    queryset = Rotation.objects.all()
    serializer_class = FairnessSerializer
    pagination_class = None
    filter_backends = ()

    def visible(self, queryset: QuerySet[Any]) -> QuerySet[Any]:
        return visible_rotations(self.request.user)

    @extend_schema(
        parameters=[
            OpenApiParameter("rotation", int, description="only this rotation"),
            OpenApiParameter("team", int, description="only the rotations of this team"),
            OpenApiParameter("start", datetime, description="an instant; 90 days before the end unless given"),
            OpenApiParameter("end", datetime, description="an instant; now unless given"),
        ],
        responses=FairnessSerializer(many=True),
    )
    @action(detail=False, methods=["get"])
    def fairness(self, request: Request) -> Response:
        """Hours, nights, weekends, holidays and shifts of each person, and how far that is from a fair share."""
        end = instant_of(request, "end") or now()
        start = instant_of(request, "start") or end - _USUAL
        if not start < end <= start + LONGEST_WINDOW:
            sentence = "`end` must be after `start`, by at most 400 days."
            raise Invalid(sentence, fields={"end": [sentence]})
        rows = self.get_queryset().order_by("pk")
        if (rotation := _number(request, "rotation")) is not None:
            rows = rows.filter(pk=rotation)
        if (team := _number(request, "team")) is not None:
            rows = rows.filter(team_id=team)
        found = fairness(list(rows[:_MOST_ROTATIONS]), start, end)
        return Response([FairnessSerializer(row).data for row in found])

    @extend_schema(responses=ReminderSerializer)
    @action(detail=False, methods=["get"])
    def reminder(self, request: Request) -> Response:
        """How long before a shift of one's own one is reminded."""
        return Response(ReminderSerializer({"lead": reminder_of(request.user)}).data)

    @extend_schema(request=ReminderInput, responses=ReminderSerializer)
    @reminder.mapping.post
    def set_reminder(self, request: Request) -> Response:
        """Say how long before a shift of one's own one wants to be reminded."""
        found = self.perform(operations.set_reminder, **self.inputs(ReminderInput))
        return Response(ReminderSerializer({"lead": found.lead}).data)


def _number(request: Request, name: str) -> int | None:
    given = request.query_params.get(name)
    if given is None:
        return None
    if not (given.isascii() and given.isdecimal() and len(given) < len(str(LARGEST_ID))):
        raise Invalid(f"`{name}` is a number.", fields={name: ["This is no number."]})
    return int(given)
