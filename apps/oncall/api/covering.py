"""Overrides, coverage, what roles mean, and who is on call now, over the API."""

from __future__ import annotations

from typing import Any

from django.db.models import QuerySet
from drf_spectacular.utils import OpenApiExample, OpenApiParameter, extend_schema, extend_schema_serializer
from rest_framework import serializers
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from apps.foundation.errors import Invalid
from apps.oncall import operations
from apps.oncall.api.fields import LARGEST_ID, row_id
from apps.oncall.models import Coverage, Override, RoleBinding, Rotation
from apps.oncall.permissions import require_edit_somewhere
from apps.oncall.queries import OnCallNow, on_call_now, visible_rotations
from apps.people.api.serializers import InputSerializer
from apps.people.api.viewsets import PortalReadOnlyViewSet, PortalViewSet


class OverrideSerializer(serializers.ModelSerializer[Override]):
    """Somebody covers, from an instant until before another."""

    rotation = serializers.IntegerField(source="rotation_id", read_only=True)
    user = serializers.IntegerField(source="user_id", read_only=True)
    replaces = serializers.IntegerField(
        source="replaces_id", read_only=True, allow_null=True, help_text="null: whoever has the duty"
    )

    class Meta:
        model = Override
        fields = ("id", "rotation", "user", "replaces", "starts_at", "ends_at", "reason", "created_at", "cancelled_at")
        read_only_fields = fields


@extend_schema_serializer(
    examples=[
        OpenApiExample(
            "A weekend",
            value={
                "rotation": 1,
                "user": 3,
                "starts_at": "2026-05-02T07:00:00Z",
                "ends_at": "2026-05-04T07:00:00Z",
                "reason": "wedding",
            },
        )
    ]
)
class OverrideInput(InputSerializer):
    """Who covers when, for whoever has the duty or for one person."""

    rotation = row_id(source="rotation_id")
    user = row_id(source="user_id")
    replaces = row_id(source="replaces_id", required=False, allow_null=True)
    starts_at = serializers.DateTimeField()
    ends_at = serializers.DateTimeField()
    reason = serializers.CharField(max_length=200, required=False, allow_blank=True)


class CoverageSerializer(serializers.ModelSerializer[Coverage]):
    """Somebody is on call besides whoever has the duty."""

    rotation = serializers.IntegerField(source="rotation_id", read_only=True)
    user = serializers.IntegerField(source="user_id", read_only=True)

    class Meta:
        model = Coverage
        fields = ("id", "rotation", "user", "starts_at", "ends_at", "reason", "created_at", "cancelled_at")
        read_only_fields = fields


@extend_schema_serializer(
    examples=[
        OpenApiExample(
            "A launch",
            value={
                "rotation": 1,
                "users": [3, 5],
                "starts_at": "2026-05-02T07:00:00Z",
                "ends_at": "2026-05-03T07:00:00Z",
                "reason": "season 3",
            },
        )
    ]
)
class CoverageInput(InputSerializer):
    """Who is on call besides, and when."""

    rotation = row_id(source="rotation_id")
    users = serializers.ListField(child=row_id(), source="user_ids", min_length=1, max_length=50)
    starts_at = serializers.DateTimeField()
    ends_at = serializers.DateTimeField()
    reason = serializers.CharField(max_length=200, required=False, allow_blank=True)


class ReasonInput(InputSerializer):
    """Why, if that needs saying."""

    reason = serializers.CharField(max_length=200, required=False, allow_blank=True)


class RoleBindingSerializer(serializers.ModelSerializer[RoleBinding]):
    """What a role of the packs means: a rotation or a person."""

    team = serializers.IntegerField(
        source="team_id", read_only=True, allow_null=True, help_text="null: every team that has no binding of its own"
    )
    rotation = serializers.IntegerField(source="rotation_id", read_only=True, allow_null=True)
    user = serializers.IntegerField(source="user_id", read_only=True, allow_null=True)

    class Meta:
        model = RoleBinding
        fields = ("id", "role", "team", "rotation", "user")
        read_only_fields = fields


@extend_schema_serializer(examples=[OpenApiExample("A rotation", value={"role": "primary", "team": 1, "rotation": 1})])
class RoleBindingInput(InputSerializer):
    """What a role means, in place of what it meant before."""

    role = serializers.RegexField(r"^[-a-zA-Z0-9_]+\Z", max_length=60)
    team = row_id(source="team_id", required=False, allow_null=True)
    rotation = row_id(source="rotation_id", required=False, allow_null=True)
    user = row_id(source="user_id", required=False, allow_null=True)


class OnCallPersonSerializer(serializers.Serializer[Any]):
    """A person, briefly."""

    id = serializers.IntegerField()
    name = serializers.CharField()


