"""Incidents over the API: each verb calls one operation and answers with the incident and its ETag."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.db.models import QuerySet
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from apps.foundation.errors import Invalid
from apps.incidents import operations
from apps.incidents.api import inputs
from apps.incidents.api.filters import IncidentFilter
from apps.incidents.api.serializers import IncidentDetailSerializer, IncidentSerializer, TimelineEntrySerializer
from apps.incidents.models import Incident
from apps.incidents.permissions import DECLARE
from apps.incidents.queries import timeline, visible_to
from apps.people.api.viewsets import PortalReadOnlyViewSet

# The operations decide, since grants on the incident or its team may allow what the groups don't.
_BY_OPERATION = (
    "list",
    "retrieve",
    "timeline",
    "acknowledge",
    "roles",
    "hand_over",
    "release_role",
    "severity",
    "phase",
    "milestones",
    "page_in",
    "resolve",
    "reopen",
    "keep_open",
    "visibility",
    "access",
    "revoke_access",
)


def _verb(request: Any) -> Callable[[Any], Any]:
    """A POST on one incident that takes `request` and answers with the incident."""

    def decorate(func: Any) -> Any:
        return extend_schema(request=request, responses=IncidentDetailSerializer)(func)

    return decorate


class IncidentViewSet(PortalReadOnlyViewSet):
    """What is wrong now, and what was. Only incidents that the caller may see exist here."""

    scope_area = "incidents"
    action_permissions = {**dict.fromkeys(_BY_OPERATION), "create": DECLARE}
    row_grants = True
    queryset = Incident.objects.select_related("team", "environment", "declared_by", "policy_version__pack").defer(
        "policy_version__text", "policy_version__document"
    )
    serializer_class = IncidentDetailSerializer
    filterset_class = IncidentFilter

    def get_serializer_class(self) -> Any:
        return IncidentSerializer if self.action == "list" else IncidentDetailSerializer

    def visible(self, queryset: QuerySet[Any]) -> QuerySet[Any]:
        rows = queryset.filter(pk__in=visible_to(self.request.user).values("pk")).prefetch_related("services")
        return rows if self.action == "list" else rows.prefetch_related("roles__user", "milestones")

    def _incident(self, pk: int) -> Incident:
        """The incident as it is after a verb; the caller may no longer see it, but has just changed it."""
        rows = self.queryset.prefetch_related("services", "roles__user", "milestones")
        found: Incident = rows.get(pk=pk)
        return found

    def _run(self, verb: Callable[..., Any], *args: Any, **given: Any) -> Response:
        """One operation on the incident in the address, under the caller's If-Match."""
        incident = self.get_object()
        self.perform(verb, incident.pk, *args, **given, expected_version=self.expected_version(incident))
        return self.answer(self._incident(incident.pk))

    @extend_schema(request=inputs.DeclareInput, responses={201: IncidentDetailSerializer})
    def create(self, request: Request) -> Response:
        """Declare an incident. Whom that pages, and when, the pack says."""
        given = self.inputs(inputs.DeclareInput)
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
    @extend_schema(methods=["POST"], request=inputs.PostInput, responses={201: TimelineEntrySerializer})
    @action(detail=True, methods=["get", "post"], filterset_class=None)
    def timeline(self, request: Request, pk: str) -> Response:
        """All that happened, newest first; or add a note to it."""
        incident = self.get_object()
        if request.method == "POST":
            entry = self.perform(operations.post, incident.pk, **self.inputs(inputs.PostInput))
            return self.answer(entry, status=201, serializer_class=TimelineEntrySerializer)
        page = self.paginate_queryset(timeline(incident.pk, request.user, after=self._after()).order_by("-id"))
        return self.get_paginated_response(TimelineEntrySerializer(page, many=True).data)

    def _after(self) -> int:
        given = self.request.query_params.get("after", "0")
        if not (given.isascii() and given.isdecimal() and len(given) <= 9):  # noqa: PLR2004  # keeps it within the column
            raise Invalid("`after` must be a whole number.", fields={"after": ["Not a whole number."]})
        return int(given)

    @_verb(inputs.NothingInput)
    @action(detail=True, methods=["post"])
    def acknowledge(self, request: Request, pk: str) -> Response:
        """Say that somebody looks at it: paging stops. A repeat changes nothing."""
        self.inputs(inputs.NothingInput)
        return self._run(operations.acknowledge, via="api")

    @_verb(inputs.TakeRoleInput)
    @action(detail=True, methods=["post"])
    def roles(self, request: Request, pk: str) -> Response:
        """Take a role, or give it. 409 names who holds it already."""
        given = self.inputs(inputs.TakeRoleInput)
        return self._run(operations.take_role, given["role"], given.get("user"))

    @_verb(inputs.HandOverInput)
    @action(detail=True, methods=["post"], url_path="hand-over")
    def hand_over(self, request: Request, pk: str) -> Response:
        """Move a role from its holder to another person."""
        given = self.inputs(inputs.HandOverInput)
        return self._run(operations.hand_over, given["role"], given["user"])

    @_verb(inputs.ReleaseRoleInput)
    @action(detail=True, methods=["post"], url_path="release-role")
    def release_role(self, request: Request, pk: str) -> Response:
        """Lay a role down."""
        return self._run(operations.release_role, self.inputs(inputs.ReleaseRoleInput)["role"])

    @_verb(inputs.SeverityInput)
    @action(detail=True, methods=["post"])
    def severity(self, request: Request, pk: str) -> Response:
        """Change the severity; escalation starts anew under it."""
        given = self.inputs(inputs.SeverityInput)
        return self._run(operations.change_severity, given.pop("severity"), **given)

    @_verb(inputs.PhaseInput)
    @action(detail=True, methods=["post"])
    def phase(self, request: Request, pk: str) -> Response:
        """Say how far the work has come."""
        return self._run(operations.set_phase, self.inputs(inputs.PhaseInput)["phase"])

    @_verb(inputs.MilestoneInput)
    @action(detail=True, methods=["post"])
    def milestones(self, request: Request, pk: str) -> Response:
        """Mark a milestone, or correct when it was reached."""
        given = self.inputs(inputs.MilestoneInput)
        return self._run(operations.mark, given["milestone"], at=given.get("at"))

    @_verb(inputs.PageInInput)
    @action(detail=True, methods=["post"], url_path="page-in")
    def page_in(self, request: Request, pk: str) -> Response:
        """Call a person, a role or a team into the incident."""
        given = self.inputs(inputs.PageInInput)
        return self._run(
            operations.page_in,
            user_id=given.get("user"),
            role=given.get("role", ""),
            team_id=given.get("team"),
            reason=given.get("reason", ""),
        )

    @_verb(inputs.ResolveInput)
    @action(detail=True, methods=["post"])
    def resolve(self, request: Request, pk: str) -> Response:
        """End the incident. A repeat changes nothing."""
        return self._run(operations.resolve, **self.inputs(inputs.ResolveInput))

    @_verb(inputs.ReopenInput)
    @action(detail=True, methods=["post"])
    def reopen(self, request: Request, pk: str) -> Response:
        """Open a resolved incident again: escalation starts from its first level."""
        return self._run(operations.reopen, **self.inputs(inputs.ReopenInput))

    @_verb(inputs.NothingInput)
    @action(detail=True, methods=["post"], url_path="keep-open")
    def keep_open(self, request: Request, pk: str) -> Response:
        """Decline the portal's proposal to resolve."""
        self.inputs(inputs.NothingInput)
        return self._run(operations.keep_open)

    @_verb(inputs.VisibilityInput)
    @action(detail=True, methods=["post"])
    def visibility(self, request: Request, pk: str) -> Response:
        """Make it private or open."""
        given = self.inputs(inputs.VisibilityInput)
        return self._run(operations.change_visibility, given.pop("visibility"), **given)

    @_verb(inputs.AccessInput)
    @action(detail=True, methods=["post"])
    def access(self, request: Request, pk: str) -> Response:
        """Let one person see it."""
        return self._run(operations.grant_access, self.inputs(inputs.AccessInput)["user"])

    @_verb(inputs.AccessInput)
    @action(detail=True, methods=["post"], url_path="revoke-access")
    def revoke_access(self, request: Request, pk: str) -> Response:
        """Take a person's grant back."""
        return self._run(operations.revoke_access, self.inputs(inputs.AccessInput)["user"])
