"""Requests for approval: the list, and the page on which a second person looks and decides."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any, ClassVar

from django.contrib import admin
from django.contrib.admin.views.main import ChangeList
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils.html import format_html
from unfold.decorators import action, display
from unfold.enums import ActionVariant

from apps.approvals import operations
from apps.approvals.admin.filters import WaitsFilter
from apps.approvals.admin.forms import NoteForm, ReasonForm
from apps.approvals.models import ApprovalRequest
from apps.approvals.permissions import DECIDE, VIEW, is_own, may_bypass, may_decide, may_withdraw, subject_of
from apps.approvals.queries import visible_requests, waiting_for
from apps.approvals.registry import display_of
from apps.foundation.clock import now
from apps.foundation.subjects import subject_titles, subject_url
from apps.people.admin.base import PortalModelAdmin, ReadOnlyAdmin
from apps.people.models import User

_State = ApprovalRequest.State
COLOURS = {
    _State.PENDING: "warning",
    _State.APPROVED: "success",
    _State.REFUSED: "danger",
    _State.EXPIRED: "",
    _State.VOID: "",
    _State.WITHDRAWN: "",
    _State.BYPASSED: "danger",
}


def _clock(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M} UTC"


def _stands_ahead(row: ApprovalRequest) -> bool:
    return row.kind == ApprovalRequest.Kind.AHEAD and row.state == _State.APPROVED and row.expires_at > now()


class TitledList(ChangeList):
    """The list with the titles of what is asked about, asked once for all its rows."""

    def get_results(self, request: HttpRequest) -> None:
        super().get_results(request)
        rows = list(self.result_list)
        titles = subject_titles(subject_of(row) for row in rows)
        for row in rows:
            row.about_title = titles[subject_of(row)]
        self.result_list = rows


@admin.register(ApprovalRequest)
class ApprovalRequestAdmin(ReadOnlyAdmin, PortalModelAdmin):
    """A request is decided by buttons, never edited."""

    list_display = ("title_column", "asked_by", "asked", "until", "shown_state", "decided_by_column")
    list_display_links = None
    list_before_template = "approvals/list_before.html"
    list_filter = (WaitsFilter, "state", "team")
    search_fields = ("title", "requested_by_name", "decided_by_name", "reason")
    ordering = ("-requested_at", "-id")
    fieldsets: ClassVar = [
        ("The record", {"fields": ["about", "asked_by", "asked", "until", "team", "state_text", "decided"]})
    ]
    readonly_fields = ("about", "asked_by", "asked", "until", "team", "state_text", "decided")
    change_form_outer_before_template = "approvals/asked.html"  # it has a form of its own
    actions_detail: ClassVar[Any] = ("approve", "refuse", "withdraw", "bypass")

    # --- who sees which ---

    def visible_to(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        return visible_requests(request.user)

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        if not request.user.is_active:
            return False
        if obj is None and (request.user.has_perm(VIEW) or request.user.has_perm(DECIDE)):
            return True
        rows = visible_requests(request.user)
        return rows.filter(pk=obj.pk).exists() if obj is not None else rows.exists()

    def has_module_permission(self, request: HttpRequest) -> bool:
        return self.has_view_permission(request)

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        base = super().get_changelist(request, **kwargs)
        return type("TitledList", (TitledList, base), {})

    # --- what is shown ---

    @display(description="About")
    def about(self, row: Any) -> str:
        subject = subject_of(row)
        title = getattr(row, "about_title", None) or subject_titles([subject])[subject]
        link = subject_url(subject)
        return format_html('<a href="{}">{}</a>', link, title) if link else title

    @display(description="State", ordering="state", label=COLOURS)
    def shown_state(self, row: ApprovalRequest) -> tuple[str, str]:
        return row.state, row.get_state_display()

    @display(description="State")
    def state_text(self, row: ApprovalRequest) -> str:
        return str(row.get_state_display())

    @display(description="What is asked for", ordering="title")
    def title_column(self, row: Any) -> str:
        link = reverse("admin:approvals_approvalrequest_change", args=[row.pk])
        return format_html(
            '<a class="ip-cell-title" href="{}">{}</a><br><span class="ip-sub">{}</span>',
            link,
            row.title,
            row.about_title,
        )

    @display(description="Asked by", ordering="requested_by_name")
    def asked_by(self, row: ApprovalRequest) -> str:
        return row.requested_by_name

    @display(description="Asked", ordering="requested_at")
    def asked(self, row: ApprovalRequest) -> str:
        return _clock(row.requested_at)

    @display(description="Until", ordering="expires_at")
    def until(self, row: ApprovalRequest) -> str:
        return _clock(row.expires_at)

    @display(description="Decided by", ordering="decided_by_name")
    def decided_by_column(self, row: ApprovalRequest) -> str:
        return row.decided_by_name or "–"

    @display(description="Decision")
    def decided(self, row: ApprovalRequest) -> str:
        if row.decided_at is None:
            return "–"
        who = f" by {row.decided_by_name}" if row.decided_by_name else ""
        why = f": {row.decision_reason}" if row.decision_reason else ""
        return f"{_clock(row.decided_at)}{who}{why}"

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        here, base = request.GET.get("waits", ""), reverse("admin:approvals_approvalrequest_changelist")
        tabs = [("All", ""), ("Waits for you", "you"), ("Asked by you", "others"), ("Approved ahead", "ahead")]
        shown = {
            "title": "Approvals",
            "approval_tabs": [
                {"label": label, "url": f"{base}?waits={key}" if key else base, "is_current": key == here}
                for label, key in tabs
            ],
        }
        return super().changelist_view(request, {**shown, **(extra_context or {})})

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        row = self.get_object(request, object_id)
        shown = {"asked": self._asked(row, request), "title": row.title} if row is not None else {}
        found: HttpResponse = super().change_view(request, object_id, form_url, {**shown, **(extra_context or {})})
        return found

    def _asked(self, row: ApprovalRequest, request: HttpRequest) -> dict[str, Any]:
        """What the page says above the record: the question, whose turn it is, and what exactly is asked for."""
        found = display_of(row.subject_kind)
        pending, user = row.state == _State.PENDING, request.user
        subject = subject_of(row)
        return {
            "request": row,
            "about": subject_titles([subject])[subject],
            "about_url": subject_url(subject),
            "over": pending and row.expires_at <= now(),
            "may_decide": pending and may_decide(user, row),
            "may_withdraw": (pending or _stands_ahead(row)) and may_withdraw(user, row),
            "may_bypass": pending and may_bypass(user),
            "buttons": {
                name: reverse(f"admin:approvals_approvalrequest_{name}", args=[row.pk])
                for name in ("approve", "refuse", "withdraw", "bypass")
            },
            "is_own": isinstance(user, User) and is_own(user, row),
            "content": json.dumps(row.content, indent=2, sort_keys=True, ensure_ascii=False),
            "template": found.template if found else "",
            "display": found.context(row, request) if found else {},
            "others_waiting": waiting_for(user).exclude(pk=row.pk).count(),
            "list_url": f"{reverse('admin:approvals_approvalrequest_changelist')}?waits=you",
        }

    # --- buttons ---

    def _known(self, request: HttpRequest, object_id: str | None) -> ApprovalRequest | None:
        """The row: asked for each of four buttons, read once for a page."""
        known: dict[str, ApprovalRequest | None] = request.__dict__.setdefault("portal_known_approvals", {})
        key = str(object_id or "")
        if key not in known:
            known[key] = self.get_object(request, key) if key else None
        return known[key]

    def _pending(self, request: HttpRequest, object_id: str | None) -> ApprovalRequest | None:
        """The row if it can still be decided."""
        found = self._known(request, object_id)
        open_still = found is not None and found.state == _State.PENDING and found.expires_at > now()
        return found if open_still else None

    def has_decide_permission(self, request: HttpRequest, object_id: str | None = None) -> bool:
        row = self._pending(request, object_id)
        return row is not None and may_decide(request.user, row)

    def has_withdraw_permission(self, request: HttpRequest, object_id: str | None = None) -> bool:
        row = self._known(request, object_id)
        if row is None or not (_stands_ahead(row) or self._pending(request, object_id)):
            return False
        return may_withdraw(request.user, row)

    def has_bypass_permission(self, request: HttpRequest, object_id: str | None = None) -> bool:
        return self._pending(request, object_id) is not None and may_bypass(request.user)

    @action(
        description="Approve",
        icon="check_circle",
        variant=ActionVariant.SUCCESS,
        permissions=["decide"],
        dialog={
            "title": "Approve exactly this?",
            "description": "It holds for what you see on this page and nothing else.",
            "form_class": NoteForm,
            "form_submit_text": "Approve",
        },
    )
    def approve(self, request: HttpRequest, form: NoteForm, object_id: str) -> HttpResponse:
        return self.press(request, operations.approve, object_id, reason=form.cleaned_data["reason"], done="Approved.")

    @action(
        description="Refuse",
        icon="block",
        variant=ActionVariant.DANGER,
        permissions=["decide"],
        dialog={"title": "Refuse this?", "form_class": ReasonForm, "form_submit_text": "Refuse"},
    )
    def refuse(self, request: HttpRequest, form: ReasonForm, object_id: str) -> HttpResponse:
        return self.press(request, operations.refuse, object_id, reason=form.cleaned_data["reason"], done="Refused.")

    @action(
        description="Withdraw",
        icon="undo",
        permissions=["withdraw"],
        dialog={"title": "Take it back?", "form_class": NoteForm, "form_submit_text": "Withdraw"},
    )
    def withdraw(self, request: HttpRequest, form: NoteForm, object_id: str) -> HttpResponse:
        return self.press(
            request, operations.withdraw, object_id, reason=form.cleaned_data["reason"], done="Withdrawn."
        )

    @action(
        description="Emergency bypass",
        icon="crisis_alert",
        variant=ActionVariant.DANGER,
        permissions=["bypass"],
        dialog={
            "title": "Go on without an approval?",
            "description": "Only in an emergency. All who could have decided are told at once, with your reason.",
            "form_class": ReasonForm,
            "form_submit_text": "Bypass",
        },
    )
    def bypass(self, request: HttpRequest, form: ReasonForm, object_id: str) -> HttpResponse:
        return self.press(
            request, operations.bypass, object_id, reason=form.cleaned_data["reason"], done="Bypassed; all hear."
        )
