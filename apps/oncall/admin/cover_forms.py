"""The dialogs of pauses, covers, coverage, swaps, holidays and roles: each asks for what one operation takes."""

from __future__ import annotations

from typing import Any

from django import forms
from unfold.forms import BaseDialogForm
from unfold.widgets import (
    UnfoldAdminSelect2MultipleWidget,
    UnfoldAdminSelect2Widget,
    UnfoldAdminSelectWidget,
    UnfoldAdminTextareaWidget,
    UnfoldAdminTextInputWidget,
)

from apps.catalog.models import Team
from apps.foundation.clock import now
from apps.oncall.admin.fields import instant, members_of, people, text
from apps.oncall.models import HolidayCalendar, Rotation
from apps.oncall.queries import visible_rotations
from apps.people.models import User


class PauseForm(BaseDialogForm):
    """Who takes no turns, and when."""

    user = forms.ModelChoiceField(
        queryset=User.objects.none(), required=False, empty_label="everybody", widget=UnfoldAdminSelectWidget,
        label="Who pauses",
    )  # fmt: skip
    starts_at = instant(required=False, label="From (UTC)", help_text="empty: from now on")
    ends_at = instant(required=False, label="Until before (UTC)", help_text="empty: until further notice")
    reason = text(max_length=200, required=False, label="Why")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["user"].queryset = members_of(self.object_id)


class CoverageForm(BaseDialogForm):
    """Who is on call besides, and when."""

    users = forms.ModelMultipleChoiceField(queryset=people(), widget=UnfoldAdminSelect2MultipleWidget, label="People")
    starts_at = instant(label="From (UTC)")
    ends_at = instant(label="Until before (UTC)")
    reason = text(max_length=200, required=False, label="Why", help_text="for example the name of the launch")


class SwapForm(BaseDialogForm):
    """What time is offered, and to whom."""

    starts_at = instant(label="From (UTC)")
    ends_at = instant(label="Until before (UTC)")
    asked = forms.ModelChoiceField(
        queryset=people(), required=False, empty_label="anybody", widget=UnfoldAdminSelect2Widget, label="To"
    )
    user = forms.ModelChoiceField(
        queryset=User.objects.none(), required=False, empty_label="my own time", widget=UnfoldAdminSelectWidget,
        label="Whose time", help_text="somebody else's only for managers and leads",
    )  # fmt: skip
    reason = text(max_length=200, required=False, label="Why")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["user"].queryset = members_of(self.object_id)


class TakeSwapForm(BaseDialogForm):
    """Who takes it."""

    user = forms.ModelChoiceField(
        queryset=people(), required=False, empty_label="myself", widget=UnfoldAdminSelect2Widget, label="Who takes it",
        help_text="somebody else only for managers and leads",
    )  # fmt: skip


class HolidayCalendarForm(BaseDialogForm):
    """A calendar of holidays."""

    name = text(max_length=120)
    country = text(max_length=2, required=False, help_text="ISO 3166 code, for example DE; empty: own days only")
    subdivision = text(max_length=20, required=False, help_text="a part of it, for example BE")
    own_days = forms.CharField(
        required=False, widget=UnfoldAdminTextareaWidget(attrs={"rows": 3}), help_text="dates as YYYY-MM-DD"
    )

    def clean_own_days(self) -> list[str]:
        return str(self.cleaned_data["own_days"]).replace(",", " ").split()


class NewHolidayCalendarForm(HolidayCalendarForm):
    """A new one."""

    slug = forms.SlugField(max_length=60, widget=UnfoldAdminTextInputWidget, help_text="its short name for programs")
    field_order = ("name", "slug")


class EditHolidayCalendarForm(HolidayCalendarForm):
    """The same of one that is there."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        calendar = HolidayCalendar.objects.filter(pk=self.object_id).first()
        if calendar is not None:
            for name in ("name", "country", "subdivision"):
                self.fields[name].initial = getattr(calendar, name)
            self.fields["own_days"].initial = "\n".join(calendar.own_days)


class CoverForm(BaseDialogForm):
    """Who covers, and when."""

    user = forms.ModelChoiceField(queryset=people(), widget=UnfoldAdminSelect2Widget, label="Who covers")
    replaces = forms.ModelChoiceField(
        queryset=people(), required=False, empty_label="whoever has the duty", widget=UnfoldAdminSelect2Widget,
        label="Instead of",
    )  # fmt: skip
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
