"""The groups and what they allow, for reading: the table in `apps.people.groups` is the truth."""

from __future__ import annotations

from django.contrib import admin
from django.contrib.auth.models import Group
from django.db.models import Count, QuerySet
from django.http import HttpRequest

from apps.people.admin.base import PortalModelAdmin, ReadOnlyAdmin

admin.site.unregister(Group)


@admin.register(Group)
class GroupAdmin(ReadOnlyAdmin, PortalModelAdmin):
    """Who may do what. Set-up writes these rows, so nobody edits them by hand."""

    list_display = ("name", "people_count", "permission_count")
    search_fields = ("name",)
    ordering = ("name",)
    fields = ("name", "permission_names")
    readonly_fields = fields

    def get_queryset(self, request: HttpRequest) -> QuerySet[Group]:
        counted = {"people": Count("user", distinct=True), "held": Count("permissions", distinct=True)}
        rows: QuerySet[Group] = super().get_queryset(request).annotate(**counted)
        return rows

    @admin.display(description="people", ordering="people")
    def people_count(self, group: Group) -> int:
        return int(getattr(group, "people", 0))

    @admin.display(description="permissions", ordering="held")
    def permission_count(self, group: Group) -> int:
        return int(getattr(group, "held", 0))

    @admin.display(description="permissions")
    def permission_names(self, group: Group) -> str:
        rows = group.permissions.values_list("content_type__app_label", "codename").order_by(
            "content_type__app_label", "codename"
        )
        return ", ".join(f"{app}.{codename}" for app, codename in rows)