class OnCallRotationSerializer(serializers.ModelSerializer[Rotation]):
    """A rotation, briefly."""

    team = serializers.CharField(source="team.slug", read_only=True)

    class Meta:
        model = Rotation
        fields = ("id", "slug", "name", "team")
        read_only_fields = fields


class OnCallNowSerializer(serializers.Serializer[OnCallNow]):
    """Who is on call in a rotation."""

    rotation = OnCallRotationSerializer()
    user = OnCallPersonSerializer(allow_null=True, help_text="null: nobody")
    until = serializers.DateTimeField(allow_null=True, help_text="null: nobody else follows within 60 days")
    next_user = OnCallPersonSerializer(allow_null=True)
    also = OnCallPersonSerializer(many=True, help_text="who is on call besides")


class OverrideViewSet(PortalReadOnlyViewSet):
    """Overrides. Responders add them in rotations of their teams, and for themselves."""

    scope_area = "oncall"
    action_permissions = {"create": None, "cancel": None}
    queryset = Override.objects.all()
    serializer_class = OverrideSerializer
    filterset_fields = ("rotation", "user")

    @extend_schema(request=OverrideInput, responses={201: OverrideSerializer})
    def create(self, request: Request) -> Response:
        """Put a person on call instead; 409 names the override that stands in the way."""
        require_edit_somewhere(self.actor, "oncall.add_override")
        return self.answer(self.perform(operations.add_override, **self.inputs(OverrideInput)), status=201)

    @extend_schema(request=ReasonInput, responses=OverrideSerializer)
    @action(detail=True, methods=["post"])
    def cancel(self, request: Request, pk: str) -> Response:
        """End an override now. A repeat changes nothing."""
        self.expected_version(self.get_object())
        return self.answer(self.perform(operations.cancel_override, int(pk), **self.inputs(ReasonInput)))


class CoverageViewSet(PortalReadOnlyViewSet):
    """Extra people, for a launch say. Who may add overrides may add coverage."""

    scope_area = "oncall"
    action_permissions = {"create": None, "cancel": None}
    queryset = Coverage.objects.all()
    serializer_class = CoverageSerializer
    filterset_fields = ("rotation", "user")

    @extend_schema(request=CoverageInput, responses={201: CoverageSerializer(many=True)})
    def create(self, request: Request) -> Response:
        """Put people on call besides whoever has the duty."""
        require_edit_somewhere(self.actor, "oncall.add_coverage")
        made = self.perform(operations.add_coverage, **self.inputs(CoverageInput))
        return Response(CoverageSerializer(made, many=True).data, status=201)

    @extend_schema(request=ReasonInput, responses=CoverageSerializer)
    @action(detail=True, methods=["post"])
    def cancel(self, request: Request, pk: str) -> Response:
        """End one person's coverage now. A repeat changes nothing."""
        self.expected_version(self.get_object())
        return self.answer(self.perform(operations.cancel_coverage, int(pk), **self.inputs(ReasonInput)))


class RoleBindingViewSet(PortalReadOnlyViewSet):
    """What the roles of packs mean for a team, or for all."""

    scope_area = "oncall"
    action_permissions = {"create": None, "destroy": None}
    queryset = RoleBinding.objects.all()
    serializer_class = RoleBindingSerializer
    filterset_fields = ("role", "team", "rotation", "user")

    @extend_schema(request=RoleBindingInput, responses={201: RoleBindingSerializer})
    def create(self, request: Request) -> Response:
        """Say what a role means; it replaces what it meant before."""
        require_edit_somewhere(self.actor, "oncall.change_rolebinding")
        return self.answer(self.perform(operations.bind_role, **self.inputs(RoleBindingInput)), status=201)

    def destroy(self, request: Request, pk: str) -> Response:
        """Take back what a role means."""
        row = self.get_object()
        self.expected_version(row)
        self.perform(operations.unbind_role, row.pk)
        return Response(status=204)


class OnCallViewSet(PortalViewSet):
    """Who is on call."""

    scope_area = "oncall"
    queryset = Rotation.objects.all()
    serializer_class = OnCallNowSerializer
    pagination_class = None
    filter_backends = ()

    def visible(self, queryset: QuerySet[Any]) -> QuerySet[Any]:
        return visible_rotations(self.request.user)

    @extend_schema(
        parameters=[OpenApiParameter("team", int, description="only the rotations of this team")],
        responses=OnCallNowSerializer(many=True),
    )
    @action(detail=False, methods=["get"])
    def now(self, request: Request) -> Response:
        """Who is on call in each rotation now, until when, and who follows."""
        rows = self.get_queryset().order_by("team__name", "name")
        team = request.query_params.get("team")
        if team is not None:
            if not (team.isascii() and team.isdecimal() and len(team) <= len(str(LARGEST_ID)) - 1):
                raise Invalid("`team` is a number.", fields={"team": ["This is no number."]})
            rows = rows.filter(team_id=int(team))
        return Response([OnCallNowSerializer(found).data for found in on_call_now(rows)])
