"""A restore: the exact diff against what is live, a reason, and what came of each entity."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.core.paginator import Paginator
from django.db.models import Count, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse

from apps.people.admin.base import request_actor
from apps.state.admin.showing import diff_rows
from apps.state.entities import operations
from apps.state.entities.admin.pages import PAGE_LENGTH, JobAdmin, WhyForm
from apps.state.entities.models import EntityRestore, RestoreItem
from apps.state.entities.permissions import RESTORE, may
from apps.state.entities.queries import visible_restores


@admin.register(EntityRestore)
class EntityRestoreAdmin(JobAdmin):
    """Restores begin as a dry run, on the page of a snapshot or of a diff."""

    list_display = (
        "__str__", "snapshot", "chosen", "came", "restored_count", "refused_count", "author_name", "created_at",
    )  # fmt: skip
    list_filter = ("source", "state")
    search_fields = ("reason", "chosen", "source__name", "author_name")
    ordering = ("-id",)
    BUTTONS = {"confirm": "confirm_view", "resume": "resume_view", "undo": "undo_view"}

    def visible_to(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        return visible_restores(request.user).select_related("source__service__owner", "snapshot__source", "undoes")

    def page(self, request: HttpRequest, row: EntityRestore) -> HttpResponse:
        counts = dict.fromkeys(RestoreItem.State.values, 0)
        counts |= dict(row.items.values_list("state").annotate(count=Count("pk")).order_by())
        items = Paginator(row.items.order_by("pk"), PAGE_LENGTH).get_page(request.GET.get("page"))
        context = self.context(
            request,
            str(row).capitalize(),
            job=row,
            restore=row,
            items=[(item, diff_rows(item.changes)) for item in items],
            page=items,
            counts=counts,
            form=WhyForm(),
            is_ready=row.state == EntityRestore.State.READY,
            may_restore=may(request_actor(request), row.source, RESTORE),
        )
        return TemplateResponse(request, "state/entities/restore.html", context)

    def confirm_view(self, request: HttpRequest, object_id: int) -> HttpResponse:
        """Carry the dry run out."""
        return self.press(
            request,
            operations.confirm_restore,
            str(object_id),
            expected_checksum=request.POST.get("expected_checksum", ""),
            reason=request.POST.get("reason", ""),
            done="A worker puts them back, one by one.",
        )

    def resume_view(self, request: HttpRequest, object_id: int) -> HttpResponse:
        """Go on after a failure."""
        return self.press(request, operations.resume_restore, str(object_id), done="It goes on where it stood.")

    def undo_view(self, request: HttpRequest, object_id: int) -> HttpResponse:
        """Ask for the dry run of putting back what this restore replaced."""
        row = self.known(request, object_id)
        made = self.perform(request, operations.plan_undo, row.pk)
        if made is None:
            return self.go_to_row(request, str(object_id))
        return HttpResponseRedirect(reverse("admin:state_entityrestore_change", args=[made.pk]))
