"""Calendar feeds and reminders: one's own, made here, their address shown once."""

from __future__ import annotations

from typing import Any, ClassVar

from django import forms
from django.conf import settings
from django.contrib import admin
from django.db.models import Model, QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from unfold.decorators import action
from unfold.enums import ActionVariant
from unfold.forms import BaseDialogForm
from unfold.widgets import UnfoldAdminSelectWidget

from apps.catalog.models import Team
from apps.catalog.queries import visible_teams
from apps.oncall import operations
from apps.oncall.models import CalendarFeed, Rotation, ShiftReminder
from apps.oncall.queries import visible_rotations
from apps.oncall.queries.feeds import reminder_of, visible_feeds
from apps.people.admin.base import PortalModelAdmin, ReadOnlyAdmin


class NewFeedForm(BaseDialogForm):
    """What the feed shows."""

    rotation = forms.ModelChoiceField(
        queryset=Rotation.objects.none(), required=False, empty_label="my own shifts", widget=UnfoldAdminSelectWidget
    )
    team = forms.ModelChoiceField(
        queryset=Team.objects.none(), required=False, empty_label="–", widget=UnfoldAdminSelectWidget,
        label="Or all rotations of a team",
    )  # fmt: skip

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        user = self.request.user
        self.fields["rotation"].queryset = visible_rotations(user).order_by("name")
        self.fields["team"].queryset = visible_teams(user).order_by("name")
        given = self.request.GET.get("rotation", "")
        self.fields["rotation"].initial = given if given.isdecimal() else None


class ReminderForm(BaseDialogForm):
    """When to be reminded."""

    lead = forms.ChoiceField(choices=ShiftReminder.Lead.choices, widget=UnfoldAdminSelectWidget, label="Remind me")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["lead"].initial = reminder_of(self.request.user)


@admin.register(CalendarFeed)
class CalendarFeedAdmin(ReadOnlyAdmin, PortalModelAdmin):
    """One's own feeds; superusers see and revoke all."""

    list_display = ("__str__", "owner", "prefix", "created_at", "last_read_at", "revoked_at")
    list_select_related = ("owner", "rotation", "team")
    search_fields = ("rotation__name", "team__name", "prefix")
    fields = ("owner", "rotation", "team", "prefix", "created_at", "last_read_at", "revoked_at")
    readonly_fields = fields
    actions_list: ClassVar[Any] = ("new", "remind")
    actions_detail: ClassVar[Any] = ("rotate", "revoke")

    def visible_to(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        return queryset.filter(pk__in=visible_feeds(request.user).values("pk"))

    def has_module_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("oncall.view_rotation")

    def has_view_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        if obj is None:
            return request.user.has_perm("oncall.view_rotation")
        own = isinstance(obj, CalendarFeed) and obj.owner_id == request.user.pk
        return own or super().has_view_permission(request, obj)

    def has_new_permission(self, request: HttpRequest, object_id: str | None = None) -> bool:
        return request.user.has_perm("oncall.view_rotation")

    def has_rotate_permission(self, request: HttpRequest, object_id: str | None = None) -> bool:
        feed = self.get_object(request, str(object_id))
        return feed is not None and feed.revoked_at is None and feed.owner_id == request.user.pk

    def has_revoke_permission(self, request: HttpRequest, object_id: str | None = None) -> bool:
        feed = self.get_object(request, str(object_id))
        if feed is None or feed.revoked_at is not None:
            return False
        return feed.owner_id == request.user.pk or request.user.has_perm("oncall.change_calendarfeed")

    @action(
        description="New feed",
        icon="add",
        permissions=["new"],
        dialog={
            "title": "New feed",
            "description": "A secret address that your calendar program reads. It shows what you may see.",
            "form_class": NewFeedForm,
            "form_submit_text": "Create",
        },
    )
    def new(self, request: HttpRequest, form: NewFeedForm) -> HttpResponse:
        rotation, team = form.cleaned_data["rotation"], form.cleaned_data["team"]
        made = self.perform(
            request,
            operations.create_feed,
            rotation_id=rotation.pk if rotation else None,
            team_id=team.pk if team else None,
        )
        return self.go_to_list(request) if made is None else _shown_once(request, *made)

    @action(
        description="Reminder before a shift",
        icon="alarm",
        permissions=["new"],
        dialog={
            "title": "Reminder before a shift",
            "description": "In your inbox and by mail or chat, before a shift of yours begins.",
            "form_class": ReminderForm,
            "form_submit_text": "Save",
        },
    )
    def remind(self, request: HttpRequest, form: ReminderForm) -> HttpResponse:
        lead = form.cleaned_data["lead"]
        self.perform(request, operations.set_reminder, lead, done=f"Reminder: {ShiftReminder.Lead(lead).label}.")
        return self.go_to_list(request)

    @action(
        description="New address",
        icon="autorenew",
        permissions=["rotate"],
        dialog={"title": "Give this feed a new address?", "description": "The old one shows nothing from now on."},
    )
    def rotate(self, request: HttpRequest, form: Any, object_id: str) -> HttpResponse:
        made = self.perform(request, operations.rotate_feed, self.row(request, object_id).pk)
        return self.go_to_row(request, object_id) if made is None else _shown_once(request, *made)

    @action(
        description="Revoke",
        icon="link_off",
        variant=ActionVariant.DANGER,
        permissions=["revoke"],
        dialog={"title": "Revoke this feed?", "description": "Its address shows nothing from now on."},
    )
    def revoke(self, request: HttpRequest, form: Any, object_id: str) -> HttpResponse:
        return self.press(request, operations.revoke_feed, object_id, done="The feed is revoked.")


def feed_address(token: str) -> str:
    """The absolute address of a feed, from its token."""
    return f"{settings.PUBLIC_URL}{reverse('oncall:feed', args=[token])}"


def _shown_once(request: HttpRequest, feed: CalendarFeed, token: str) -> HttpResponse:
    response = render(request, "oncall/feed_made.html", {"feed": feed, "address": feed_address(token)})
    response["Cache-Control"] = "no-store"
    return response
