"""Requests for approval over the API: each verb calls one operation."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import django_filters
from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from apps.approvals import operations
from apps.approvals.api.serializers import ApprovalNoteInput, ApprovalReasonInput, ApprovalSerializer
from apps.approvals.models import ApprovalRequest
from apps.approvals.permissions import require_bypass, require_decide, require_withdraw
from apps.approvals.queries import visible_requests, waiting_for
from apps.people.api.viewsets import PortalReadOnlyViewSet


class ApprovalFilter(django_filters.FilterSet):
    """By state, subject and requester; `waiting` gives what waits for the caller's decision."""

    waiting = django_filters.BooleanFilter(method="mine", label="only what waits for one's decision, or only the rest")

    class Meta:
        model = ApprovalRequest
        fields = ("waiting", "kind", "state", "subject_kind", "subject_key", "team", "requested_by")

    def mine(self, queryset: QuerySet[ApprovalRequest], name: str, value: bool) -> QuerySet[ApprovalRequest]:
        if self.request is None:
            return queryset
        found = waiting_for(self.request.user).values("pk")
        return queryset.filter(pk__in=found) if value else queryset.exclude(pk__in=found)


class ApprovalViewSet(PortalReadOnlyViewSet):
    """Requests about what the caller may see, newest first. Runbooks ask; here they are decided."""

    scope_area = "approvals"
    # Leads of teams may decide without a permission: the operations say who may.
    action_permissions = dict.fromkeys(["list", "retrieve", "approve", "refuse", "withdraw", "bypass"])
    queryset = ApprovalRequest.objects.all()
    serializer_class = ApprovalSerializer
    filterset_class = ApprovalFilter

    def visible(self, queryset: QuerySet[Any]) -> QuerySet[Any]:
        return visible_requests(self.request.user)

    def _run(self, verb: Callable[..., Any], check: Callable[[ApprovalRequest], None], taken: Any) -> Response:
        """One verb: who may not do it hears so before the body is looked at."""
        row = self.get_object()
        check(row)
        self.expected_version(row)
        self.perform(verb, row.pk, **self.inputs(taken))
        return self.answer(visible_requests(self.request.user).filter(pk=row.pk).first() or row)

    @extend_schema(request=ApprovalNoteInput, responses=ApprovalSerializer)
    @action(detail=True, methods=["post"])
    def approve(self, request: Request, pk: str) -> Response:
        """Say yes to exactly what is asked; never to one's own request."""
        return self._run(operations.approve, lambda row: require_decide(self.actor, row), ApprovalNoteInput)

    @extend_schema(request=ApprovalReasonInput, responses=ApprovalSerializer)
    @action(detail=True, methods=["post"])
    def refuse(self, request: Request, pk: str) -> Response:
        """Say no, and why."""
        return self._run(operations.refuse, lambda row: require_decide(self.actor, row), ApprovalReasonInput)

    @extend_schema(request=ApprovalNoteInput, responses=ApprovalSerializer)
    @action(detail=True, methods=["post"])
    def withdraw(self, request: Request, pk: str) -> Response:
        """Take one's own request back, or what stands ahead of time: that needs a reason."""
        return self._run(operations.withdraw, lambda row: require_withdraw(self.actor, row), ApprovalNoteInput)

    @extend_schema(request=ApprovalReasonInput, responses=ApprovalSerializer)
    @action(detail=True, methods=["post"])
    def bypass(self, request: Request, pk: str) -> Response:
        """Go on without an approval in an emergency; all who could have decided are told."""
        return self._run(operations.bypass, lambda _row: require_bypass(self.actor), ApprovalReasonInput)
