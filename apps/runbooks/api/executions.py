"""Executions over the API: ask, start, cancel, decide, and follow."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.db.models import Prefetch, QuerySet
from django.utils.functional import cached_property
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.serializers import BaseSerializer

from apps.approvals.permissions import BYPASS
from apps.approvals.queries import why_not_ahead
from apps.foundation.errors import Invalid, NotFound
from apps.people.api.viewsets import PortalReadOnlyViewSet
from apps.people.permissions import require
from apps.people.queries import user_of
from apps.runbooks.api import execution_serializers as shown
from apps.runbooks.api.execution_serializers import ExecutionSerializer
from apps.runbooks.models import Execution, LogLine, StepRun
from apps.runbooks.operations.executing import cancel, finish_manual, settle, start
from apps.runbooks.operations.starting import begin, preflight
from apps.runbooks.permissions import require_execute_somewhere, require_steer
from apps.runbooks.planning import Plan
from apps.runbooks.queries import visible_executions

__all__ = ["ExecutionSerializer", "ExecutionViewSet"]

_STARTS = {"execute", "bypass_and_execute"}
_STEERS = {*_STARTS, "settle", "finish_manual"}


def _verb(request: Any) -> Callable[[Any], Any]:
    """A POST on one execution that takes `request` and answers with the execution."""

    def decorate(func: Any) -> Any:
        return extend_schema(request=request, responses=shown.ExecutionDetailSerializer)(func)

    return decorate


class ExecutionViewSet(PortalReadOnlyViewSet):
    """Runbooks at work, asked for, and over. Those of incidents that the caller may not see are not here."""

    scope_area = "runbooks"
    # Grants on a runbook and leads of its owner may do what their groups don't, so `inputs` and the operations decide.
    action_permissions = dict.fromkeys(
        ["list", "retrieve", "create", "execute", "bypass_and_execute", "cancel", "settle", "finish_manual", "log"]
    )
    queryset = Execution.objects.all()
    serializer_class = shown.ExecutionDetailSerializer
    filterset_fields = ("state", "runbook", "incident", "requested_by", "dry_run")

    def get_serializer_class(self) -> Any:
        return ExecutionSerializer if self.action == "list" else shown.ExecutionDetailSerializer

    def visible(self, queryset: QuerySet[Any]) -> QuerySet[Any]:
        rows = queryset.filter(pk__in=visible_executions(self.request.user).order_by().values("pk"))
        return rows if self.action == "list" else self._with_steps(rows)

    @staticmethod
    def _with_steps(rows: QuerySet[Any]) -> QuerySet[Any]:
        steps = Prefetch("steps", StepRun.objects.order_by("order"))
        return rows.select_related("runbook").prefetch_related(steps)

    @cached_property
    def row(self) -> Execution:
        """The execution in the address, as it was before the verb; 404 where the caller may not see it."""
        found: Execution = self.get_object()
        return found

    @cached_property
    def plan(self) -> Plan:
        """What it would do now. It asks the network, so it is looked at before any transaction begins."""
        return preflight(self.row.pk, actor=self.actor)

    def _once(
        self, handler: Callable[..., Response], key: str, request: Request, *args: Any, **kwargs: Any
    ) -> Response:
        """The preflight of a start comes before the transaction that keeps its answer; a repeat looks no more."""
        if self.action in _STARTS and self.row.started_at is None:
            require_steer(self.actor, self.row)
            self.inputs(shown.ExecuteInput if self.action == "execute" else shown.ExecutionReasonInput)
            if self.plan.content_hash != self.row.content_hash and not self.plan.problems:
                # It will be refused, and what the refusal writes (the approval is void) must stay.
                return handler(request, *args, **kwargs)
            ahead = self.row.approval.answered_by if self.row.approval is not None else None
            if ahead is not None and why_not_ahead(ahead, user_of(self.actor)):
                # Refused as well, and that a second person is asked now must stay.
                return handler(request, *args, **kwargs)
        return super()._once(handler, key, request, *args, **kwargs)

    def inputs(self, serializer_class: type[BaseSerializer[Any]], *, partial: bool = False) -> dict[str, Any]:
        if self.action in _STEERS or (self.action == "cancel" and self.row.requested_by_id != self.actor.user_id):
            require_steer(self.actor, self.row)
        elif self.action == "create":
            require_execute_somewhere(self.actor)
        if self.action == "bypass_and_execute":
            require(self.actor, BYPASS)
        return super().inputs(serializer_class, partial=partial)

    def _shown(self, pk: int, status: int = 200) -> Response:
        return self.answer(self._with_steps(Execution.objects.filter(pk=pk)).get(), status=status)

    @extend_schema(request=shown.StartInput, responses={201: shown.ExecutionDetailSerializer})
    def create(self, request: Request) -> Response:
        """Ask for what a dry run showed. The same dry run again gives the same execution."""
        given = self.inputs(shown.StartInput)
        made = self.perform(start, given.pop("dry_run"), **given)
        return self._shown(made.pk, status=201)

    @_verb(shown.ExecuteInput)
    @action(detail=True, methods=["post"])
    def execute(self, request: Request, pk: str) -> Response:
        """Start it: workers take its steps. 409 says why not: already_started, plan_changed, target_locked, or why
        its approval does not hold."""
        self.inputs(shown.ExecuteInput)
        version = self.expected_version(self.row)
        self.perform(begin, self.row.pk, self.plan, expected_version=version)
        return self._shown(self.row.pk)

    @_verb(shown.ExecutionReasonInput)
    @action(detail=True, methods=["post"], url_path="bypass-and-execute")
    def bypass_and_execute(self, request: Request, pk: str) -> Response:
        """Start it in an emergency without its approval; everybody who might have decided is told."""
        given = self.inputs(shown.ExecutionReasonInput)
        version = self.expected_version(self.row)
        reason = given["reason"]
        self.perform(begin, self.row.pk, self.plan, expected_version=version, bypass_reason=reason)
        return self._shown(self.row.pk)

    @_verb(shown.ExecutionReasonInput)
    @action(detail=True, methods=["post"])
    def cancel(self, request: Request, pk: str) -> Response:
        """Stop it: the running step is finished, then what was done is undone. A repeat changes nothing."""
        given = self.inputs(shown.ExecutionReasonInput)
        self.expected_version(self.row)
        self.perform(cancel, self.row.pk, **given)
        return self._shown(self.row.pk)

    @_verb(shown.SettleInput)
    @action(detail=True, methods=["post"])
    def settle(self, request: Request, pk: str) -> Response:
        """Say whether a step of unknown outcome has happened."""
        given = self.inputs(shown.SettleInput)
        self.expected_version(self.row)
        self.perform(settle, self._step(given.pop("step")), **given)
        return self._shown(self.row.pk)

    @_verb(shown.FinishManualInput)
    @action(detail=True, methods=["post"], url_path="finish-manual")
    def finish_manual(self, request: Request, pk: str) -> Response:
        """Say that a step which waits for a person is done, or can't be done."""
        given = self.inputs(shown.FinishManualInput)
        self.expected_version(self.row)
        self.perform(finish_manual, self._step(given.pop("step")), **given)
        return self._shown(self.row.pk)

    @extend_schema(
        responses=shown.LogLineSerializer(many=True),
        filters=False,
        operation_id="executions_log_list",
        parameters=[OpenApiParameter("after", OpenApiTypes.INT, description="only lines with a higher `id`")],
    )
    @action(detail=True, methods=["get"], filterset_fields=None)
    def log(self, request: Request, pk: str) -> Response:
        """What it said while it worked, newest first."""
        rows = LogLine.objects.filter(execution=self.row, id__gt=self._after()).order_by("-id")
        return self.get_paginated_response(shown.LogLineSerializer(self.paginate_queryset(rows), many=True).data)

    def _after(self) -> int:
        given = self.request.query_params.get("after", "0")
        if not (given.isascii() and given.isdecimal() and len(given) <= 18):  # noqa: PLR2004  # keeps it within the column
            raise Invalid("`after` must be a whole number.", fields={"after": ["Not a whole number."]})
        return int(given)

    def _step(self, step_id: int) -> int:
        if not StepRun.objects.filter(pk=step_id, execution=self.row).exists():
            raise NotFound("This execution has no such step.", fields={"step": ["There is no such step."]})
        return step_id
