"""The written parts of reviews over the API, each with an ETag of its own, so that two people can write at once."""

from __future__ import annotations

from typing import Any

import django_filters
from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from apps.people.api.viewsets import PortalReadOnlyViewSet
from apps.postmortems import operations
from apps.postmortems.api.inputs import SectionInput
from apps.postmortems.api.serializers import SectionSerializer
from apps.postmortems.models import Section
from apps.postmortems.permissions import require_write
from apps.postmortems.queries import visible_reviews


class SectionFilter(django_filters.FilterSet):
    """By review and name."""

    review = django_filters.NumberFilter(field_name="review_id", label="id of a review")
    slug = django_filters.CharFilter()

    class Meta:
        model = Section
        fields = ("review", "slug")


class SectionViewSet(PortalReadOnlyViewSet):
    """Sections of the reviews that the caller may see."""

    scope_area = "reviews"
    action_permissions = dict.fromkeys(["list", "retrieve", "partial_update"])
    queryset = Section.objects.select_related("edited_by", "review")
    serializer_class = SectionSerializer
    filterset_class = SectionFilter

    def visible(self, queryset: QuerySet[Any]) -> QuerySet[Any]:
        return queryset.filter(review__in=visible_reviews(self.request.user).order_by().values("pk"))

    @extend_schema(request=SectionInput, responses=SectionSerializer)
    def partial_update(self, request: Request, pk: str) -> Response:
        """Write it anew. With `If-Match` nobody's words are overwritten unseen."""
        row: Section = self.get_object()
        require_write(self.actor, row.review)
        expected = self.expected_version(row)
        text = self.inputs(SectionInput)["text"]
        self.perform(operations.edit_section, row.pk, text, expected_version=expected)
        return self.answer(self.queryset.get(pk=row.pk))
