"""Services, environments and dependencies, over the API."""

from __future__ import annotations

from typing import Any

from django.db.models import QuerySet
from drf_spectacular.utils import OpenApiExample, extend_schema, extend_schema_serializer
from rest_framework import serializers
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from apps.catalog import operations
from apps.catalog.api.teams import LARGEST_ID, SLUG
from apps.catalog.models import Dependency, Environment, Service
from apps.catalog.permissions import leads_any_team, require_service_editor, require_team_editor
from apps.catalog.queries import dependant_closure, dependency_closure, visible_services
from apps.people.api.serializers import InputSerializer
from apps.people.api.viewsets import PortalReadOnlyViewSet
from apps.people.permissions import require


class EnvironmentSerializer(serializers.ModelSerializer[Environment]):
    """Where services run."""

    class Meta:
        model = Environment
        fields = ("id", "slug", "name", "position")
        read_only_fields = fields


@extend_schema_serializer(examples=[OpenApiExample("Staging", value={"slug": "staging", "name": "Staging"})])
class EnvironmentInput(InputSerializer):
    """An environment."""

    slug = serializers.RegexField(SLUG, max_length=40)
    name = serializers.CharField(max_length=80)
    position = serializers.IntegerField(min_value=0, max_value=32767, required=False)


class EnvironmentViewSet(PortalReadOnlyViewSet):
    """Environments."""

    scope_area = "catalog"
    queryset = Environment.objects.all()
    serializer_class = EnvironmentSerializer
    filterset_fields = ("slug",)

    @extend_schema(request=EnvironmentInput, responses={201: EnvironmentSerializer})
    def create(self, request: Request) -> Response:
        """Make an environment."""
        return self.answer(self.perform(operations.create_environment, self.inputs(EnvironmentInput)), status=201)

    @extend_schema(request=EnvironmentInput(partial=True), responses=EnvironmentSerializer)
    def partial_update(self, request: Request, pk: str) -> Response:
        """Change what is named; the rest stays."""
        row = self.get_object()
        self.expected_version(row)
        given = self.inputs(EnvironmentInput, partial=True)
        return self.answer(self.perform(operations.update_environment, row.pk, given))

    def destroy(self, request: Request, pk: str) -> Response:
        """Delete an environment that no incident names."""
        row = self.get_object()
        self.expected_version(row)
        self.perform(operations.delete_environment, row.pk)
        return Response(status=204)


class ServiceSerializer(serializers.ModelSerializer[Service]):
    """Something that can break and that a team owns."""

    owner = serializers.IntegerField(source="owner_id", read_only=True, help_text="a team's id")
    policy_pack = serializers.IntegerField(
        source="policy_pack_id", read_only=True, allow_null=True, help_text="a pack's id; null follows the owner's"
    )
    environments = serializers.PrimaryKeyRelatedField(many=True, read_only=True)  # type: ignore[var-annotated]  # of the stubs

    class Meta:
        model = Service
        fields = (
            "id",
            "slug",
            "name",
            "description",
            "owner",
            "criticality",
            "environments",
            "policy_pack",
            "runbook_url",
            "dashboard_url",
        )
        read_only_fields = fields


@extend_schema_serializer(
    examples=[OpenApiExample("API", value={"slug": "api", "name": "API", "owner": 1, "criticality": "critical"})]
)
class ServiceInput(InputSerializer):
    """A service."""

    slug = serializers.RegexField(SLUG, max_length=60)
    name = serializers.CharField(max_length=120)
    description = serializers.CharField(max_length=10_000, required=False, allow_blank=True)
    owner = serializers.IntegerField(source="owner_id", min_value=1, max_value=LARGEST_ID, help_text="a team's id")
    criticality = serializers.ChoiceField(choices=Service.Criticality.choices, required=False)
    environments = serializers.ListField(
        child=serializers.IntegerField(min_value=1, max_value=LARGEST_ID),
        source="environment_ids",
        max_length=50,
        required=False,
    )
    policy_pack = serializers.IntegerField(
        source="policy_pack_id", min_value=1, max_value=LARGEST_ID, required=False, allow_null=True
    )
    runbook_url = serializers.URLField(max_length=500, required=False, allow_blank=True)
    dashboard_url = serializers.URLField(max_length=500, required=False, allow_blank=True)


class ReachSerializer(serializers.Serializer[Any]):
    """A service and how many steps away it is."""

    service = serializers.IntegerField()
    slug = serializers.CharField()
    distance = serializers.IntegerField()


class ClosureSerializer(serializers.Serializer[Any]):
    """All that a service needs, and all that need it."""

    needs = ReachSerializer(many=True)
    needed_by = ReachSerializer(many=True)


