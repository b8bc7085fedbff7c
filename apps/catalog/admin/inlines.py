"""Rows under a page whose fields have names of their own, also for screen readers."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest

from apps.people.admin.base import PortalTabularInline


class NamedInline(PortalTabularInline):
    """Unfold shows the label of a column once, above it; each field needs one too."""

    def formfield_for_dbfield(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        field = super().formfield_for_dbfield(db_field, request, **kwargs)
        if field is not None:
            # A select for related rows is wrapped together with its links.
            inner = getattr(field.widget, "widget", field.widget)
            inner.attrs.setdefault("aria-label", str(db_field.verbose_name).capitalize())
        return field
