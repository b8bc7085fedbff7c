"""Teams and who is in them, over the API."""

from __future__ import annotations

from typing import Any

from django.db.models import QuerySet
from drf_spectacular.utils import OpenApiExample, extend_schema, extend_schema_serializer
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from apps.catalog import operations
from apps.catalog.models import Membership, Team
from apps.catalog.permissions import require_team_editor
from apps.catalog.queries import visible_teams
from apps.people.api.serializers import InputSerializer
from apps.people.api.viewsets import PortalReadOnlyViewSet
from apps.people.permissions import require

SLUG = r"^[a-z0-9][a-z0-9_-]*$"
LARGEST_ID = 2**63 - 1


class TeamSerializer(serializers.ModelSerializer[Team]):
    """Who owns services, rotations and incidents."""

    policy_pack = serializers.IntegerField(
        source="policy_pack_id", read_only=True, allow_null=True, help_text="a pack's id; null follows the default"
    )

    class Meta:
        model = Team
        fields = ("id", "slug", "name", "description", "time_zone", "email", "policy_pack")
        read_only_fields = fields


@extend_schema_serializer(
    examples=[OpenApiExample("Team", value={"slug": "payments", "name": "Payments", "time_zone": "Europe/Berlin"})]
)
class TeamInput(InputSerializer):
    """A team."""

    slug = serializers.RegexField(SLUG, max_length=60)
    name = serializers.CharField(max_length=120)
    description = serializers.CharField(max_length=10_000, required=False, allow_blank=True)
    time_zone = serializers.CharField(max_length=64, required=False, help_text="IANA name, for example Europe/Berlin")
    email = serializers.EmailField(max_length=254, required=False, allow_blank=True)
    policy_pack = serializers.IntegerField(
        source="policy_pack_id", min_value=1, max_value=LARGEST_ID, required=False, allow_null=True
    )


class TeamViewSet(PortalReadOnlyViewSet):
    """Teams. A team's lead edits the team; managers edit all."""

    scope_area = "catalog"
    action_permissions = {
        "list": None,
        "retrieve": None,
        "create": "catalog.add_team",
        "partial_update": None,
        "destroy": "catalog.delete_team",
    }
    queryset = Team.objects.all()
    serializer_class = TeamSerializer
    filterset_fields = ("slug",)

    def visible(self, queryset: QuerySet[Any]) -> QuerySet[Any]:
        return visible_teams(self.request.user)

    @extend_schema(request=TeamInput, responses={201: TeamSerializer})
    def create(self, request: Request) -> Response:
        """Make a team."""
        return self.answer(self.perform(operations.create_team, self.inputs(TeamInput)), status=201)

    @extend_schema(request=TeamInput(partial=True), responses=TeamSerializer)
    def partial_update(self, request: Request, pk: str) -> Response:
        """Change what is named; the rest stays."""
        team = self.get_object()
        require_team_editor(self.actor, team)
        self.expected_version(team)
        return self.answer(self.perform(operations.update_team, team.pk, self.inputs(TeamInput, partial=True)))

    def destroy(self, request: Request, pk: str) -> Response:
        """Delete a team that owns nothing any more."""
        team = self.get_object()
        self.expected_version(team)
        self.perform(operations.delete_team, team.pk)
        return Response(status=204)


class MembershipSerializer(serializers.ModelSerializer[Membership]):
    """A person in a team."""

    team = serializers.IntegerField(source="team_id", read_only=True)
    user = serializers.IntegerField(source="user_id", read_only=True)

    class Meta:
        model = Membership
        fields = ("id", "team", "user", "role")
        read_only_fields = fields


@extend_schema_serializer(examples=[OpenApiExample("Lead", value={"team": 1, "user": 2, "role": "lead"})])
class MembershipInput(InputSerializer):
    """Who joins which team."""

    team = serializers.IntegerField(min_value=1, max_value=LARGEST_ID)
    user = serializers.IntegerField(min_value=1, max_value=LARGEST_ID)
    role = serializers.ChoiceField(choices=Membership.Role.choices, required=False)


class MembershipViewSet(PortalReadOnlyViewSet):
    """Who is in which team. Members see the team's private incidents; the team's lead and managers decide on them."""

    scope_area = "catalog"
    action_permissions = {"list": None, "retrieve": None, "create": None, "destroy": None}
    queryset = Membership.objects.all()
    serializer_class = MembershipSerializer
    filterset_fields = ("team", "user", "role")

    def visible(self, queryset: QuerySet[Any]) -> QuerySet[Any]:
        user = self.request.user
        if user.has_perm("catalog.view_membership"):
            return queryset
        return queryset.filter(team__in=visible_teams(user).values("pk")) | queryset.filter(user_id=user.pk)

    @extend_schema(request=MembershipInput, responses={201: MembershipSerializer})
    def create(self, request: Request) -> Response:
        """Put an account into a team, or give it another role there. The same again returns what is there."""
        given = self._given()
        row = self.perform(operations.add_member, given.pop("team"), given.pop("user"), **given)
        return self.answer(row, status=201)

    def _given(self) -> dict[str, Any]:
        """The body, but only for those who may edit some team: others learn nothing from its faults."""
        team_id = self.request.data.get("team") if isinstance(self.request.data, dict) else None
        team = None
        if isinstance(team_id, int) and 0 < team_id <= LARGEST_ID:
            team = visible_teams(self.request.user).filter(pk=team_id).first()
        if team is None:
            require(self.actor, "catalog.add_membership")
        else:
            require_team_editor(self.actor, team, "catalog.add_membership")
        return self.inputs(MembershipInput)

    def destroy(self, request: Request, pk: str) -> Response:
        """Take an account out of its team."""
        membership = self.get_object()
        require_team_editor(self.actor, membership.team, "catalog.delete_membership")
        self.expected_version(membership)
        self.perform(operations.remove_member, membership.pk)
        return Response(status=204)
