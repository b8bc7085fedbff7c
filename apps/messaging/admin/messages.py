"""What was sent to whom, and what became of it."""

from __future__ import annotations

from functools import partial
from typing import Any

from django.contrib import admin
from django.db.models import Model, QuerySet
from django.http import HttpRequest, HttpResponse
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html
from unfold.decorators import action, display

from apps.foundation.subjects import Subject, subject_title, subject_url
from apps.messaging import operations
from apps.messaging.admin.device import device_view
from apps.messaging.admin.inbox import inbox_view
from apps.messaging.models import Attempt, Message
from apps.messaging.queries import WAITING, may_read_text, visible_to
from apps.people.admin.base import PortalModelAdmin, ReadOnlyAdmin, ReadOnlyInline

STATE_COLOURS = {
    "queued": "info",
    "sending": "info",
    "sent": "success",
    "failed": "danger",
    "void": "warning",
}
_FIELDS = (
    "title",
    "channel",
    "shown_state",
    "recipient",
    "endpoint",
    "destination",
    "about",
    "priority",
    "attempts",
    "created_at",
    "due_at",
    "last_look_at",
    "maybe_sent_at",
    "sent_at",
    "delivered_at",
    "fallback_at",
    "lease_until",
    "provider_id",
    "last_error",
    "guard",
    "replay_of",
)
_PRIVATE = ("address", "body", "payload")


class AttemptInline(ReadOnlyInline):
    """The tries, as visible as their message."""

    model = Attempt
    fields = ("number", "started_at", "finished_at", "outcome", "detail")
    readonly_fields = fields
    ordering = ("number",)

    def has_view_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return True


@admin.register(Message)
class MessageAdmin(ReadOnlyAdmin, PortalModelAdmin):
    """Read-only: one's own messages, and those about what one may see. Text and address are the recipient's."""

    list_display = ("created_at", "title", "channel", "whom", "shown_state", "attempts", "sent_at", "last_error_start")
    list_filter = ("state", "channel")
    search_fields = ("title", "recipient__username", "recipient__display_name", "endpoint__name")
    list_select_related = ("recipient", "endpoint", "destination")
    ordering = ("-id",)
    inlines = (AttemptInline,)
    actions_detail = ("send_again",)
    actions_list = ("to_inbox",)

    def visible_to(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        return queryset.filter(pk__in=visible_to(request.user).values("pk"))

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        # Everybody has own messages; the guardian tables that the base would ask do not exist for these rows.
        return self.visible_to(request, super().get_queryset(request)).select_related(
            "recipient", "endpoint", "destination"
        )

    def has_module_permission(self, request: HttpRequest) -> bool:
        return request.user.is_authenticated

    def has_view_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        # The queryset decides which rows.
        return request.user.is_authenticated and request.user.is_active

    def get_fields(self, request: HttpRequest, obj: Model | None = None) -> Any:
        reads = isinstance(obj, Message) and may_read_text(request.user, obj)
        return (*_FIELDS, *_PRIVATE) if reads else _FIELDS

    def get_readonly_fields(self, request: HttpRequest, obj: Model | None = None) -> Any:
        return self.get_fields(request, obj)

    @display(description="To", ordering="recipient")
    def whom(self, message: Message) -> str:
        if message.recipient is not None:
            return message.recipient.name
        if message.destination is not None:
            return message.destination.name
        return message.endpoint.name if message.endpoint is not None else "an address"

    @display(description="State", ordering="state", label=STATE_COLOURS)
    def shown_state(self, message: Message) -> tuple[str, str]:
        told = message.get_state_display()
        return message.state, f"{told} (maybe sent before)" if message.maybe_sent_at else told

    @display(description="Last error")
    def last_error_start(self, message: Message) -> str:
        return message.last_error[:80]

    @display(description="About")
    def about(self, message: Message) -> str:
        if not message.subject_kind:
            return "nothing in particular"
        subject = Subject(message.subject_kind, message.subject_key)
        return format_html('<a href="{}">{}</a>', subject_url(subject), subject_title(subject))

    @display(description="Only sent while")
    def guard(self, message: Message) -> str:
        if not message.guard_kind:
            return "always"
        return f"{message.guard_kind} {message.guard_key} is in run {message.guard_run}"

    def get_urls(self) -> list[URLPattern]:
        inbox = self.admin_site.admin_view(partial(inbox_view, site=self.admin_site))
        device = self.admin_site.admin_view(partial(device_view, site=self.admin_site))
        return [
            path("inbox/", inbox, name="messaging_message_inbox"),
            path("device/", device, name="messaging_message_device"),
            *super().get_urls(),
        ]

    @action(description="My inbox", icon="inbox", url_path="to-inbox")
    def to_inbox(self, request: HttpRequest) -> HttpResponse:
        return self.go(request, reverse("admin:messaging_message_inbox"))

    def has_send_again_permission(self, request: HttpRequest, object_id: str | None = None) -> bool:
        message = self.get_object(request, str(object_id))
        if message is None or message.channel == Message.Channel.INBOX or message.state in WAITING:
            return False
        own = message.endpoint is not None and message.endpoint.owner_id == request.user.pk
        return own or request.user.has_perm("messaging.replay_message")

    @action(
        description="Send once more",
        icon="replay",
        permissions=["send_again"],
        dialog={
            "title": "Send this message once more?",
            "description": "It becomes a new message with a key of its own, so its receiver takes it for a new one.",
        },
    )
    def send_again(self, request: HttpRequest, form: Any, object_id: str) -> HttpResponse:
        message = self.row(request, object_id)
        again = self.perform(request, operations.replay, message.pk, done="It is queued once more.")
        return self.go_to_row(request, object_id if again is None else str(again.pk))
