"""Swaps, over the API."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from drf_spectacular.utils import OpenApiExample, extend_schema, extend_schema_serializer
from rest_framework import serializers
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from apps.oncall import operations
from apps.oncall.api.covering import ReasonInput
from apps.oncall.api.fields import row_id
from apps.oncall.models import Swap
from apps.oncall.permissions import require_edit_somewhere
from apps.people.api.serializers import InputSerializer
from apps.people.api.viewsets import PortalReadOnlyViewSet


class SwapSerializer(serializers.ModelSerializer[Swap]):
    """An offer of one's time on call, and what became of it."""

    rotation = serializers.IntegerField(source="rotation_id", read_only=True)
    user = serializers.IntegerField(source="user_id", read_only=True, help_text="whose time it is")
    asked = serializers.IntegerField(
        source="asked_id", read_only=True, allow_null=True, help_text="who should take it; null: anybody"
    )
    taker = serializers.IntegerField(source="taker_id", read_only=True, allow_null=True)
    override = serializers.IntegerField(
        source="override_id", read_only=True, allow_null=True, help_text="what makes it hold"
    )

    class Meta:
        model = Swap
        fields = (
            "id",
            "rotation",
            "user",
            "asked",
            "taker",
            "state",
            "starts_at",
            "ends_at",
            "reason",
            "created_at",
            "taken_at",
            "approved_at",
            "override",
        )
        read_only_fields = fields


@extend_schema_serializer(
    examples=[
        OpenApiExample(
            "To anybody",
            value={
                "rotation": 1,
                "starts_at": "2026-05-02T07:00:00Z",
                "ends_at": "2026-05-04T07:00:00Z",
                "reason": "wedding",
            },
        )
    ]
)
class SwapInput(InputSerializer):
    """One's own time, or for managers and leads that of `user`."""

    rotation = row_id(source="rotation_id")
    user = row_id(source="user_id", required=False)
    asked = row_id(source="asked_id", required=False, allow_null=True)
    starts_at = serializers.DateTimeField()
    ends_at = serializers.DateTimeField()
    reason = serializers.CharField(max_length=200, required=False, allow_blank=True)


@extend_schema_serializer(examples=[OpenApiExample("Myself", value={})])
class TakeInput(InputSerializer):
    """Who takes it: oneself, or for managers and leads `user`."""

    user = row_id(source="user_id", required=False)


class SwapViewSet(PortalReadOnlyViewSet):
    """Swaps: offered, taken, approved where the team wants that, given back before they begin."""

    scope_area = "oncall"
    action_permissions = dict.fromkeys(("create", "take", "approve", "give_back", "decline", "withdraw"))
    queryset = Swap.objects.all()
    serializer_class = SwapSerializer
    filterset_fields = ("rotation", "user", "asked", "taker", "state")

    @extend_schema(request=SwapInput, responses={201: SwapSerializer})
    def create(self, request: Request) -> Response:
        """Offer time on call to somebody, or to anybody."""
        require_edit_somewhere(self.actor, "oncall.add_swap")
        return self.answer(self.perform(operations.request_swap, **self.inputs(SwapInput)), status=201)

    @extend_schema(request=TakeInput, responses=SwapSerializer)
    @action(detail=True, methods=["post"])
    def take(self, request: Request, pk: str) -> Response:
        """Take the time; 409 when somebody was faster. Where swaps need approval it waits for that."""
        return self._do(operations.take_swap, self.inputs(TakeInput))

    @extend_schema(request=ReasonInput, responses=SwapSerializer)
    @action(detail=True, methods=["post"])
    def approve(self, request: Request, pk: str) -> Response:
        """Let a taken swap hold; for managers and leads."""
        return self._do(operations.approve_swap, self.inputs(ReasonInput))

    @extend_schema(request=ReasonInput, responses=SwapSerializer)
    @action(detail=True, methods=["post"], url_path="give-back")
    def give_back(self, request: Request, pk: str) -> Response:
        """Give back what was taken, before it begins; the offer is open again."""
        return self._do(operations.give_back_swap, self.inputs(ReasonInput))

    @extend_schema(request=ReasonInput, responses=SwapSerializer)
    @action(detail=True, methods=["post"])
    def decline(self, request: Request, pk: str) -> Response:
        """Decline an offer made to oneself, or as a manager or lead refuse to approve it."""
        return self._do(operations.decline_swap, self.inputs(ReasonInput))

    @extend_schema(request=ReasonInput, responses=SwapSerializer)
    @action(detail=True, methods=["post"])
    def withdraw(self, request: Request, pk: str) -> Response:
        """Take one's offer back, while nobody's taking of it holds."""
        return self._do(operations.withdraw_swap, self.inputs(ReasonInput))

    def _do(self, verb: Callable[..., Swap], given: dict[str, Any]) -> Response:
        row = self.get_object()
        self.expected_version(row)
        return self.answer(self.perform(verb, row.pk, **given))
