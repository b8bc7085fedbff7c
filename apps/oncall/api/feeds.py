"""Calendar feeds, over the API."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.db.models import QuerySet
from django.urls import reverse
from drf_spectacular.utils import OpenApiExample, extend_schema, extend_schema_serializer
from rest_framework import serializers
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from apps.oncall import operations
from apps.oncall.api.covering import ReasonInput
from apps.oncall.api.fields import row_id
from apps.oncall.models import CalendarFeed
from apps.oncall.queries.feeds import visible_feeds
from apps.people.api.serializers import InputSerializer
from apps.people.api.viewsets import PortalReadOnlyViewSet
from apps.people.permissions import require


class CalendarFeedSerializer(serializers.ModelSerializer[CalendarFeed]):
    """A feed, without its address."""

    owner = serializers.IntegerField(source="owner_id", read_only=True)
    rotation = serializers.IntegerField(source="rotation_id", read_only=True, allow_null=True)
    team = serializers.IntegerField(
        source="team_id", read_only=True, allow_null=True, help_text="null, as the rotation: the owner's own shifts"
    )

    class Meta:
        model = CalendarFeed
        fields: tuple[str, ...] = (
            "id",
            "owner",
            "rotation",
            "team",
            "prefix",
            "created_at",
            "last_read_at",
            "revoked_at",
        )
        read_only_fields = fields


class MadeFeedSerializer(CalendarFeedSerializer):
    """A feed that was just made or got a new address: the one time that the address is shown."""

    url = serializers.SerializerMethodField()

    class Meta(CalendarFeedSerializer.Meta):
        fields = (*CalendarFeedSerializer.Meta.fields, "url")
        read_only_fields = fields

    def get_url(self, feed: CalendarFeed) -> str:
        token = str(self.context["feed_token"])
        return f"{settings.PUBLIC_URL}{reverse('oncall:feed', args=[token])}"


@extend_schema_serializer(
    examples=[OpenApiExample("My own shifts", value={}), OpenApiExample("A rotation", value={"rotation": 1})]
)
class FeedInput(InputSerializer):
    """Of a rotation, of a team, or, without both, of one's own shifts."""

    rotation = row_id(source="rotation_id", required=False, allow_null=True)
    team = row_id(source="team_id", required=False, allow_null=True)


class CalendarFeedViewSet(PortalReadOnlyViewSet):
    """Secret addresses at which calendar programs read shifts: one's own."""

    scope_area = "oncall"
    action_permissions = dict.fromkeys(("list", "retrieve", "create", "rotate", "revoke"))
    queryset = CalendarFeed.objects.all()
    serializer_class = CalendarFeedSerializer
    filterset_fields = ("rotation", "team")

    def visible(self, queryset: QuerySet[Any]) -> QuerySet[Any]:
        return visible_feeds(self.request.user)

    @extend_schema(request=FeedInput, responses={201: MadeFeedSerializer})
    def create(self, request: Request) -> Response:
        """Make a feed. Its address is in this answer and nowhere else; who has it can read these shifts."""
        require(self.actor, "oncall.view_rotation")
        return self._made(*self.perform(operations.create_feed, **self.inputs(FeedInput)), status=201)

    @extend_schema(request=ReasonInput, responses=MadeFeedSerializer)
    @action(detail=True, methods=["post"])
    def rotate(self, request: Request, pk: str) -> Response:
        """Give one's feed a new address, in this answer and nowhere else; the old one shows nothing any more."""
        self.expected_version(self.get_object())
        return self._made(*self.perform(operations.rotate_feed, int(pk), **self.inputs(ReasonInput)), status=200)

    @extend_schema(request=ReasonInput, responses=CalendarFeedSerializer)
    @action(detail=True, methods=["post"])
    def revoke(self, request: Request, pk: str) -> Response:
        """Make the address show nothing from now on. A repeat changes nothing."""
        self.expected_version(self.get_object())
        return self.answer(self.perform(operations.revoke_feed, int(pk), **self.inputs(ReasonInput)))

    def _made(self, feed: CalendarFeed, token: str, *, status: int) -> Response:
        context = {**self.get_serializer_context(), "feed_token": token}
        return Response(MadeFeedSerializer(feed, context=context).data, status=status)
