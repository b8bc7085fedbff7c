"""The engine's tables for those who look after the portal. They stand here because the engine is below these bases."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from unfold.decorators import action

from apps.engine.models import Delivery, Event, Timer
from apps.engine.operations import retry_delivery
from apps.engine.showing import payload_shown_to
from apps.foundation.subjects import visible_subjects
from apps.people.admin.base import PortalModelAdmin, ReadOnlyAdmin


@admin.register(Timer)
class TimerAdmin(ReadOnlyAdmin, PortalModelAdmin):
    """What falls due when, and what could not fire."""

    list_display = ("kind", "key", "run", "seq", "state", "due_at", "fired_at", "attempts")
    list_filter = ("state", "kind")
    search_fields = ("kind", "key")
    ordering = ("-due_at",)


@admin.register(Delivery)
class DeliveryAdmin(ReadOnlyAdmin, PortalModelAdmin):
    """Events on their way to those who listen; the failed ones wait here for a person."""

    list_display = ("subscriber", "event", "state", "attempts", "due_at", "done_at")
    list_filter = ("state", "subscriber")
    list_select_related = ("event",)
    fields = ("subscriber", "event", "state", "attempts", "due_at", "done_at", "last_error")
    ordering = ("-id",)
    actions = ("try_again",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Delivery]:
        """Only those of subjects that the person may see."""
        shown: QuerySet[Delivery] = super().get_queryset(request)
        if request.user.is_superuser:
            return shown
        return shown.filter(visible_subjects(request.user, prefix="event__subject"))

    def has_retry_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("engine.change_delivery")

    @action(description="Try again", permissions=["retry"])
    def try_again(self, request: HttpRequest, queryset: QuerySet[Any]) -> None:
        """Give the failed ones among the chosen ten more attempts."""
        failed = list(queryset.filter(state=Delivery.State.FAILED).values_list("pk", flat=True))
        for pk in failed:
            retry_delivery(pk)
        self.message_user(request, f"{len(failed)} failed deliveries are tried again.")


@admin.register(Event)
class EventAdmin(ReadOnlyAdmin, PortalModelAdmin):
    """What happened, in order."""

    list_display = ("id", "kind", "subject_kind", "subject_key", "occurred_at")
    list_filter = ("kind",)
    ordering = ("-id",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Event]:
        """Only those of subjects that the person may see."""
        shown: QuerySet[Event] = super().get_queryset(request)
        if request.user.is_superuser:
            return shown
        return shown.filter(visible_subjects(request.user))

    def get_object(self, request: HttpRequest, object_id: str, from_field: str | None = None) -> Event | None:
        """Of a kill for something that they may not see, the person reads that it was killed, not why."""
        found: Event | None = super().get_object(request, object_id, from_field)
        if found is not None:
            found.payload = payload_shown_to(found, request.user)
        return found
