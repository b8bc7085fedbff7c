"""Channels over the API: the portal's accounts at providers, the places of teams, and the key of web push."""

from __future__ import annotations

from typing import Any

from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from apps.messaging import connections
from apps.messaging.api import serializers as shapes
from apps.messaging.models import Connection, Destination
from apps.messaging.push_keys import push_public_key
from apps.messaging.queries import connections_visible_to, destinations_visible_to
from apps.people.api.serializers import InputSerializer
from apps.people.api.viewsets import PortalReadOnlyViewSet, PortalViewSet


class NoFields(InputSerializer):
    """No fields."""


class PushKeyViewSet(PortalViewSet):
    """The portal's public key for web push."""

    scope_area = "messaging"
    action_permissions = {"list": None}
    serializer_class = shapes.PushKeySerializer
    pagination_class = None
    filter_backends = ()

    @extend_schema(responses=shapes.PushKeySerializer, operation_id="push_key_retrieve")
    def list(self, request: Request) -> Response:
        """What a browser subscribes with; the subscription becomes a contact point of the kind `push`."""
        return Response({"public_key": push_public_key()})


class ConnectionViewSet(PortalReadOnlyViewSet):
    """Accounts of the portal's at providers. Secrets go in and never come out."""

    scope_area = "messaging"
    action_permissions = {
        "list": None,
        "retrieve": None,
        "create": "messaging.add_connection",
        **dict.fromkeys(("partial_update", "test"), "messaging.change_connection"),
        "destroy": "messaging.delete_connection",
    }
    queryset = Connection.objects.all()
    serializer_class = shapes.ConnectionSerializer
    filterset_fields = ("kind", "state")

    def visible(self, queryset: QuerySet[Any]) -> QuerySet[Any]:
        return connections_visible_to(self.request.user)

    @extend_schema(request=shapes.ConnectionInput, responses={201: shapes.ConnectionSerializer})
    def create(self, request: Request) -> Response:
        """Make a connection; its answer holds the address at which the provider calls back."""
        given = self.inputs(shapes.ConnectionInput)
        return self.answer(self.perform(connections.create_connection, **given), status=201)

    @extend_schema(request=shapes.ConnectionChangeInput, responses=shapes.ConnectionSerializer)
    def partial_update(self, request: Request, pk: str) -> Response:
        """Change, pause or activate it."""
        self.expected_version(self.get_object())
        given = self.inputs(shapes.ConnectionChangeInput, partial=True)
        return self.answer(self.perform(connections.update_connection, int(pk), **given))

    def destroy(self, request: Request, pk: str) -> Response:
        """Forget it with its secrets."""
        self.expected_version(self.get_object())
        self.perform(connections.delete_connection, int(pk))
        return Response(status=204)

    @extend_schema(request=shapes.TestInput, responses={201: shapes.MessageDetailSerializer})
    @action(detail=True, methods=["post"])
    def test(self, request: Request, pk: str) -> Response:
        """Send a test to a Slack channel, a Slack member or a phone number."""
        self.expected_version(self.get_object())
        made = self.perform(connections.test_connection, int(pk), **self.inputs(shapes.TestInput))
        return self.answer(made, status=201, serializer_class=shapes.MessageDetailSerializer)


class DestinationViewSet(PortalReadOnlyViewSet):
    """Channels, services and lists of whole teams, under the names that packs give them."""

    scope_area = "messaging"
    action_permissions = {
        "list": None,
        "retrieve": None,
        "create": "messaging.add_destination",
        **dict.fromkeys(("partial_update", "test"), "messaging.change_destination"),
        "destroy": "messaging.delete_destination",
    }
    queryset = Destination.objects.all()
    serializer_class = shapes.DestinationSerializer
    filterset_fields = ("kind", "name")

    def visible(self, queryset: QuerySet[Any]) -> QuerySet[Any]:
        return destinations_visible_to(self.request.user)

    @extend_schema(request=shapes.DestinationInput, responses={201: shapes.DestinationSerializer})
    def create(self, request: Request) -> Response:
        """Make a destination."""
        given = self.inputs(shapes.DestinationInput)
        return self.answer(self.perform(connections.create_destination, **given), status=201)

    @extend_schema(request=shapes.DestinationChangeInput, responses=shapes.DestinationSerializer)
    def partial_update(self, request: Request, pk: str) -> Response:
        """Rename it, or point it elsewhere."""
        self.expected_version(self.get_object())
        given = self.inputs(shapes.DestinationChangeInput, partial=True)
        return self.answer(self.perform(connections.change_destination, int(pk), **given))

    def destroy(self, request: Request, pk: str) -> Response:
        """Forget it."""
        self.expected_version(self.get_object())
        self.perform(connections.delete_destination, int(pk))
        return Response(status=204)

    @extend_schema(request=NoFields, responses={201: shapes.MessageDetailSerializer})
    @action(detail=True, methods=["post"])
    def test(self, request: Request, pk: str) -> Response:
        """Send it a test."""
        self.inputs(NoFields)
        self.expected_version(self.get_object())
        made = self.perform(connections.test_destination, int(pk))
        return self.answer(made, status=201, serializer_class=shapes.MessageDetailSerializer)
