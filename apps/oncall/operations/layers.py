"""Layers of a rotation: when they hand over, and when they work at all."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from django.db.models import Max

from apps.foundation.actor import Actor
from apps.foundation.clock import now
from apps.foundation.errors import Conflict, Invalid, NotFound
from apps.foundation.operations import operation
from apps.oncall.models import HolidayCalendar, Layer, Rotation, RotationMember
from apps.oncall.operations.checking import (
    active_user,
    check_row,
    check_year,
    check_zone,
    checked_restrictions,
    locked_rotation,
    publish_change,
)
from apps.oncall.operations.watching import remember
from apps.oncall.permissions import require_edit

FIELDS = frozenset(
    {
        "name",
        "priority",
        "cadence",
        "every",
        "time_zone",
        "handoff_weekday",
        "handoff_day",
        "handoff_time",
        "starts_on",
        "restrictions",
        "holiday_calendar_id",
        "holiday_rule",
    }
)


@operation
def add_layer(
    rotation_id: int, name: str, *, member_ids: Sequence[int] = (), reason: str = "", actor: Actor, **fields: Any
) -> Layer:
    """Add a layer with people in the order given; it wins over those that are there unless `priority` says otherwise.

    `fields` may hold cadence (hourly, daily, weekly, monthly), every (n of these), time_zone, handoff_weekday (0 is
    Monday), handoff_day (of the month), handoff_time, starts_on, restrictions, holiday_calendar_id and holiday_rule
    (ignore, skip, only). Without `starts_on` it holds at once. A layer of that name that is there is a Conflict. For
    managers and leads of the team. Raises NotFound, Forbidden, Conflict, Invalid.
    """
    rotation = locked_rotation(rotation_id)
    require_edit(actor, rotation.team_id, "oncall.add_layer")
    if fields.get("priority") is None:
        highest = rotation.layers.aggregate(highest=Max("priority"))["highest"]
        fields["priority"] = 0 if highest is None else highest + 1
    remember(rotation, actor)
    layer = made_layer(rotation, name, member_ids=member_ids, **fields)
    publish_change(rotation, f"added the layer {layer.name}", actor)
    return layer


@operation
def update_layer(layer_id: int, *, reason: str = "", actor: Actor, **fields: Any) -> Layer:
    """Change what `add_layer` sets; what is not given stays, and the same values change nothing.

    A new handoff also moves the boundaries of past turns in the calendar; pages keep their own record of whom they
    reached. For managers and leads of the team. Raises NotFound, Forbidden, Conflict, Invalid.
    """
    layer = locked_layer(layer_id)
    require_edit(actor, layer.rotation.team_id, "oncall.change_layer")
    changes = {key: value for key, value in _checked(layer, fields).items() if value != getattr(layer, key)}
    if not changes:
        return layer
    remember(layer.rotation, actor)
    for key, value in changes.items():
        setattr(layer, key, value)
    _check_layer(layer)
    layer.save(update_fields=list(changes))
    told = ", ".join(sorted(key.removesuffix("_id") for key in changes))
    publish_change(layer.rotation, f"changed {told} of the layer {layer.name}", actor)
    return layer


@operation
def delete_layer(layer_id: int, *, reason: str = "", actor: Actor) -> None:
    """Delete a layer with its places; their history stays. For managers and leads of the team.

    Raises NotFound (also on a repeat), Forbidden, and Conflict for the last layer of a rotation.
    """
    layer = locked_layer(layer_id)
    require_edit(actor, layer.rotation.team_id, "oncall.delete_layer")
    if not layer.rotation.layers.exclude(pk=layer.pk).exists():
        raise Conflict("A rotation has at least one layer; delete the rotation instead.", code="last_layer")
    remember(layer.rotation, actor)
    publish_change(layer.rotation, f"deleted the layer {layer.name}", actor)
    layer.delete()


def locked_layer(layer_id: int) -> Layer:
    """The layer with its rotation and team, the rotation's row locked. Raises NotFound."""
    found = Layer.objects.filter(pk=layer_id).first()
    if found is None:
        raise NotFound("There is no such layer.")
    rotation = locked_rotation(found.rotation_id)
    layer = Layer.objects.select_for_update(of=("self",)).filter(pk=layer_id).first()
    if layer is None:
        raise NotFound("There is no such layer.")
    layer.rotation = rotation
    return layer


def made_layer(rotation: Rotation, name: str, *, member_ids: Sequence[int] = (), **fields: Any) -> Layer:
    """A new layer with its people, checked and saved; the rotation is locked already or not yet seen by others."""
    layer = Layer(rotation=rotation, name=name.strip())
    for key, value in _checked(layer, fields).items():
        setattr(layer, key, value)
    check_zone(layer.time_zone)
    if fields.get("starts_on") is None:
        layer.starts_on = _long_enough_ago(layer)
    _check_layer(layer)
    layer.save()
    for position, user_id in enumerate(dict.fromkeys(member_ids)):
        member = RotationMember(layer=layer, user=active_user(user_id), position=position, effective_from=now())
        check_row(member)
        member.save()
    return layer


def _checked(layer: Layer, fields: dict[str, Any]) -> dict[str, Any]:
    """What is given and may be set, in the form in which it is kept. Raises TypeError for an unknown field."""
    if unknown := set(fields) - FIELDS:
        raise TypeError(f"A layer has no {', '.join(sorted(unknown))}.")
    found = {key: value for key, value in fields.items() if value is not None or key == "holiday_calendar_id"}
    if "restrictions" in found:
        found["restrictions"] = checked_restrictions(found["restrictions"])
    if "name" in found:
        found["name"] = str(found["name"]).strip()
    calendar_id = found.get("holiday_calendar_id", layer.holiday_calendar_id)
    if calendar_id is None and found.get("holiday_rule", layer.holiday_rule) != Layer.HolidayRule.IGNORE:
        raise Invalid("Say which holiday calendar.", fields={"holiday_calendar": ["Say which holiday calendar."]})
    return found


def _check_layer(layer: Layer) -> None:
    check_zone(layer.time_zone)
    calendar_id = layer.holiday_calendar_id
    if calendar_id is not None and not HolidayCalendar.objects.filter(pk=calendar_id).exists():
        raise NotFound("There is no such holiday calendar.", fields={"holiday_calendar": ["There is none like that."]})
    others = Layer.objects.filter(rotation_id=layer.rotation_id).exclude(pk=layer.pk)
    if others.filter(name=layer.name).exists():
        sentence = "This rotation has a layer of that name already."
        raise Conflict(sentence, code="layer_name_taken", fields={"name": [sentence]})
    check_row(layer)
    check_year(layer.starts_on.year, "starts_on")


def _long_enough_ago(layer: Layer) -> date:
    """The last day before today on which the layer may hand over: its handoff is past, whatever its hour."""
    today = now().astimezone(ZoneInfo(layer.time_zone)).date()
    if layer.cadence == Layer.Cadence.WEEKLY:
        return today - timedelta(days=(today.weekday() - layer.handoff_weekday - 1) % 7 + 1)
    if layer.cadence == Layer.Cadence.MONTHLY:
        last_month = today.replace(day=1) - timedelta(days=1)
        return last_month.replace(day=1)
    return today - timedelta(days=1)
