"""Scheduled changes: what is to come, by whom and why; what waits can be withdrawn."""

from __future__ import annotations

from typing import Any, ClassVar

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from unfold.decorators import action, display

from apps.flags import operations
from apps.flags.admin.forms import ReasonForm
from apps.flags.models import FlagChange
from apps.flags.operations.scheduling import needed_for
from apps.flags.permissions import user_may
from apps.flags.previews import proposal_shown
from apps.flags.queries import change_in_words, visible_changes, visible_flags
from apps.people.admin.base import PortalModelAdmin
from apps.people.models import User


@admin.register(FlagChange)
class FlagChangeAdmin(PortalModelAdmin):
    """Read only: changes are scheduled on the page of the flag, or over the API."""

    list_display = ("due_at", "flag", "what", "state", "reason", "created_by")
    list_filter = ("state", "flag__environment")
    search_fields = ("flag__key", "reason")
    ordering = ("-due_at", "-id")
    fields = (
        "flag",
        "due_at",
        "what",
        "change",
        "reason",
        "state",
        "detail",
        "approval",
        "created_by",
        "created_at",
        "finished_at",
    )
    readonly_fields = fields
    actions_detail: ClassVar[Any] = ("withdraw",)
    change_form_before_template = "flags/proposal.html"

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        row = self.get_object(request, object_id)
        shown = {"proposal": proposal_shown(row)} if row is not None else {}
        found: HttpResponse = super().change_view(request, object_id, form_url, {**shown, **(extra_context or {})})
        return found

    def visible_to(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        return visible_changes(request.user)

    def has_module_permission(self, request: HttpRequest) -> bool:
        return self.has_view_permission(request)

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        if not isinstance(request.user, User) or not request.user.is_active:
            return False
        if obj is None:
            return super().has_view_permission(request) or visible_flags(request.user).exists()
        return visible_changes(request.user).filter(pk=obj.pk).exists()

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    @display(description="What happens")
    def what(self, change: FlagChange) -> str:
        return change_in_words(change)

    def has_withdraw_permission(self, request: HttpRequest, object_id: str | None = None) -> bool:
        row = self.get_object(request, str(object_id)) if object_id else None
        if row is None or row.state not in (FlagChange.State.WAITING, FlagChange.State.PROPOSED):
            return False
        return user_may(request.user, needed_for(row.change), row.flag)

    @action(
        description="Withdraw",
        icon="undo",
        permissions=["withdraw"],
        dialog={"title": "Withdraw this change?", "form_class": ReasonForm, "form_submit_text": "Withdraw"},
    )
    def withdraw(self, request: HttpRequest, form: ReasonForm, object_id: str) -> HttpResponse:
        reason = form.cleaned_data["reason"]
        return self.press(request, operations.withdraw_change, object_id, reason=reason, done="Withdrawn.")
