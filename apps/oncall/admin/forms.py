"""The dialogs of rotations, layers and their people: each asks for what one operation takes."""

from __future__ import annotations

from typing import Any

from django import forms
from django.db.models import Q
from unfold.forms import BaseDialogForm
from unfold.widgets import (
    UnfoldAdminSelect2Widget,
    UnfoldAdminSelectWidget,
    UnfoldAdminTextareaWidget,
    UnfoldAdminTextInputWidget,
    UnfoldBooleanSwitchWidget,
)

from apps.catalog.models import Team
from apps.catalog.queries import led_team_ids
from apps.foundation.clock import now
from apps.oncall.admin.fields import instant, number_widget, people, text, zones
from apps.oncall.admin.hours import WEEKDAYS, parse_hours, shown_hours
from apps.oncall.models import HolidayCalendar, Layer, Rotation, RotationMember

_PLACES, _SPARE_PLACES = 6, 3
_OF_LAYER = (
    "cadence",
    "every",
    "handoff_weekday",
    "handoff_day",
    "handoff_time",
    "time_zone",
    "restrictions",
    "holiday_rule",
)


class LayerForm(BaseDialogForm):
    """When a layer hands over, and when it works at all."""

    cadence = forms.ChoiceField(
        choices=Layer.Cadence.choices, initial=Layer.Cadence.WEEKLY, widget=UnfoldAdminSelectWidget
    )
    every = forms.IntegerField(
        min_value=1, max_value=1000, initial=1, widget=number_widget(), help_text="2 with weekly: every other week"
    )
    handoff_weekday = forms.TypedChoiceField(
        choices=list(enumerate(WEEKDAYS)), coerce=int, initial=0, widget=UnfoldAdminSelectWidget,
        help_text="of weekly handoffs",
    )  # fmt: skip
    handoff_day = forms.IntegerField(
        min_value=1, max_value=31, initial=1, widget=number_widget(), help_text="of the month, of monthly handoffs"
    )
    handoff_time = forms.TimeField(
        initial="09:00", widget=UnfoldAdminTextInputWidget(attrs={"type": "time"}), help_text="on clocks in that zone"
    )
    time_zone = forms.ChoiceField(choices=zones, initial="UTC", widget=UnfoldAdminSelect2Widget)
    restrictions = forms.CharField(
        required=False,
        label="Working hours",
        widget=UnfoldAdminTextareaWidget(attrs={"rows": 3, "placeholder": "Mon-Fri 09:00-17:00"}),
        help_text="one line each, like Mon-Fri 09:00-17:00 or Sat,Sun 22:00-06:00; empty: always",
    )
    holiday_rule = forms.ChoiceField(
        choices=Layer.HolidayRule.choices, initial=Layer.HolidayRule.IGNORE, widget=UnfoldAdminSelectWidget
    )
    holiday_calendar = forms.ModelChoiceField(
        queryset=HolidayCalendar.objects.all(), required=False, widget=UnfoldAdminSelectWidget
    )

    def clean_restrictions(self) -> list[dict[str, Any]]:
        return parse_hours(self.cleaned_data["restrictions"])

    def fields_of_layer(self) -> dict[str, Any]:
        """What the operations on layers take."""
        given = {name: self.cleaned_data[name] for name in _OF_LAYER}
        calendar = self.cleaned_data["holiday_calendar"]
        return given | {"holiday_calendar_id": calendar.pk if calendar else None}


class NewRotationForm(LayerForm):
    """A new rotation with its first layer and its people."""

    team = forms.ModelChoiceField(queryset=Team.objects.none(), empty_label=None, widget=UnfoldAdminSelectWidget)
    name = text(max_length=120)
    slug = forms.SlugField(max_length=60, widget=UnfoldAdminTextInputWidget, help_text="its short name for programs")
    field_order = ("team", "name", "slug")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        user = self.request.user
        led = Q() if user.has_perm("oncall.add_rotation") else Q(pk__in=led_team_ids(user.pk))
        self.fields["team"].queryset = Team.objects.filter(led)


class EditRotationForm(BaseDialogForm):
    """The name of a rotation, and how its swaps go."""

    name = text(max_length=120)
    swaps_need_approval = forms.BooleanField(
        required=False, widget=UnfoldBooleanSwitchWidget, help_text="a manager or lead must approve before a swap holds"
    )
    reason = text(max_length=80, required=False, label="Why", help_text="kept in the history")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        rotation = Rotation.objects.filter(pk=self.object_id).first()
        if rotation is not None:
            self.fields["name"].initial = rotation.name
            self.fields["swaps_need_approval"].initial = rotation.swaps_need_approval


class NewLayerForm(LayerForm):
    """One more layer."""

    name = text(max_length=60)
    field_order = ("name",)


class EditLayerForm(LayerForm):
    """All of a layer but its people."""

    name = text(max_length=60)
    priority = forms.IntegerField(
        min_value=0, max_value=32767, widget=number_widget(), help_text="the highest that has somebody wins"
    )
    reason = text(max_length=80, required=False, label="Why", help_text="kept in the history")
    field_order = ("name", "priority")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        layer = Layer.objects.filter(pk=self.object_id).first()
        if layer is not None:
            for name in ("name", "priority", "cadence", "every", "handoff_weekday", "handoff_day", "time_zone"):
                self.fields[name].initial = getattr(layer, name)
            self.fields["handoff_time"].initial = f"{layer.handoff_time:%H:%M}"
            self.fields["restrictions"].initial = shown_hours(layer.restrictions)
            self.fields["holiday_rule"].initial = layer.holiday_rule
            self.fields["holiday_calendar"].initial = layer.holiday_calendar_id


class MembersForm(BaseDialogForm):
    """Who takes turns, in their order: one choice for each place, and some to spare."""

    effective_from = instant(required=False, label="From (UTC)", help_text="empty: from the next handoff on")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        rows = RotationMember.objects.filter(layer=self.object_id, effective_until__isnull=True)
        current = list(rows.order_by("position", "id").values_list("user_id", flat=True))
        choices = [("", "–"), *((user.pk, user.name) for user in people())]
        for index in range(max(_PLACES, len(current) + _SPARE_PLACES)):
            self.fields[f"place_{index + 1}"] = forms.TypedChoiceField(
                choices=choices, required=False, coerce=int, empty_value=None, widget=UnfoldAdminSelectWidget,
                label=f"{index + 1}.", initial=current[index] if index < len(current) else "",
            )  # fmt: skip

    def user_ids(self) -> list[int]:
        """The chosen people, in their order."""
        names = [name for name in self.fields if name.startswith("place_")]
        return [self.cleaned_data[name] for name in names if self.cleaned_data[name] is not None]


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
        rows = RotationMember.objects.filter(there, layer=self.object_id).select_related("user", "layer__rotation")
        self.fields["member"].queryset = rows
