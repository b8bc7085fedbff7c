"""Cursor pages: stable while rows come and go."""

from __future__ import annotations

from typing import Any

from django.core.exceptions import ValidationError
from django.db import DataError
from django.db.models import QuerySet
from rest_framework.exceptions import NotFound
from rest_framework.pagination import CursorPagination
from rest_framework.request import Request

from apps.foundation.errors import Invalid


class PortalCursorPagination(CursorPagination):
    """Pages of 50 rows, or `limit` up to 200; newest first unless the view's `ordering` says otherwise."""

    ordering = "-id"
    page_size_query_param = "limit"
    max_page_size = 200
    page_size_query_description = "How many rows a page holds, 1 to 200."
    cursor_query_description = "Where the page starts: as `next` or `previous` gave it."
    template = None

    def get_ordering(self, request: Request, queryset: QuerySet[Any], view: Any) -> tuple[str, ...]:
        named = getattr(view, "ordering", None) or self.ordering
        fields = (named,) if isinstance(named, str) else tuple(named)
        # Rows of the same instant need a second key, or a page could skip or repeat one.
        return fields if fields[-1].lstrip("-") in {"id", "pk"} else (*fields, "-id")

    def get_page_size(self, request: Request) -> int | None:
        given = request.query_params.get("limit")
        if given is None:
            return self.page_size
        number = int(given) if given.isascii() and given.isdecimal() and len(given) <= len("200") else 0
        if not 1 <= number <= self.max_page_size:
            raise Invalid("`limit` must be a whole number from 1 to 200.", fields={"limit": ["Not from 1 to 200."]})
        return number

    def paginate_queryset(self, queryset: Any, request: Request, view: Any = None) -> list[Any] | None:
        try:
            return super().paginate_queryset(queryset, request, view)
        except (NotFound, ValueError, ValidationError, DataError) as error:
            # DRF trusts the position inside the cursor; a made-up one must not be our fault.
            raise Invalid("This cursor is not one of ours.", code="bad_cursor") from error

    def get_paginated_response_schema(self, schema: dict[str, Any]) -> dict[str, Any]:
        link = {
            "type": ["string", "null"],
            "format": "uri",
            "example": "https://portal.example.com/api/v1/users/?cursor=cD00ODY%3D",
        }
        return {
            "type": "object",
            "required": ["next", "previous", "results"],
            "properties": {
                "next": {**link, "description": "the following page, or null"},
                "previous": {**link, "description": "the page before, or null"},
                "results": schema,
            },
        }

    def get_schema_operation_parameters(self, view: Any) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = super().get_schema_operation_parameters(view)
        for parameter in found:
            if parameter["name"] == self.page_size_query_param:
                parameter["schema"] = {"type": "integer", "minimum": 1, "maximum": self.max_page_size}
        return found
