"""Messages over the API: one's inbox, what was sent to whom, and webhook endpoints."""

from __future__ import annotations

from typing import Any

import django_filters
from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema
from rest_framework.decorators import action
from rest_framework.mixins import ListModelMixin
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.serializers import BaseSerializer

from apps.messaging import endpoints, operations
from apps.messaging.api import serializers as shapes
from apps.messaging.models import Message, WebhookEndpoint
from apps.messaging.queries import endpoints_visible_to, inbox, unread_count, visible_to
from apps.people.api.serializers import InputSerializer
from apps.people.api.viewsets import PortalReadOnlyViewSet, PortalViewSet


class NoInput(InputSerializer):
    """No fields."""


class InboxFilter(django_filters.FilterSet):
    """Unread ones only, or read ones only."""

    unread = django_filters.BooleanFilter(field_name="read_at", lookup_expr="isnull", label="not read yet")

    class Meta:
        model = Message
        fields = ("unread",)


class InboxViewSet(ListModelMixin, PortalViewSet):
    """The caller's own in-app messages."""

    scope_area = "messaging"
    action_permissions = dict.fromkeys(("list", "unread", "mark_read", "mark_all_read"))
    queryset = Message.objects.all()
    serializer_class = shapes.InboxSerializer
    filterset_class = InboxFilter

    def visible(self, queryset: QuerySet[Any]) -> QuerySet[Any]:
        return inbox(self.request.user)

    @extend_schema(responses=shapes.UnreadSerializer)
    @action(detail=False, methods=["get"], filterset_class=None, pagination_class=None)
    def unread(self, request: Request) -> Response:
        """How many are unread?"""
        return Response({"unread": unread_count(request.user)})

    @extend_schema(request=shapes.ReadInput, responses=shapes.UnreadSerializer)
    @action(detail=False, methods=["post"], url_path="mark-read")
    def mark_read(self, request: Request) -> Response:
        """Mark messages as read; answers how many are still unread. A repeat changes nothing."""
        self.perform(operations.mark_read, **self.inputs(shapes.ReadInput))
        return Response({"unread": unread_count(request.user)})

    @extend_schema(request=shapes.ReadAllInput, responses=shapes.UnreadSerializer)
    @action(detail=False, methods=["post"], url_path="mark-all-read")
    def mark_all_read(self, request: Request) -> Response:
        """Mark all as read, or all up to one; answers how many are still unread."""
        self.perform(operations.mark_all_read, **self.inputs(shapes.ReadAllInput))
        return Response({"unread": unread_count(request.user)})


class MessageViewSet(PortalReadOnlyViewSet):
    """What was sent to whom, and what became of it: one's own, and what is about things one may see."""

    scope_area = "messaging"
    action_permissions = dict.fromkeys(("list", "retrieve", "replay"))
    queryset = Message.objects.all()
    serializer_class = shapes.MessageDetailSerializer
    filterset_fields = ("channel", "state", "recipient", "endpoint", "subject_kind", "subject_key")

    def visible(self, queryset: QuerySet[Any]) -> QuerySet[Any]:
        rows = visible_to(self.request.user).select_related("endpoint")
        return rows.prefetch_related("attempt_log") if self.action == "retrieve" else rows.defer("body", "payload")

    def get_serializer_class(self) -> type[BaseSerializer[Any]]:
        return shapes.MessageSerializer if self.action == "list" else shapes.MessageDetailSerializer

    @extend_schema(request=NoInput, responses={201: shapes.MessageDetailSerializer})
    @action(detail=True, methods=["post"])
    def replay(self, request: Request, pk: str) -> Response:
        """Send it once more, as a new message; needs `messaging.replay_message`, or to own its endpoint."""
        self.inputs(NoInput)
        self.expected_version(self.get_object())
        return self.answer(self.perform(operations.replay, int(pk)), status=201)


class WebhookEndpointViewSet(PortalReadOnlyViewSet):
    """Addresses that hear of events by signed POSTs: one's own; all with `messaging.view_webhookendpoint`."""

    scope_area = "messaging"
    action_permissions = {
        "list": None,
        "retrieve": None,
        **dict.fromkeys(("partial_update", "rotate_secret", "test"), "messaging.change_webhookendpoint"),
        "replay": "messaging.view_webhookendpoint",
    }
    queryset = WebhookEndpoint.objects.all()
    serializer_class = shapes.EndpointSerializer
    filterset_fields = ("state", "owner")

    def visible(self, queryset: QuerySet[Any]) -> QuerySet[Any]:
        return endpoints_visible_to(self.request.user)

    def _with_secret(self, made: tuple[WebhookEndpoint, str], status: int) -> Response:
        context = {**self.get_serializer_context(), "secret": made[1]}
        return Response(shapes.NewEndpointSerializer(made[0], context=context).data, status=status)

    @extend_schema(request=shapes.EndpointInput, responses={201: shapes.NewEndpointSerializer})
    def create(self, request: Request) -> Response:
        """Make an endpoint of the caller's own. Its secret is in this answer and nowhere else."""
        return self._with_secret(self.perform(endpoints.create_endpoint, **self.inputs(shapes.EndpointInput)), 201)

    @extend_schema(request=shapes.EndpointChangeInput, responses=shapes.EndpointSerializer)
    def partial_update(self, request: Request, pk: str) -> Response:
        """Change it; its owner only, but whoever may change endpoints may pause it."""
        self.expected_version(self.get_object())
        return self.answer(
            self.perform(endpoints.update_endpoint, int(pk), **self.inputs(shapes.EndpointChangeInput, partial=True))
        )

    def destroy(self, request: Request, pk: str) -> Response:
        """Delete it with its messages."""
        self.expected_version(self.get_object())
        self.perform(endpoints.delete_endpoint, int(pk))
        return Response(status=204)

    @extend_schema(request=NoInput, responses=shapes.NewEndpointSerializer)
    @action(detail=True, methods=["post"], url_path="rotate-secret")
    def rotate_secret(self, request: Request, pk: str) -> Response:
        """Make a new secret; it is in this answer and nowhere else."""
        self.inputs(NoInput)
        self.expected_version(self.get_object())
        return self._with_secret(self.perform(endpoints.rotate_secret, int(pk)), 200)

    @extend_schema(request=NoInput, responses={201: shapes.MessageDetailSerializer})
    @action(detail=True, methods=["post"])
    def test(self, request: Request, pk: str) -> Response:
        """Send it an event of the kind `portal.test`."""
        self.inputs(NoInput)
        self.expected_version(self.get_object())
        made = self.perform(endpoints.send_test, int(pk))
        return self.answer(made, status=201, serializer_class=shapes.MessageDetailSerializer)

    @extend_schema(request=shapes.ReplayInput, responses={201: shapes.MessageSerializer(many=True)})
    @action(detail=True, methods=["post"], filterset_fields=None, pagination_class=None)
    def replay(self, request: Request, pk: str) -> Response:
        """Send messages of this endpoint once more, each as a new message; all or none."""
        self.expected_version(self.get_object())
        made = self.perform(endpoints.replay_many, int(pk), **self.inputs(shapes.ReplayInput))
        data = shapes.MessageSerializer(made, many=True, context=self.get_serializer_context()).data
        return Response(data, status=201)
