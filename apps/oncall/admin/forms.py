"""The dialogs of on-call: each asks for what one operation takes."""

from __future__ import annotations

from typing import Any
from zoneinfo import available_timezones

from django import forms
from django.db.models import Q, QuerySet
from unfold.forms import BaseDialogForm
from unfold.widgets import UnfoldAdminSelect2Widget, UnfoldAdminSelectWidget, UnfoldAdminTextInputWidget

from apps.catalog.models import Team
from apps.catalog.queries import led_team_ids
from apps.foundation.clock import now
from apps.oncall.models import Rotation, RotationMember
from apps.oncall.queries import visible_rotations
from apps.people.models import User

WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")


def people() -> QuerySet[User]:
    """Who can be on call."""
    return User.objects.filter(is_active=True, kind=User.Kind.PERSON).order_by("display_name", "username")


def text(**kwargs: Any) -> forms.CharField:
    """One line of text."""
    return forms.CharField(widget=UnfoldAdminTextInputWidget, **kwargs)


def instant(**kwargs: Any) -> forms.DateTimeField:
    """A date and time in UTC, from the browser's own picker."""
    widget = UnfoldAdminTextInputWidget(attrs={"type": "datetime-local"})
    return forms.DateTimeField(widget=widget, **kwargs)


def zones() -> list[tuple[str, str]]:
    """All IANA zones."""
    return [(name, name) for name in sorted(available_timezones())]


class HandoffForm(BaseDialogForm):
    """A rotation's name and handoff."""

    name = text(max_length=120)
    time_zone = forms.ChoiceField(choices=zones, initial="UTC", widget=UnfoldAdminSelect2Widget)
    handoff_weekday = forms.TypedChoiceField(
        choices=list(enumerate(WEEKDAYS)), coerce=int, initial=0, widget=UnfoldAdminSelectWidget
    )
    handoff_time = forms.TimeField(
        initial="09:00", widget=UnfoldAdminTextInputWidget(attrs={"type": "time"}), help_text="on clocks in that zone"
    )


class NewRotationForm(HandoffForm):
    """A new rotation; people are added on its page."""

    team = forms.ModelChoiceField(queryset=Team.objects.none(), empty_label=None, widget=UnfoldAdminSelectWidget)
    slug = forms.SlugField(max_length=60, widget=UnfoldAdminTextInputWidget, help_text="its short name for programs")
    field_order = ("team", "name", "slug")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        user = self.request.user
        led = Q() if user.has_perm("oncall.add_rotation") else Q(pk__in=led_team_ids(user.pk))
        self.fields["team"].queryset = Team.objects.filter(led)


class EditRotationForm(HandoffForm):
    """The same of a rotation that is there."""

    reason = text(max_length=80, required=False, label="Why", help_text="kept in the history")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        rotation = Rotation.objects.filter(pk=self.object_id).first()
        if rotation is not None:
            self.fields["name"].initial = rotation.name


class MemberForm(BaseDialogForm):
    """A person for the end of the order."""

    user = forms.ModelChoiceField(queryset=people(), widget=UnfoldAdminSelect2Widget, label="Person")
    effective_from = instant(required=False, label="From (UTC)", help_text="empty: from now on")


class EndMemberForm(BaseDialogForm):
    """Whose place ends, and when."""

    member = forms.ModelChoiceField(
        queryset=RotationMember.objects.none(), empty_label=None, widget=UnfoldAdminSelectWidget, label="Person"
    )
    effective_until = instant(required=False, label="Until (UTC)", help_text="empty: until now")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        there = Q(effective_until__isnull=True) | Q(effective_until__gt=now())
        rows = RotationMember.objects.filter(there, layer__rotation=self.object_id).select_related("user", "layer")
        self.fields["member"].queryset = rows


class CoverForm(BaseDialogForm):
    """Who covers, and when."""

    user = forms.ModelChoiceField(queryset=people(), widget=UnfoldAdminSelect2Widget, label="Who covers")
    starts_at = instant(label="From (UTC)")
    ends_at = instant(label="Until before (UTC)")
    reason = text(max_length=200, required=False, label="Why")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["user"].initial = self.request.user.pk
        self.fields["starts_at"].initial = f"{now():%Y-%m-%dT%H:%M}"


class CoverSomewhereForm(CoverForm):
    """The same for any rotation."""

    rotation = forms.ModelChoiceField(queryset=Rotation.objects.none(), widget=UnfoldAdminSelectWidget)
    field_order = ("rotation", "user")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["rotation"].queryset = visible_rotations(self.request.user)


class BindRoleForm(BaseDialogForm):
    """A role and what it means."""

    role = forms.SlugField(
        max_length=60, widget=UnfoldAdminTextInputWidget, help_text="as the policy packs call it, for example primary"
    )
    team = forms.ModelChoiceField(
        queryset=Team.objects.all(), required=False, empty_label="every team", widget=UnfoldAdminSelectWidget
    )
    rotation = forms.ModelChoiceField(
        queryset=Rotation.objects.all(), required=False, widget=UnfoldAdminSelectWidget, help_text="or a person:"
    )
    user = forms.ModelChoiceField(queryset=people(), required=False, widget=UnfoldAdminSelect2Widget, label="Person")
