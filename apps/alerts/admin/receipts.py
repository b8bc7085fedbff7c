"""What arrived, byte for byte, and what waits for a person."""

from __future__ import annotations

from typing import Any, ClassVar

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from unfold.decorators import action

from apps.alerts import operations
from apps.alerts.models import Receipt
from apps.alerts.queries import visible_receipts
from apps.people.admin.base import PortalModelAdmin, ReadOnlyAdmin

BODY_SHOWN = 20_000


@admin.register(Receipt)
class ReceiptAdmin(ReadOnlyAdmin, PortalModelAdmin):
    """Receipts; those that were not understood can be handled again once the reason is gone."""

    list_display = ("id", "integration", "state", "received_at", "done_at", "error_column")
    list_filter = ("state", "integration")
    list_select_related = ("integration",)
    ordering = ("-id",)
    fields = ("integration", "state", "received_at", "done_at", "error", "body_column")
    readonly_fields: ClassVar[Any] = fields
    actions_detail = ("retry",)

    def visible_to(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        return queryset.filter(pk__in=visible_receipts(request.user).order_by().values("pk"))

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        rows = super().get_queryset(request)
        match = request.resolver_match
        # The list shows no bodies, and each may have a megabyte.
        return rows.defer("body") if match is not None and (match.url_name or "").endswith("_changelist") else rows

    @admin.display(description="Why it waits")
    def error_column(self, receipt: Receipt) -> str:
        return receipt.error[:120] or "–"

    @admin.display(description="Body")
    def body_column(self, receipt: Receipt) -> SafeString:
        text = bytes(receipt.body).decode("utf-8", "replace")
        more = f"\n… {len(text) - BODY_SHOWN} more characters" if len(text) > BODY_SHOWN else ""
        return format_html('<pre class="ip-mono whitespace-pre-wrap break-all">{}{}</pre>', text[:BODY_SHOWN], more)

    def has_retry_permission(self, request: HttpRequest, object_id: str | None = None) -> bool:
        row = self.get_object(request, str(object_id))
        waits = row is not None and row.state == Receipt.State.REJECTED
        return waits and request.user.has_perm("alerts.retry_receipt")

    @action(
        description="Handle again",
        icon="replay",
        permissions=["retry"],
        dialog={
            "title": "Handle it again?",
            "description": "Alerts that are newer than this receipt stay as they are.",
        },
    )
    def retry(self, request: HttpRequest, form: Any, object_id: str) -> HttpResponse:
        return self.press(request, operations.retry_receipt, object_id, done="It is handled in a moment.")
