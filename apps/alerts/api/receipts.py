"""Receipts, over the API: what arrived, and what waits for a person."""

from __future__ import annotations

from typing import Any

from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema, extend_schema_field
from rest_framework import serializers
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from apps.alerts import operations
from apps.alerts.models import Receipt
from apps.alerts.queries import visible_receipts
from apps.people.api.viewsets import PortalReadOnlyViewSet


class ReceiptSerializer(serializers.ModelSerializer[Receipt]):
    """What one POST brought."""

    integration = serializers.IntegerField(source="integration_id", read_only=True)

    class Meta:
        model = Receipt
        fields = ("id", "integration", "state", "received_at", "done_at", "error")
        read_only_fields = fields


class ReceiptDetailSerializer(ReceiptSerializer):
    """The same with its body."""

    body = serializers.SerializerMethodField(help_text="the payload as it arrived, as text")

    class Meta(ReceiptSerializer.Meta):
        fields = (*ReceiptSerializer.Meta.fields, "body")  # type: ignore[assignment]  # a longer tuple than the parent's
        read_only_fields = fields  # type: ignore[assignment]  # the same

    @extend_schema_field(serializers.CharField())
    def get_body(self, receipt: Receipt) -> str:
        return bytes(receipt.body).decode("utf-8", "replace")


class ReceiptViewSet(PortalReadOnlyViewSet):
    """Receipts, the newest first."""

    scope_area = "alerts"
    queryset = Receipt.objects.all()
    serializer_class = ReceiptSerializer
    filterset_fields = ("state", "integration")
    action_permissions = {"retry": "alerts.retry_receipt"}

    def visible(self, queryset: QuerySet[Any]) -> QuerySet[Any]:
        rows = visible_receipts(self.request.user)
        return rows.defer("body") if self.action == "list" else rows

    def get_serializer_class(self) -> type[ReceiptSerializer]:
        return ReceiptSerializer if self.action == "list" else ReceiptDetailSerializer

    @extend_schema(request=None, responses=ReceiptDetailSerializer)
    @action(detail=True, methods=["post"])
    def retry(self, request: Request, pk: str) -> Response:
        """Have a receipt that was set aside handled again."""
        return self.answer(self.perform(operations.retry_receipt, self.get_object().pk))
