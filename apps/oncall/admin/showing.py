"""What the pages of rotations and layers show: handoffs in words, the layers, the two weeks to come."""

from __future__ import annotations

from collections import defaultdict
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from django.db.models import Q
from django.template.loader import render_to_string
from django.urls import reverse

from apps.foundation.clock import now
from apps.oncall.admin.hours import WEEKDAYS, shown_hours
from apps.oncall.models import Layer, Rotation, RotationMember
from apps.oncall.queries import shifts_of, warnings_of
from apps.oncall.schedule import Shift, gaps
from apps.people.models import User

SHOWN = timedelta(weeks=2)
_UNITS = {"hourly": "hour", "daily": "day", "weekly": "week", "monthly": "month"}


def handoff_text(layer: Layer) -> str:
    """When a layer hands over, like "Monday 09:00 UTC" or "every 2 weeks, Monday 09:00 UTC"."""
    at = f"{layer.handoff_time:%H:%M} {layer.time_zone}"
    if layer.cadence == Layer.Cadence.WEEKLY:
        at = f"{WEEKDAYS[layer.handoff_weekday]} {at}"
        return at if layer.every == 1 else f"every {layer.every} weeks, {at}"
    unit = _UNITS[layer.cadence]
    often = f"every {unit}" if layer.every == 1 else f"every {layer.every} {unit}s"
    if layer.cadence == Layer.Cadence.MONTHLY:
        return f"{often}, day {layer.handoff_day}, {at}"
    return f"{often}, {at}" if layer.cadence == Layer.Cadence.DAILY else f"{often} from {at}"


def working_text(layer: Layer) -> list[str]:
    """When a layer works, line by line."""
    lines = shown_hours(layer.restrictions).splitlines() or ["always"]
    if layer.holiday_calendar is not None and layer.holiday_rule != Layer.HolidayRule.IGNORE:
        lines.append(f"{layer.get_holiday_rule_display()} ({layer.holiday_calendar.name})")
    return lines


def layers_table(rotation: Rotation) -> str:
    """The layers of a rotation with their people, and what is wrong with it."""
    layers = list(rotation.layers.select_related("holiday_calendar").order_by("-priority", "-id"))
    there = Q(effective_until__isnull=True) | Q(effective_until__gt=now())
    names: dict[int, list[str]] = defaultdict(list)
    rows = RotationMember.objects.filter(there, layer__rotation=rotation).select_related("user")
    for member in rows.order_by("position", "id"):
        names[member.layer_id].append(member.user.name + _when(member))
    shown = [
        {
            "name": layer.name,
            "url": reverse("admin:oncall_layer_change", args=[layer.pk]),
            "handoff": handoff_text(layer),
            "hours": working_text(layer),
            "people": names[layer.pk],
        }
        for layer in layers
    ]
    return render_to_string("oncall/layers.html", {"layers": shown, "warnings": warnings_of([rotation])[rotation.pk]})


def _when(member: RotationMember) -> str:
    if member.effective_from > now():
        return f" (from {member.effective_from:%d %b %H:%M} UTC)"
    return f" (until {member.effective_until:%d %b %H:%M} UTC)" if member.effective_until else ""


def two_weeks(rotation: Rotation, zone: str) -> str:
    """Who is on call in the next two weeks, why, and where nobody is."""
    start, end = now(), now() + SHOWN
    found = shifts_of(rotation.pk, start, end)
    wanted = {shift.user_id for shift in found} | {shift.replaces for shift in found if shift.replaces}
    names = {user.pk: user.name for user in User.objects.filter(pk__in=wanted)}
    rows = [_row(shift, names, ZoneInfo(zone)) for shift in found]
    rows += [
        {
            "at": begins,
            "starts_at": _reading(begins, ZoneInfo(zone)),
            "ends_at": _reading(ends, ZoneInfo(zone)),
            "name": "",
        }
        for begins, ends in gaps(found, start, end)
    ]
    rows.sort(key=lambda row: row["at"])
    url = f"{reverse('admin:oncall_rotation_calendar')}?rotation={rotation.pk}"
    return render_to_string("oncall/weeks.html", {"rows": rows, "zone": zone, "calendar_url": url})


def _reading(at: datetime, zone: ZoneInfo) -> datetime:
    """What clocks show, without a zone: the template's filter would turn an instant into UTC again."""
    return at.astimezone(zone).replace(tzinfo=None)


def _row(shift: Shift, names: dict[int, str], zone: ZoneInfo) -> dict[str, Any]:
    kind, why = "", shift.layer
    if shift.cover_id is not None:
        instead = names.get(shift.replaces or 0)
        kind, why = f"covers {instead}" if instead else "covers", shift.reason
    elif shift.coverage_id is not None:
        kind, why = "besides", shift.reason
    return {
        "at": shift.starts_at,
        "starts_at": _reading(shift.starts_at, zone),
        "ends_at": _reading(shift.ends_at, zone),
        "name": names.get(shift.user_id, ""),
        "kind": kind,
        "why": why,
    }