class ServiceViewSet(PortalReadOnlyViewSet):
    """Services. The owning team's lead edits them; managers edit all."""

    scope_area = "catalog"
    action_permissions = dict.fromkeys(("list", "retrieve", "create", "partial_update", "destroy", "closure"))
    queryset = Service.objects.all()
    serializer_class = ServiceSerializer
    filterset_fields = ("slug", "owner", "criticality", "environments")

    def visible(self, queryset: QuerySet[Any]) -> QuerySet[Any]:
        return visible_services(self.request.user).prefetch_related("environments")

    @extend_schema(request=ServiceInput, responses={201: ServiceSerializer})
    def create(self, request: Request) -> Response:
        """Make a service; the lead of the owning team may, too."""
        if not leads_any_team(self.request.user):
            require(self.actor, "catalog.add_service")
        given = self.inputs(ServiceInput)
        environments = given.pop("environment_ids", None)
        return self.answer(self.perform(operations.create_service, given, environment_ids=environments), status=201)

    @extend_schema(request=ServiceInput(partial=True), responses=ServiceSerializer)
    def partial_update(self, request: Request, pk: str) -> Response:
        """Change what is named; the rest stays."""
        service = self.get_object()
        require_service_editor(self.actor, service)
        self.expected_version(service)
        given = self.inputs(ServiceInput, partial=True)
        environments = given.pop("environment_ids", None)
        return self.answer(self.perform(operations.update_service, service.pk, given, environment_ids=environments))

    def destroy(self, request: Request, pk: str) -> Response:
        """Delete a service that nothing needs any more."""
        service = self.get_object()
        require_team_editor(self.actor, service.owner, "catalog.delete_service")
        self.expected_version(service)
        self.perform(operations.delete_service, service.pk)
        return Response(status=204)

    @extend_schema(responses=ClosureSerializer)
    @action(detail=True, methods=["get"])
    def closure(self, request: Request, pk: str) -> Response:
        """All services that this one needs, and all that need it, directly or not, with the distance in steps."""
        service = self.get_object()
        needs, needed_by = dependency_closure([service.pk]), dependant_closure([service.pk])
        slugs = dict(visible_services(self.request.user).filter(pk__in={*needs, *needed_by}).values_list("pk", "slug"))
        return Response({"needs": _reached(needs, slugs), "needed_by": _reached(needed_by, slugs)})


def _reached(distances: dict[int, int], slugs: dict[int, str]) -> list[dict[str, Any]]:
    nearest_first = sorted((distance, slugs[pk], pk) for pk, distance in distances.items() if pk in slugs)
    return [{"service": pk, "slug": slug, "distance": distance} for distance, slug, pk in nearest_first]


class DependencySerializer(serializers.ModelSerializer[Dependency]):
    """`service` needs `depends_on`."""

    service = serializers.IntegerField(source="service_id", read_only=True)
    depends_on = serializers.IntegerField(source="depends_on_id", read_only=True)

    class Meta:
        model = Dependency
        fields = ("id", "service", "depends_on", "kind")
        read_only_fields = fields


@extend_schema_serializer(examples=[OpenApiExample("Needs", value={"service": 1, "depends_on": 2, "kind": "hard"})])
class DependencyInput(InputSerializer):
    """What needs what."""

    service = serializers.IntegerField(min_value=1, max_value=LARGEST_ID)
    depends_on = serializers.IntegerField(min_value=1, max_value=LARGEST_ID)
    kind = serializers.ChoiceField(choices=Dependency.Kind.choices, required=False)


class DependencyViewSet(PortalReadOnlyViewSet):
    """What services need to work. Circles are allowed."""

    scope_area = "catalog"
    action_permissions = {
        "list": "catalog.view_dependency",
        "retrieve": "catalog.view_dependency",
        "create": None,
        "destroy": None,
    }
    queryset = Dependency.objects.select_related("service__owner")
    serializer_class = DependencySerializer
    filterset_fields = ("service", "depends_on", "kind")

    def visible(self, queryset: QuerySet[Any]) -> QuerySet[Any]:
        shown = visible_services(self.request.user).values("pk")
        return queryset.filter(service__in=shown, depends_on__in=shown)

    @extend_schema(request=DependencyInput, responses={201: DependencySerializer})
    def create(self, request: Request) -> Response:
        """State that a service needs another one. The same again returns what is there."""
        if not leads_any_team(self.request.user):
            require(self.actor, "catalog.add_dependency")
        given = self.inputs(DependencyInput)
        row = self.perform(operations.add_dependency, given.pop("service"), given.pop("depends_on"), **given)
        return self.answer(row, status=201)

    def destroy(self, request: Request, pk: str) -> Response:
        """Take the statement back."""
        row = self.get_object()
        require_service_editor(self.actor, row.service, "catalog.delete_dependency")
        self.expected_version(row)
        self.perform(operations.remove_dependency, row.pk)
        return Response(status=204)
