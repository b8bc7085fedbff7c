"""Filters of lists by query parameters."""

from __future__ import annotations

import re
from typing import Any

from django.db.models import QuerySet
from django_filters import BooleanFilter, MultipleChoiceFilter, NumberFilter
from django_filters.rest_framework import DjangoFilterBackend
from rest_framework.request import Request

from apps.foundation.errors import Invalid

# Numbers of versions and rows; no list is filtered by a fraction.
_WHOLE = re.compile(r"-?[0-9]{1,18}")


def _fault(found: Any, values: list[str]) -> str:
    if "" in values:
        return "Give a value or leave it out."
    if len(values) > 1 and not isinstance(found, MultipleChoiceFilter):
        return "Give it once."
    if isinstance(found, BooleanFilter) and values[0] not in {"true", "false"}:
        return "Must be true or false."
    if isinstance(found, NumberFilter) and not _WHOLE.fullmatch(values[0]):
        return "Must be a whole number."
    return ""


class PortalFilterBackend(DjangoFilterBackend):
    """django-filter, but a filter that it would quietly ignore is a mistake of the caller and not "everything"."""

    def filter_queryset(self, request: Request, queryset: QuerySet[Any], view: Any) -> QuerySet[Any]:
        filterset = self.get_filterset_class(view, queryset)
        for name, found in getattr(filterset, "base_filters", {}).items():
            values = request.query_params.getlist(name)
            if values and (fault := _fault(found, values)):
                raise Invalid(f"The filter `{name}` is wrong: {fault}", fields={name: [fault]})
        rows: QuerySet[Any] = super().filter_queryset(request, queryset, view)
        return rows
