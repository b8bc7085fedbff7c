"""The versions of config documents over the API."""

from __future__ import annotations

from typing import Any

from django.db.models import QuerySet
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from apps.foundation.errors import Invalid, NotFound
from apps.people.api.viewsets import PortalReadOnlyViewSet
from apps.state.api.serializers import ConfigDiffSerializer, ConfigVersionDetailSerializer, ConfigVersionSerializer
from apps.state.diffs import structural_diff
from apps.state.models import ConfigVersion
from apps.state.queries import target_problems, visible_versions


class ConfigVersionViewSet(PortalReadOnlyViewSet):
    """Every state of a document that the portal has seen or made. Versions never change."""

    scope_area = "configs"
    action_permissions = {"diff": "state.view_configversion"}
    queryset = ConfigVersion.objects.select_related("document")
    serializer_class = ConfigVersionDetailSerializer
    filterset_fields = ("document", "document__slug", "origin", "number", "checksum")

    def get_serializer_class(self) -> Any:
        return ConfigVersionSerializer if self.action == "list" else ConfigVersionDetailSerializer

    def visible(self, queryset: QuerySet[Any]) -> QuerySet[Any]:
        rows = queryset.filter(pk__in=visible_versions(self.request.user).values("pk"))
        return rows.defer("content", "document__schema") if self.action == "list" else rows

    @extend_schema(
        parameters=[
            OpenApiParameter(
                "against",
                OpenApiTypes.INT,
                description="the id of another version of the document; the one before unless given",
            )
        ],
        responses=ConfigDiffSerializer,
        filters=False,
    )
    @action(detail=True, methods=["get"])
    def diff(self, request: Request, pk: str) -> Response:
        """What this version changes against another one; the first one against nothing at all."""
        version: ConfigVersion = self.get_object()
        other = self._other(version, request.query_params.get("against", ""))
        body = {
            "before_checksum": other.checksum if other else "",
            "after_checksum": version.checksum,
            "changes": structural_diff(other.content if other else {}, version.content),
            "problems": target_problems(version.document, version),
        }
        return Response(ConfigDiffSerializer(body).data)

    def _other(self, version: ConfigVersion, named: str) -> ConfigVersion | None:
        siblings = ConfigVersion.objects.filter(document_id=version.document_id)
        if not named:
            return siblings.filter(number=version.number - 1).first()
        if not (named.isascii() and named.isdecimal() and len(named) <= 18):  # noqa: PLR2004  # fits a bigint
            raise Invalid("`against` must be a version's id.", fields={"against": ["Must be a whole number."]})
        found = siblings.filter(pk=int(named)).first()
        if found is None:
            raise NotFound("This document has no such version.")
        return found
