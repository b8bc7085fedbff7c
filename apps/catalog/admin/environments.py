"""Environments."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.http import HttpRequest

from apps.catalog import operations
from apps.catalog.admin.saving import OperatingAdmin, changed_fields, given_reason
from apps.catalog.models import Environment
from apps.people.admin.base import request_actor

_FIELDS = {"slug": "slug", "name": "name", "position": "position"}


@admin.register(Environment)
class EnvironmentAdmin(OperatingAdmin):
    """Where services run."""

    list_display = ("name", "slug", "position")
    fields = ("name", "slug", "position")
    search_fields = ("name", "slug")

    def create(self, request: HttpRequest, form: Any) -> Environment:
        fields: Any = {name: form.cleaned_data[field] for field, name in _FIELDS.items()}
        return operations.create_environment(fields, reason=given_reason(request), actor=request_actor(request))

    def update(self, request: HttpRequest, obj: Any, form: Any) -> Environment:
        fields: Any = changed_fields(form, _FIELDS)
        return operations.update_environment(obj.pk, fields, reason=given_reason(request), actor=request_actor(request))

    def destroy(self, request: HttpRequest, obj: Any) -> None:
        operations.delete_environment(obj.pk, reason=given_reason(request), actor=request_actor(request))
