"""The dialogs of maintenance windows: each asks for what one operation takes."""

from __future__ import annotations

from typing import Any

from django import forms
from django.db.models import Q
from unfold.forms import BaseDialogForm
from unfold.widgets import UnfoldAdminSelect2Widget, UnfoldAdminTextInputWidget

from apps.catalog.models import Service, Team
from apps.catalog.queries import led_team_ids
from apps.foundation.clock import now
from apps.paging.operations.maintaining import ADD


def _instant(**kwargs: Any) -> forms.DateTimeField:
    """A date and time in UTC, from the browser's own picker."""
    widget = UnfoldAdminTextInputWidget(attrs={"type": "datetime-local"})
    return forms.DateTimeField(widget=widget, **kwargs)


class MaintenanceForm(BaseDialogForm):  # type: ignore[misc]  # its base carries no types
    """Of what, from when until when, and why."""

    team = forms.ModelChoiceField(
        queryset=Team.objects.none(),
        required=False,
        empty_label="everything, or the service below",
        widget=UnfoldAdminSelect2Widget,
    )
    service = forms.ModelChoiceField(
        queryset=Service.objects.none(), required=False, widget=UnfoldAdminSelect2Widget, help_text="instead of a team"
    )
    starts_at = _instant(label="From (UTC)")
    ends_at = _instant(label="Until before (UTC)")
    reason = forms.CharField(max_length=200, widget=UnfoldAdminTextInputWidget, label="Why")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        user = self.request.user
        led = led_team_ids(user.pk)
        every = user.has_perm(ADD)
        self.fields["team"].queryset = Team.objects.filter(Q() if every else Q(pk__in=led))
        self.fields["service"].queryset = Service.objects.filter(Q() if every else Q(owner__in=led))
        self.fields["starts_at"].initial = f"{now():%Y-%m-%dT%H:%M}"


class EndMaintenanceForm(BaseDialogForm):  # type: ignore[misc]  # the same
    """When it ends."""

    ends_at = _instant(required=False, label="Until before (UTC)", help_text="empty: now")
