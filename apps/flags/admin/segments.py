"""Segments: who belongs to them, and which flags speak of them."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse

from apps.catalog.admin.saving import OperatingAdmin, changed_fields, given_reason
from apps.catalog.models import Team
from apps.catalog.permissions import leads_any_team
from apps.catalog.queries import led_team_ids
from apps.flags import operations
from apps.flags.admin.forms import SegmentForm
from apps.flags.models import Segment
from apps.flags.permissions import ADD_SEGMENT, user_may_segment
from apps.flags.queries import flags_that_use, visible_flags, visible_segments
from apps.people.admin.base import request_actor

_NAMES = {"owner": "owner_id", "name": "name", "description": "description", "definition": "definition"}


@admin.register(Segment)
class SegmentAdmin(OperatingAdmin):
    """Managers and leads say who belongs to a segment."""

    form = SegmentForm
    list_display = ("key", "name", "owner")
    list_filter = ("owner",)
    search_fields = ("key", "name", "description")
    change_form_before_template = "flags/segment_users.html"

    def visible_to(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        return visible_segments(request.user)

    def has_module_permission(self, request: HttpRequest) -> bool:
        return super().has_module_permission(request) or leads_any_team(request.user)

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        if super().has_view_permission(request, obj):
            return True
        rows = visible_segments(request.user)
        return leads_any_team(request.user) if obj is None else rows.filter(pk=obj.pk).exists()

    def has_add_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm(ADD_SEGMENT) or leads_any_team(request.user)

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        if obj is None:
            return super().has_change_permission(request) or leads_any_team(request.user)
        return user_may_segment(request.user, "flags.change_segment", obj)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        if obj is None:
            return super().has_delete_permission(request)
        return user_may_segment(request.user, "flags.delete_segment", obj)

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        asked = [("Why", {"fields": ["change_reason"]})] if self._asks_reason(request, obj) else []
        return [(None, {"fields": ["key", "name", "owner", "description", "definition"]}), *asked]

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> list[str]:
        fixed = ["key"] if obj is not None else []
        return [*super().get_readonly_fields(request, obj), *fixed]

    def formfield_for_foreignkey(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        """A lead may only choose among the teams that they lead."""
        if db_field.name == "owner" and not request.user.has_perm(ADD_SEGMENT):
            kwargs["queryset"] = Team.objects.filter(pk__in=led_team_ids(request.user.pk or 0))
        return super().formfield_for_foreignkey(db_field, request, **kwargs)

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        row = self.get_object(request, object_id)
        seen = set(visible_flags(request.user).values_list("pk", flat=True)) if row is not None else set()
        users = [flag for flag in flags_that_use(row.key) if flag.pk in seen] if row is not None else []
        found: HttpResponse = super().change_view(
            request, object_id, form_url, {"users": users, **(extra_context or {})}
        )
        return found

    def create(self, request: HttpRequest, form: Any) -> Segment:
        given = form.cleaned_data
        return operations.create_segment(
            given["key"],
            owner_id=given["owner"].pk,
            name=given["name"],
            description=given["description"],
            definition=given["definition"],
            reason=given_reason(request),
            actor=request_actor(request),
        )

    def update(self, request: HttpRequest, obj: Any, form: Any) -> Segment:
        return operations.edit_segment(
            obj.pk, **changed_fields(form, _NAMES), reason=given_reason(request), actor=request_actor(request)
        )

    def destroy(self, request: HttpRequest, obj: Any) -> None:
        operations.delete_segment(obj.pk, reason=given_reason(request), actor=request_actor(request))
