"""Flags over the API: each verb calls one operation and answers with the flag and its ETag."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import django_filters
from django.db.models import Prefetch, QuerySet
from django.utils.functional import cached_property
from drf_spectacular.utils import extend_schema
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.serializers import BaseSerializer

from apps.catalog.queries import visible_services
from apps.flags import operations
from apps.flags.api.changes import FlagChangeSerializer
from apps.flags.api.inputs import (
    FlagEditInput,
    FlagInput,
    KillInput,
    ReasonInput,
    RolloutInput,
    ScheduleInput,
    TryInput,
    WhoChangesInput,
)
from apps.flags.api.serializers import (
    FlagSerializer,
    KillPreviewSerializer,
    TriedSerializer,
    WhoChangesSerializer,
)
from apps.flags.evaluation.definitions import read_definition
from apps.flags.models import Flag
from apps.flags.operations.proposing import written_out
from apps.flags.operations.scheduling import check_change
from apps.flags.permissions import CHANGE, KILL, VIEW, authorize, require_add_somewhere, user_may
from apps.flags.previews import who_changes
from apps.flags.queries import preview_kill, try_out, visible_flags, with_about_shown
from apps.flags.staleness import is_stale
from apps.people.api.viewsets import PortalReadOnlyViewSet
from apps.people.models import User

# What an action on one flag needs, asked before its body is looked at; the operation asks again under its lock.
_NEEDS = {
    "partial_update": CHANGE,
    "kill": KILL,
    "bring_back": KILL,
    "disable": CHANGE,
    "enable": CHANGE,
    "preview": VIEW,
    "try_it": VIEW,
    "who_changes": VIEW,
    "schedule": VIEW,  # what it needs depends on the change: the operation asks
    "rollout": CHANGE,
}


class FlagFilter(django_filters.FilterSet):
    """By key, environment, owner, service, state, kind and type."""

    environment = django_filters.CharFilter(field_name="environment__slug", label="slug of an environment")
    owner = django_filters.NumberFilter(field_name="owner_id", label="id of a team")
    service = django_filters.NumberFilter(method="of_service", label="id of a service")
    stale = django_filters.BooleanFilter(method="of_staleness", label="expired, of one answer, or asked for by nobody")

    class Meta:
        model = Flag
        fields = ("key", "state", "kind", "type")

    def of_service(self, rows: QuerySet[Flag], name: str, value: Any) -> QuerySet[Flag]:
        return rows.filter(pk__in=Flag.services.through.objects.filter(service_id=value).values("flag_id"))

    def of_staleness(self, rows: QuerySet[Flag], name: str, value: Any) -> QuerySet[Flag]:
        return rows.filter(is_stale()) if value else rows.exclude(pk__in=Flag.objects.filter(is_stale()).values("pk"))


def _verb(request: Any) -> Callable[[Any], Any]:
    """A POST on one flag that takes `request` and answers with the flag."""

    def decorate(func: Any) -> Any:
        return extend_schema(request=request, responses=FlagSerializer)(func)

    return decorate


class FlagViewSet(PortalReadOnlyViewSet):
    """Flags. Programs ask for their values under /ofrep/v1/."""

    scope_area = "flags"
    # Grants on a flag and leading its team allow what groups don't: `inputs` and the operations decide.
    action_permissions = dict.fromkeys(["list", "retrieve", "create", *_NEEDS])
    row_grants = True
    queryset = Flag.objects.all()
    serializer_class = FlagSerializer
    filterset_class = FlagFilter

    def visible(self, queryset: QuerySet[Any]) -> QuerySet[Any]:
        user = self.request.user
        services = Prefetch("services", visible_services(user).order_by("pk"))
        return with_about_shown(visible_flags(user), user).select_related("use").prefetch_related(services)

    @cached_property
    def row(self) -> Flag:
        """The flag in the address, as the caller sees it before the verb; 404 where it is hidden."""
        found: Flag = self.get_object()
        return found

    def inputs(self, serializer_class: type[BaseSerializer[Any]], *, partial: bool = False) -> dict[str, Any]:
        if self.detail:
            authorize(self.actor, self.row, _NEEDS[self.action])
        return super().inputs(serializer_class, partial=partial)

    def _flag(self, pk: int) -> Flag:
        """The flag as it is after a verb; the caller may no longer see it, but has just changed it."""
        user = self.request.user
        services = Prefetch("services", visible_services(user).order_by("pk"))
        rows = with_about_shown(Flag.objects.select_related("environment", "use"), user)
        return rows.prefetch_related(services).get(pk=pk)

    def _run(self, verb: Callable[..., Flag], **given: Any) -> Response:
        """One operation on the flag in the address, under the caller's If-Match."""
        self.perform(verb, self.row.pk, **given, expected_version=self.expected_version(self.row))
        return self.answer(self._flag(self.row.pk))

    @extend_schema(request=FlagInput, responses={201: FlagSerializer})
    def create(self, request: Request) -> Response:
        """Make a flag that is on; leads may for their teams."""
        require_add_somewhere(self.actor)
        given = self.inputs(FlagInput)
        made = self.perform(operations.create_flag, given.pop("key"), **given)
        return self.answer(self._flag(made.pk), status=201)

    @extend_schema(request=FlagEditInput(partial=True), responses=FlagSerializer)
    def partial_update(self, request: Request, pk: str) -> Response:
        """Change what is named; the rest stays. The state has verbs of its own."""
        return self._run(operations.edit_flag, **self.inputs(FlagEditInput, partial=True))

    @_verb(KillInput)
    @action(detail=True, methods=["post"])
    def kill(self, request: Request, pk: str) -> Response:
        """Make it answer its `off` variant, in every process within 2 seconds. A repeat changes nothing."""
        return self._run(operations.kill, **self.inputs(KillInput))

    @_verb(KillInput)
    @action(detail=True, methods=["post"], url_path="bring-back")
    def bring_back(self, request: Request, pk: str) -> Response:
        """Make a killed flag answer as before the kill; one that was disabled is so again. A repeat changes nothing."""
        return self._run(operations.bring_back, **self.inputs(KillInput))

    @_verb(ReasonInput)
    @action(detail=True, methods=["post"])
    def disable(self, request: Request, pk: str) -> Response:
        """Leave the answer to each caller's own default. 409 while it is killed."""
        return self._run(operations.disable, **self.inputs(ReasonInput))

    @_verb(ReasonInput)
    @action(detail=True, methods=["post"])
    def enable(self, request: Request, pk: str) -> Response:
        """Make a disabled flag answer by its definition. 409 while it is killed."""
        return self._run(operations.enable, **self.inputs(ReasonInput))

    @extend_schema(responses=KillPreviewSerializer)
    @action(detail=True, methods=["get"])
    def preview(self, request: Request, pk: str) -> Response:
        """What a kill would change, and for whom. Nothing is changed."""
        user = request.user if isinstance(request.user, User) else None
        return Response(KillPreviewSerializer(preview_kill(self.get_object(), user=user)).data)

    @extend_schema(request=TryInput, responses=TriedSerializer)
    @action(detail=True, methods=["post"], url_path="try")
    def try_it(self, request: Request, pk: str) -> Response:
        """What it would answer to a context, if wanted by another definition. Nothing is changed."""
        given = self.inputs(TryInput)
        if given.get("definition") is not None:
            read_definition(self.row.type, given["definition"])
        return Response(TriedSerializer(try_out(self.row, given["context"], given.get("definition"))).data)

    @extend_schema(request=ScheduleInput, responses={201: FlagChangeSerializer})
    @action(detail=True, methods=["post"])
    def schedule(self, request: Request, pk: str) -> Response:
        """Have it changed at an instant, on behalf of the caller; `proposed` where a second person must approve it."""
        self._may_schedule()
        given = self.inputs(ScheduleInput)
        version = self.expected_version(self.row)
        made = self.perform(operations.schedule_change, self.row.pk, **given, expected_version=version)
        return Response(FlagChangeSerializer(made).data, status=201)

    @extend_schema(request=RolloutInput, responses={201: FlagChangeSerializer(many=True)})
    @action(detail=True, methods=["post"])
    def rollout(self, request: Request, pk: str) -> Response:
        """Have ever more people get a variant, step by step; whoever has it keeps it."""
        given = self.inputs(RolloutInput)
        version = self.expected_version(self.row)
        made = self.perform(operations.schedule_rollout, self.row.pk, **given, expected_version=version)
        return Response(FlagChangeSerializer(made, many=True).data, status=201)

    @extend_schema(request=WhoChangesInput, responses=WhoChangesSerializer)
    @action(detail=True, methods=["post"], url_path="who-changes")
    def who_changes(self, request: Request, pk: str) -> Response:
        """Who would get another answer by a change. Nothing is changed."""
        given = self.inputs(WhoChangesInput)
        change = written_out(self.row, given["change"])
        check_change(self.row, change)
        return Response(WhoChangesSerializer(who_changes(self.row, change, given["contexts"])).data)

    def _may_schedule(self) -> None:
        """Whoever may neither switch nor edit it is refused before the body is looked at."""
        user = self.request.user
        if not (user_may(user, CHANGE, self.row) or user_may(user, KILL, self.row)):
            authorize(self.actor, self.row, CHANGE)
