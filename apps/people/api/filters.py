"""Filters of lists by query parameters."""

from __future__ import annotations

from typing import Any

from django.db.models import QuerySet
from django_filters.rest_framework import DjangoFilterBackend
from rest_framework.request import Request

from apps.foundation.errors import Invalid


class PortalFilterBackend(DjangoFilterBackend):  # type: ignore[misc]  # untyped base
    """django-filter, but a filter without a value is a mistake of the caller and not "everything"."""

    def filter_queryset(self, request: Request, queryset: QuerySet[Any], view: Any) -> QuerySet[Any]:
        filterset = self.get_filterset_class(view, queryset)
        for name in getattr(filterset, "base_filters", {}):
            if request.query_params.get(name) == "":
                raise Invalid(f"The filter `{name}` has no value.", fields={name: ["Give a value or leave it out."]})
        found: QuerySet[Any] = super().filter_queryset(request, queryset, view)
        return found
