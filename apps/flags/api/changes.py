"""Scheduled changes over the API: those that wait, and what became of the others."""

from __future__ import annotations

from typing import Any

from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from apps.flags import operations
from apps.flags.api.inputs import WithdrawInput
from apps.flags.models import FlagChange
from apps.flags.operations.scheduling import needed_for
from apps.flags.permissions import authorize
from apps.flags.queries import visible_changes
from apps.people.api.viewsets import PortalReadOnlyViewSet


class FlagChangeSerializer(serializers.ModelSerializer[FlagChange]):
    """What a flag is to answer from an instant on."""

    flag = serializers.IntegerField(source="flag_id", read_only=True)
    created_by = serializers.IntegerField(source="created_by_id", read_only=True, allow_null=True)
    approval = serializers.IntegerField(source="approval_id", read_only=True, allow_null=True)
    change = serializers.JSONField(read_only=True)

    class Meta:
        model = FlagChange
        fields = (
            "id",
            "flag",
            "due_at",
            "change",
            "reason",
            "state",
            "detail",
            "approval",
            "base_version",
            "created_by",
            "created_at",
            "finished_at",
        )
        read_only_fields = fields


class FlagChangeViewSet(PortalReadOnlyViewSet):
    """Scheduled changes of flags. They are made at `/flags/<id>/schedule/` and `…/rollout/`."""

    scope_area = "flags"
    # Grants on a flag and leading its team allow what groups don't: the operations decide.
    action_permissions = dict.fromkeys(["list", "retrieve", "withdraw"])
    row_grants = True
    queryset = FlagChange.objects.all()
    serializer_class = FlagChangeSerializer
    filterset_fields = ("flag", "state")

    def visible(self, queryset: QuerySet[Any]) -> QuerySet[Any]:
        return visible_changes(self.request.user)

    @extend_schema(request=WithdrawInput, responses=FlagChangeSerializer)
    @action(detail=True, methods=["post"])
    def withdraw(self, request: Request, pk: str) -> Response:
        """Take back one that waits. A repeat changes nothing; 409 for one that was done."""
        row = self.get_object()
        authorize(self.actor, row.flag, needed_for(row.change))
        return self.answer(self.perform(operations.withdraw_change, row.pk, **self.inputs(WithdrawInput)))
