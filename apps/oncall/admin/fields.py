"""What the dialogs of on-call ask with: people, instants, zones."""

from __future__ import annotations

from typing import Any
from zoneinfo import available_timezones

from django import forms
from django.db.models import Q, QuerySet
from unfold.widgets import UnfoldAdminTextInputWidget

from apps.foundation.clock import now
from apps.oncall.models import RotationMember
from apps.people.models import User


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


def number_widget() -> UnfoldAdminTextInputWidget:
    """A number, from the browser's own field."""
    return UnfoldAdminTextInputWidget(attrs={"type": "number"})


def members_of(rotation_id: Any) -> QuerySet[User]:
    """Who takes turns in a rotation, now or later."""
    there = Q(effective_until__isnull=True) | Q(effective_until__gt=now())
    rows = RotationMember.objects.filter(there, layer__rotation=rotation_id)
    return User.objects.filter(pk__in=rows.values("user")).order_by("display_name", "username")


def zones() -> list[tuple[str, str]]:
    """All IANA zones."""
    return [(name, name) for name in sorted(available_timezones())]
