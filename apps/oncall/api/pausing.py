"""Pauses and holiday calendars, over the API."""

from __future__ import annotations

from datetime import date
from typing import Any

from drf_spectacular.utils import OpenApiExample, OpenApiParameter, extend_schema, extend_schema_serializer
from rest_framework import serializers
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from apps.foundation.clock import now
from apps.foundation.errors import Invalid
from apps.oncall import operations
from apps.oncall.api.covering import ReasonInput
from apps.oncall.api.fields import row_id
from apps.oncall.models import HolidayCalendar, Pause
from apps.oncall.permissions import require_edit_somewhere
from apps.oncall.queries import holidays_of_year
from apps.people.api.serializers import InputSerializer
from apps.people.api.viewsets import PortalReadOnlyViewSet
from apps.people.permissions import require

FIRST_YEAR, LAST_YEAR = 1980, 2200


class PauseSerializer(serializers.ModelSerializer[Pause]):
    """A person, or everybody, takes no turns for a while."""

    rotation = serializers.IntegerField(source="rotation_id", read_only=True)
    user = serializers.IntegerField(source="user_id", read_only=True, allow_null=True, help_text="null: everybody")

    class Meta:
        model = Pause
        fields = ("id", "rotation", "user", "starts_at", "ends_at", "reason")
        read_only_fields = fields


@extend_schema_serializer(
    examples=[OpenApiExample("Until further notice", value={"rotation": 1, "user": 3, "reason": "parental leave"})]
)
class PauseInput(InputSerializer):
    """Who takes no turns, and when; from now and until further notice unless said otherwise."""

    rotation = row_id(source="rotation_id")
    user = row_id(source="user_id", required=False, allow_null=True)
    starts_at = serializers.DateTimeField(required=False)
    ends_at = serializers.DateTimeField(required=False, allow_null=True)
    reason = serializers.CharField(max_length=200, required=False, allow_blank=True)


class HolidayCalendarSerializer(serializers.ModelSerializer[HolidayCalendar]):
    """The public holidays of a country or a part of it, and days of one's own."""

    own_days = serializers.ListField(child=serializers.DateField(), read_only=True)

    class Meta:
        model = HolidayCalendar
        fields = ("id", "slug", "name", "country", "subdivision", "own_days")
        read_only_fields = fields


@extend_schema_serializer(
    examples=[OpenApiExample("Bavaria, and Christmas Eve", value={"country": "DE", "subdivision": "BY"})]
)
class HolidayCalendarChangeInput(InputSerializer):
    """What may change in a calendar."""

    name = serializers.CharField(max_length=120, required=False)
    country = serializers.CharField(max_length=2, required=False, allow_blank=True, help_text="ISO 3166, like DE")
    subdivision = serializers.CharField(max_length=20, required=False, allow_blank=True, help_text="like BY")
    own_days = serializers.ListField(child=serializers.DateField(), required=False, max_length=1000)


@extend_schema_serializer(
    examples=[
        OpenApiExample(
            "Berlin",
            value={
                "slug": "berlin",
                "name": "Berlin",
                "country": "DE",
                "subdivision": "BE",
                "own_days": ["2026-12-24"],
            },
        )
    ]
)
class HolidayCalendarInput(HolidayCalendarChangeInput):
    """A new calendar."""

    slug = serializers.RegexField(r"^[-a-zA-Z0-9_]+\Z", max_length=60)
    name = serializers.CharField(max_length=120)


class HolidaysSerializer(serializers.Serializer[Any]):
    """The days of one year."""

    days = serializers.ListField(child=serializers.DateField())


class PauseViewSet(PortalReadOnlyViewSet):
    """Pauses. Managers make them everywhere, leads in their team."""

    scope_area = "oncall"
    action_permissions = {"create": None, "end": None}
    queryset = Pause.objects.all()
    serializer_class = PauseSerializer
    filterset_fields = ("rotation", "user")

    @extend_schema(request=PauseInput, responses={201: PauseSerializer})
    def create(self, request: Request) -> Response:
        """Let a person, or everybody, take no turns."""
        require_edit_somewhere(self.actor, "oncall.add_pause")
        return self.answer(self.perform(operations.pause, **self.inputs(PauseInput)), status=201)

    @extend_schema(request=ReasonInput, responses={200: PauseSerializer, 204: None})
    @action(detail=True, methods=["post"])
    def end(self, request: Request, pk: str) -> Response:
        """End a pause now. 204 when it had not begun yet and is gone."""
        self.expected_version(self.get_object())
        row = self.perform(operations.resume, int(pk), **self.inputs(ReasonInput))
        return self.answer(row) if row else Response(status=204)


class HolidayCalendarViewSet(PortalReadOnlyViewSet):
    """Holiday calendars, for managers to edit."""

    scope_area = "oncall"
    action_permissions = {
        "create": None,
        "partial_update": None,
        "destroy": None,
        "days": "oncall.view_holidaycalendar",
    }
    queryset = HolidayCalendar.objects.all()
    serializer_class = HolidayCalendarSerializer
    filterset_fields = ("slug", "country")

    @extend_schema(request=HolidayCalendarInput, responses={201: HolidayCalendarSerializer})
    def create(self, request: Request) -> Response:
        """Make a calendar."""
        require(self.actor, "oncall.add_holidaycalendar")
        return self.answer(
            self.perform(operations.create_holiday_calendar, **self.inputs(HolidayCalendarInput)), status=201
        )

    @extend_schema(request=HolidayCalendarChangeInput, responses=HolidayCalendarSerializer)
    def partial_update(self, request: Request, pk: str) -> Response:
        """Change what is named; the rest stays."""
        row = self.get_object()
        self.expected_version(row)
        given = self.inputs(HolidayCalendarChangeInput)
        return self.answer(self.perform(operations.update_holiday_calendar, row.pk, **given))

    def destroy(self, request: Request, pk: str) -> Response:
        """Delete a calendar that no layer heeds."""
        row = self.get_object()
        self.expected_version(row)
        self.perform(operations.delete_holiday_calendar, row.pk)
        return Response(status=204)

    @extend_schema(
        parameters=[OpenApiParameter("year", int, description="this year unless given")], responses=HolidaysSerializer
    )
    @action(detail=True, methods=["get"])
    def days(self, request: Request, pk: str) -> Response:
        """The holidays of one year, in order."""
        given = request.query_params.get("year", str(now().year))
        year = int(given) if given.isascii() and given.isdecimal() and len(given) == len("2026") else 0
        if not FIRST_YEAR <= year <= LAST_YEAR:
            sentence = f"`year` is from {FIRST_YEAR} to {LAST_YEAR}."
            raise Invalid(sentence, fields={"year": [sentence]})
        found: list[date] = holidays_of_year(self.get_object(), year)
        return Response(HolidaysSerializer({"days": found}).data)
