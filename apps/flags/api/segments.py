"""Segments over the API."""

from __future__ import annotations

from typing import Any

from django.db.models import QuerySet
from django.utils.functional import cached_property
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.serializers import BaseSerializer

from apps.flags import operations
from apps.flags.api.inputs import SegmentEditInput, SegmentInput
from apps.flags.models import Segment
from apps.flags.permissions import authorize_segment, require_add_segment_somewhere
from apps.flags.queries import visible_segments
from apps.people.api.viewsets import PortalReadOnlyViewSet

_NEEDS = {"partial_update": "flags.change_segment", "destroy": "flags.delete_segment"}


class SegmentSerializer(serializers.ModelSerializer[Segment]):
    """A named group of those who ask."""

    owner = serializers.IntegerField(source="owner_id", read_only=True)

    class Meta:
        model = Segment
        fields = ("id", "key", "name", "description", "owner", "definition", "version")
        read_only_fields = fields


class SegmentViewSet(PortalReadOnlyViewSet):
    """Segments: the same in every environment. Rules of flags speak of them by their keys."""

    scope_area = "flags"
    # Leading a team allows what groups don't: `inputs` and the operations decide.
    action_permissions = dict.fromkeys(["list", "retrieve", "create", *_NEEDS])
    row_grants = True
    queryset = Segment.objects.all()
    serializer_class = SegmentSerializer
    filterset_fields = ("key", "owner")

    def visible(self, queryset: QuerySet[Any]) -> QuerySet[Any]:
        return visible_segments(self.request.user)

    @cached_property
    def row(self) -> Segment:
        """The segment in the address; 404 where it is hidden."""
        found: Segment = self.get_object()
        return found

    def inputs(self, serializer_class: type[BaseSerializer[Any]], *, partial: bool = False) -> dict[str, Any]:
        if self.detail:
            authorize_segment(self.actor, self.row, _NEEDS[self.action])
        return super().inputs(serializer_class, partial=partial)

    @extend_schema(request=SegmentInput, responses={201: SegmentSerializer})
    def create(self, request: Request) -> Response:
        """Make a segment; leads may for their teams."""
        require_add_segment_somewhere(self.actor)
        given = self.inputs(SegmentInput)
        return self.answer(self.perform(operations.create_segment, given.pop("key"), **given), status=201)

    @extend_schema(request=SegmentEditInput(partial=True), responses=SegmentSerializer)
    def partial_update(self, request: Request, pk: str) -> Response:
        """Change what is named; flags that use it answer accordingly within 2 seconds."""
        given = self.inputs(SegmentEditInput, partial=True)
        version = self.expected_version(self.row)
        return self.answer(self.perform(operations.edit_segment, self.row.pk, **given, expected_version=version))

    @extend_schema(responses={204: None})
    def destroy(self, request: Request, pk: str) -> Response:
        """Remove one that no flag uses; 409 names those that do."""
        authorize_segment(self.actor, self.row, _NEEDS[self.action])
        self.expected_version(self.row)
        self.perform(operations.delete_segment, self.row.pk)
        return Response(status=204)
