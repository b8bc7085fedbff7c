"""Mitigations over the API: what there is, and pressing one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.contrib.auth.models import AnonymousUser
from django.db.models import Q, QuerySet
from django.utils.functional import cached_property
from drf_spectacular.utils import OpenApiExample, extend_schema, extend_schema_serializer
from rest_framework import serializers
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from apps.people.api.idempotency import is_answered
from apps.people.api.serializers import InputSerializer
from apps.people.api.viewsets import PortalReadOnlyViewSet
from apps.people.models import User
from apps.runbooks.api.execution_serializers import ExecutionDetailSerializer
from apps.runbooks.models import Mitigation, MitigationGroupPermission, MitigationUserPermission
from apps.runbooks.operations.mitigating import look_for, press
from apps.runbooks.permissions import USE, require_use
from apps.runbooks.planning import Looked

VIEW = "runbooks.view_mitigation"
LARGEST_ID = 2**63 - 1


def visible_mitigations(user: User | AnonymousUser) -> QuerySet[Mitigation]:
    """All for those who may see or use all of them; else those for which there is a grant to see or use one."""
    rows = Mitigation.objects.all()
    if not isinstance(user, User) or not user.is_active:
        return rows.none()
    if user.has_perm(VIEW) or user.has_perm(USE):
        return rows
    held = {"permission__codename__in": ["view_mitigation", "use_mitigation"]}
    mine = MitigationUserPermission._default_manager.filter(user=user, **held)
    ours = MitigationGroupPermission._default_manager.filter(group__in=user.groups.values("pk"), **held)
    return rows.filter(Q(pk__in=mine.values("content_object_id")) | Q(pk__in=ours.values("content_object_id")))


class MitigationSerializer(serializers.ModelSerializer[Mitigation]):
    """A runbook with its parameters filled in, as one button."""

    runbook = serializers.IntegerField(source="runbook_id", read_only=True)
    parameters = serializers.DictField(child=serializers.JSONField(allow_null=True), read_only=True)

    class Meta:
        model = Mitigation
        fields = ("id", "slug", "name", "description", "runbook", "parameters", "position")
        read_only_fields = fields


@extend_schema_serializer(
    examples=[OpenApiExample("In an incident", value={"incident": 1, "reason": "Purchases fail since 02:40"})]
)
class UseInput(InputSerializer):
    """For which incident, and why."""

    incident = serializers.IntegerField(
        min_value=1, max_value=LARGEST_ID, required=False, allow_null=True, default=None, source="incident_id"
    )
    reason = serializers.CharField(max_length=2000)


class MitigationViewSet(PortalReadOnlyViewSet):
    """One-click mitigations. Holders of `runbooks.use_mitigation`, for all or for one, may use them."""

    scope_area = "runbooks"
    action_permissions = {"list": None, "retrieve": None, "use": None}
    queryset = Mitigation.objects.all()
    serializer_class = MitigationSerializer
    filterset_fields = ("runbook", "slug")

    def visible(self, queryset: QuerySet[Any]) -> QuerySet[Any]:
        return queryset.filter(pk__in=visible_mitigations(self.request.user).order_by().values("pk"))

    @cached_property
    def row(self) -> Mitigation:
        """The mitigation in the address, which the caller may use."""
        found: Mitigation = self.get_object()
        require_use(self.actor, found)
        return found

    @cached_property
    def wanted(self) -> dict[str, Any]:
        """The checked body of a press."""
        self.expected_version(self.row)
        return self.inputs(UseInput)

    @cached_property
    def seen(self) -> Looked:
        """What it would do now. It asks the network, so it is looked at before any transaction begins."""
        return look_for(self.row.pk, **self.wanted, actor=self.actor)

    def _once(
        self, handler: Callable[..., Response], key: str, request: Request, *args: Any, **kwargs: Any
    ) -> Response:
        """The look comes before the transaction that keeps the answer; a repeat looks no more."""
        if self.action == "use" and not is_answered(request, key):
            _ = self.seen
        return super()._once(handler, key, request, *args, **kwargs)

    @extend_schema(request=UseInput, responses={201: ExecutionDetailSerializer})
    @action(detail=True, methods=["post"])
    def use(self, request: Request, pk: str) -> Response:
        """Press the button: a dry run, and then its execution. It begins at once where no approval is needed."""
        execution = self.perform(press, self.row.pk, self.seen, **self.wanted)
        return self.answer(execution, status=201, serializer_class=ExecutionDetailSerializer)
