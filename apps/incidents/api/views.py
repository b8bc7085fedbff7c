"""Incidents over the API: each verb calls one operation and answers with the incident and its ETag."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.db.models import QuerySet
from django.utils.functional import cached_property
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.serializers import BaseSerializer

from apps.foundation.clock import now
from apps.foundation.errors import Invalid
from apps.incidents import operations
from apps.incidents.api import inputs as taken
from apps.incidents.api.filters import IncidentFilter
from apps.incidents.api.serializers import (
    IncidentDetailSerializer,
    IncidentSerializer,
    LooseEndSerializer,
    ResolvedIncidentSerializer,
    TimelineEntrySerializer,
    WhoToCallSerializer,
)
from apps.incidents.contacts import who_to_call
from apps.incidents.loose_ends import loose_ends
from apps.incidents.models import Incident
from apps.incidents.permissions import COMMAND, DECLARE, RESPOND, VIEW, authorize
from apps.incidents.queries import seen_ids, subject_of, timeline
from apps.paging.api.why import WhySerializer
from apps.paging.explaining import explain
from apps.paging.operations import WORKING_HOURS, escalate_now
from apps.people.api.viewsets import PortalReadOnlyViewSet

# What an action on one incident needs. The operation checks it again under its lock; here it comes before the body is
# looked at, so that nobody learns from an error of input what they may not do, or that a hidden incident exists.
_NEEDS: dict[str, str] = {
    "acknowledge": VIEW,  # whoever was paged may, too: the operation decides
    "timeline": RESPOND,
    "roles": RESPOND,
    "hand_over": RESPOND,
    "release_role": RESPOND,
    "phase": RESPOND,
    "milestones": RESPOND,
    "page_in": RESPOND,
    "escalate": RESPOND,
    "conditions": RESPOND,
    "clear_condition": RESPOND,
    "snooze": RESPOND,
    "unsnooze": RESPOND,
    "unacknowledge": RESPOND,
    "why": VIEW,
    "contacts": VIEW,
    "severity": COMMAND,
    "type": COMMAND,
    "clock_stop": COMMAND,
    "resolve": COMMAND,
    "reopen": COMMAND,
    "keep_open": COMMAND,
    "visibility": COMMAND,
    "access": COMMAND,
    "revoke_access": COMMAND,
}


def _verb(request: Any) -> Callable[[Any], Any]:
    """A POST on one incident that takes `request` and answers with the incident."""

    def decorate(func: Any) -> Any:
        return extend_schema(request=request, responses=IncidentDetailSerializer)(func)

    return decorate


class IncidentViewSet(PortalReadOnlyViewSet):
    """What is wrong now, and what was. Only incidents that the caller may see exist here."""

    scope_area = "incidents"
    # Grants on an incident or its team may allow what the groups don't, so `inputs` and the operations decide.
    action_permissions = {**dict.fromkeys(["list", "retrieve", "loose_ends", *_NEEDS]), "create": DECLARE}
    row_grants = True
    queryset = Incident.objects.select_related("team", "environment", "declared_by", "policy_version__pack").defer(
        "policy_version__text", "policy_version__document"
    )
    serializer_class = IncidentDetailSerializer
    filterset_class = IncidentFilter

    def get_serializer_class(self) -> Any:
        shown = {"list": IncidentSerializer, "resolve": ResolvedIncidentSerializer}
        return shown.get(self.action, IncidentDetailSerializer)

    def visible(self, queryset: QuerySet[Any]) -> QuerySet[Any]:
        rows = queryset.filter(pk__in=seen_ids(self.request.user)).prefetch_related("services")
        return rows if self.action == "list" else rows.prefetch_related("roles__user", "milestones")

    def _incident(self, pk: int) -> Incident:
        """The incident as it is after a verb; the caller may no longer see it, but has just changed it."""
        rows = self.queryset.prefetch_related("services", "roles__user", "milestones")
        found: Incident = rows.get(pk=pk)
        return found

    @cached_property
    def row(self) -> Incident:
        """The incident in the address, as the caller sees it before the verb; 404 where it is hidden."""
        found: Incident = self.get_object()
        return found

    def inputs(self, serializer_class: type[BaseSerializer[Any]], *, partial: bool = False) -> dict[str, Any]:
        if self.detail:
            authorize(self.actor, self.row, _NEEDS[self.action])
        return super().inputs(serializer_class, partial=partial)

    def _run(self, verb: Callable[..., Any], *args: Any, **given: Any) -> Response:
        """One operation on the incident in the address, under the caller's If-Match."""
        self.perform(verb, self.row.pk, *args, **given, expected_version=self.expected_version(self.row))
        return self.answer(self._incident(self.row.pk))

    @extend_schema(request=taken.DeclareInput, responses={201: IncidentDetailSerializer})
    def create(self, request: Request) -> Response:
        """Declare an incident. Whom that pages, and when, the pack says."""
        given = self.inputs(taken.DeclareInput)
        renamed = {"team": "team_id", "services": "service_ids", "environment": "environment_id"}
        incident = self.perform(
            operations.declare,
            given.pop("title"),
            given.pop("severity"),
            source="api",
            **{renamed.get(name, name): value for name, value in given.items()},
        )
        return self.answer(self._incident(incident.pk), status=201)

    @extend_schema(
        methods=["GET"],
        responses=TimelineEntrySerializer(many=True),
        filters=False,
        parameters=[
            OpenApiParameter("after", OpenApiTypes.INT, description="only lines with a higher `seq`"),
        ],
    )
    @extend_schema(methods=["POST"], request=taken.PostInput, responses={201: TimelineEntrySerializer})
    @action(detail=True, methods=["get", "post"], filterset_class=None)
    def timeline(self, request: Request, pk: str) -> Response:
        """All that happened, newest first; or add a note to it."""
        if request.method == "POST":
            given = self.inputs(taken.PostInput)
            self.expected_version(self.row)
            entry = self.perform(operations.post, self.row.pk, **given)
            return self.answer(entry, status=201, serializer_class=TimelineEntrySerializer)
        page = self.paginate_queryset(timeline(self.row.pk, request.user, after=self._after()).order_by("-id"))
        return self.get_paginated_response(TimelineEntrySerializer(page, many=True).data)

    def _after(self) -> int:
        given = self.request.query_params.get("after", "0")
        if not (given.isascii() and given.isdecimal() and len(given) <= 9):  # noqa: PLR2004  # keeps it within the column
            raise Invalid("`after` must be a whole number.", fields={"after": ["Not a whole number."]})
        return int(given)

    @_verb(taken.NothingInput)
    @action(detail=True, methods=["post"])
    def acknowledge(self, request: Request, pk: str) -> Response:
        """Say that somebody looks at it: paging stops. A repeat changes nothing."""
        self.inputs(taken.NothingInput)
        return self._run(operations.acknowledge, via="api")

    @_verb(taken.TakeRoleInput)
    @action(detail=True, methods=["post"])
    def roles(self, request: Request, pk: str) -> Response:
        """Take a role, or give it. 409 names who holds it already."""
        given = self.inputs(taken.TakeRoleInput)
        return self._run(operations.take_role, given["role"], given.get("user"))

    @_verb(taken.HandOverInput)
    @action(detail=True, methods=["post"], url_path="hand-over")
    def hand_over(self, request: Request, pk: str) -> Response:
        """Move a role from its holder to another person."""
        given = self.inputs(taken.HandOverInput)
        return self._run(operations.hand_over, given["role"], given["user"])

    @_verb(taken.ReleaseRoleInput)
    @action(detail=True, methods=["post"], url_path="release-role")
    def release_role(self, request: Request, pk: str) -> Response:
        """Lay a role down."""
        return self._run(operations.release_role, self.inputs(taken.ReleaseRoleInput)["role"])

    @_verb(taken.SeverityInput)
    @action(detail=True, methods=["post"])
    def severity(self, request: Request, pk: str) -> Response:
        """Change the severity; escalation starts anew under it."""
        given = self.inputs(taken.SeverityInput)
        return self._run(operations.change_severity, given.pop("severity"), **given)

    @_verb(taken.TypeInput)
    @action(detail=True, methods=["post"])
    def type(self, request: Request, pk: str) -> Response:
        """Say what kind of incident it is, of the types that its pack names."""
        given = self.inputs(taken.TypeInput)
        return self._run(operations.change_type, given["type"], given.get("subtype", ""))

    @_verb(taken.ClockStopInput)
    @action(detail=True, methods=["post"], url_path="clock-stop")
    def clock_stop(self, request: Request, pk: str) -> Response:
        """Choose the milestone at which the clock of the target stops."""
        given = self.inputs(taken.ClockStopInput)
        return self._run(operations.choose_clock_stop, given.pop("milestone"), **given)

    @_verb(taken.PhaseInput)
    @action(detail=True, methods=["post"])
    def phase(self, request: Request, pk: str) -> Response:
        """Say how far the work has come."""
        return self._run(operations.set_phase, self.inputs(taken.PhaseInput)["phase"])

    @_verb(taken.MilestoneInput)
    @action(detail=True, methods=["post"])
    def milestones(self, request: Request, pk: str) -> Response:
        """Mark a milestone, or correct when it was reached."""
        given = self.inputs(taken.MilestoneInput)
        return self._run(operations.mark, given["milestone"], at=given.get("at"))

    @_verb(taken.PageInInput)
    @action(detail=True, methods=["post"], url_path="page-in")
    def page_in(self, request: Request, pk: str) -> Response:
        """Call a person, a role or a team into the incident."""
        given = self.inputs(taken.PageInInput)
        return self._run(
            operations.page_in,
            user_id=given.get("user"),
            role=given.get("role", ""),
            team_id=given.get("team"),
            reason=given.get("reason", ""),
        )

    @_verb(taken.EscalateInput)
    @action(detail=True, methods=["post"])
    def escalate(self, request: Request, pk: str) -> Response:
        """Take the next step of the escalation now, or call a level of your choice."""
        given = self.inputs(taken.EscalateInput)
        self.expected_version(self.row)
        self.perform(
            escalate_now,
            subject_of(self.row),
            level=given.get("level"),
            expected_step=given.get("step"),
            reason=given.get("reason", ""),
        )
        return self.answer(self._incident(self.row.pk))

    @_verb(taken.ConditionInput)
    @action(detail=True, methods=["post"])
    def conditions(self, request: Request, pk: str) -> Response:
        """Mark what the pack may escalate on: security, data loss, revenue lost, several services …"""
        given = self.inputs(taken.ConditionInput)
        return self._run(operations.mark_condition, given.pop("condition"), **given)

    @_verb(taken.ClearConditionInput)
    @action(detail=True, methods=["post"], url_path="clear-condition")
    def clear_condition(self, request: Request, pk: str) -> Response:
        """Take a condition back; who was called because of it stays called."""
        return self._run(operations.clear_condition, self.inputs(taken.ClearConditionInput)["condition"])

    @_verb(taken.SnoozeInput)
    @action(detail=True, methods=["post"])
    def snooze(self, request: Request, pk: str) -> Response:
        """Call nobody until an instant or until your working hours; then escalation begins anew."""
        given = self.inputs(taken.SnoozeInput)
        return self._run(operations.snooze, until=given.get("until") or WORKING_HOURS, reason=given.get("reason", ""))

    @_verb(taken.NothingInput)
    @action(detail=True, methods=["post"])
    def unsnooze(self, request: Request, pk: str) -> Response:
        """End a snooze, or what maintenance holds back, now."""
        self.inputs(taken.NothingInput)
        return self._run(operations.unsnooze)

    @_verb(taken.UnacknowledgeInput)
    @action(detail=True, methods=["post"])
    def unacknowledge(self, request: Request, pk: str) -> Response:
        """Take the answer back: people are paged from the first level on."""
        return self._run(operations.unacknowledge, **self.inputs(taken.UnacknowledgeInput))

    @extend_schema(responses=WhySerializer, filters=False)
    @action(detail=True, methods=["get"], filterset_class=None, pagination_class=None)
    def why(self, request: Request, pk: str) -> Response:
        """Why people were paged, and why nobody was: from the engine's own rows."""
        found = explain(subject_of(self.row), user=request.user)
        return Response(WhySerializer(found).data)

    @extend_schema(responses=WhoToCallSerializer(many=True), filters=False)
    @action(detail=True, methods=["get"], filterset_class=None, pagination_class=None)
    def contacts(self, request: Request, pk: str) -> Response:
        """Who to call, as the incident's pack says, with who answers for each role now."""
        return Response(WhoToCallSerializer(who_to_call(self.row, now()), many=True).data)

    @extend_schema(request=taken.ResolveInput, responses=ResolvedIncidentSerializer)
    @action(detail=True, methods=["post"])
    def resolve(self, request: Request, pk: str) -> Response:
        """End the incident. A repeat changes nothing. `loose_ends` tells what goes on all the same."""
        return self._run(operations.resolve, **self.inputs(taken.ResolveInput))

    @extend_schema(responses=LooseEndSerializer(many=True), filters=False)
    @action(detail=True, methods=["get"], url_path="loose-ends", filterset_class=None, pagination_class=None)
    def loose_ends(self, request: Request, pk: str) -> Response:
        """What resolving would not end: kill switches that are still off, executions that have not ended."""
        return Response(LooseEndSerializer(loose_ends(self.row, request.user), many=True).data)

    @_verb(taken.ReopenInput)
    @action(detail=True, methods=["post"])
    def reopen(self, request: Request, pk: str) -> Response:
        """Open a resolved incident again: escalation starts from its first level."""
        return self._run(operations.reopen, **self.inputs(taken.ReopenInput))

    @_verb(taken.NothingInput)
    @action(detail=True, methods=["post"], url_path="keep-open")
    def keep_open(self, request: Request, pk: str) -> Response:
        """Decline the portal's proposal to resolve."""
        self.inputs(taken.NothingInput)
        return self._run(operations.keep_open)

    @_verb(taken.VisibilityInput)
    @action(detail=True, methods=["post"])
    def visibility(self, request: Request, pk: str) -> Response:
        """Make it private or open."""
        given = self.inputs(taken.VisibilityInput)
        return self._run(operations.change_visibility, given.pop("visibility"), **given)

    @_verb(taken.AccessInput)
    @action(detail=True, methods=["post"])
    def access(self, request: Request, pk: str) -> Response:
        """Let one person see it."""
        return self._run(operations.grant_access, self.inputs(taken.AccessInput)["user"])

    @_verb(taken.AccessInput)
    @action(detail=True, methods=["post"], url_path="revoke-access")
    def revoke_access(self, request: Request, pk: str) -> Response:
        """Take a person's grant back."""
        return self._run(operations.revoke_access, self.inputs(taken.AccessInput)["user"])
