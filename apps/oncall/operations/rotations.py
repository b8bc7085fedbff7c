"""Rotations and the places of people in them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from django.db.models import Max

from apps.catalog.models import Team
from apps.engine.operations import publish
from apps.foundation.actor import Actor
from apps.foundation.clock import now
from apps.foundation.errors import Conflict, NotFound
from apps.foundation.operations import operation
from apps.oncall.events import RotationChanged
from apps.oncall.models import Rotation, RotationMember
from apps.oncall.operations.checking import (
    active_user,
    check_row,
    check_year,
    check_zone,
    locked_rotation,
    not_past,
    subject_of,
)
from apps.oncall.permissions import require_edit
from apps.people.models import User


@operation
def create_rotation(
    team_id: int,
    slug: str,
    name: str,
    *,
    time_zone: str = "UTC",
    handoff_weekday: int = 0,
    handoff_time: time = time(9),
    starts_on: date | None = None,
    member_ids: Sequence[int] = (),
    actor: Actor,
) -> Rotation:
    """Make a rotation with people in the order given. `handoff_weekday` 0 is Monday.

    Without `starts_on` it holds at once: the first handoff is the last such weekday. For managers and leads of the
    team. Raises NotFound, Forbidden, Conflict when the slug is taken, Invalid.
    """
    team = Team.objects.filter(pk=team_id).first()
    if team is None:
        raise NotFound("There is no such team.")
    require_edit(actor, team.pk, "oncall.add_rotation")
    if Rotation.objects.filter(slug=slug).exists():
        raise Conflict("This slug is taken.", code="slug_taken", fields={"slug": ["This slug is taken."]})
    check_zone(time_zone)
    rotation = Rotation(
        team=team,
        slug=slug,
        name=name.strip(),
        time_zone=time_zone,
        handoff_weekday=handoff_weekday,
        handoff_time=handoff_time,
        starts_on=starts_on or _last_such_day(time_zone, handoff_weekday),
    )
    check_row(rotation)
    check_year(rotation.starts_on.year, "starts_on")
    rotation.save()
    for position, user_id in enumerate(dict.fromkeys(member_ids)):
        _place(rotation, active_user(user_id), position, now())
    _publish_change(rotation, "created", actor)
    return rotation


@operation
def update_rotation(
    rotation_id: int,
    *,
    name: str | None = None,
    time_zone: str | None = None,
    handoff_weekday: int | None = None,
    handoff_time: time | None = None,
    starts_on: date | None = None,
    reason: str = "",
    actor: Actor,
) -> Rotation:
    """Change a rotation's name or handoff; what is not given stays, and the same values change nothing.

    A new handoff also moves the boundaries of past weeks in the calendar; pages keep their own record of whom they
    reached. For managers and leads of the team. Raises NotFound, Forbidden, Invalid.
    """
    rotation = locked_rotation(rotation_id)
    require_edit(actor, rotation.team_id, "oncall.change_rotation")
    given = {
        "name": name,
        "time_zone": time_zone,
        "handoff_weekday": handoff_weekday,
        "handoff_time": handoff_time,
        "starts_on": starts_on,
    }
    changes = {key: value for key, value in given.items() if value not in (None, getattr(rotation, key))}
    if not changes:
        return rotation
    check_zone(time_zone or rotation.time_zone)
    for key, value in changes.items():
        setattr(rotation, key, value)
    check_row(rotation)
    check_year(rotation.starts_on.year, "starts_on")
    rotation.save(update_fields=list(changes))
    _publish_change(rotation, f"changed {', '.join(sorted(changes))}", actor)
    return rotation


@operation
def delete_rotation(rotation_id: int, *, reason: str = "", actor: Actor) -> None:
    """Delete a rotation with its members and overrides; their history stays. For managers and leads of the team.

    Raises NotFound (also on a repeat), Forbidden, and Conflict while a role means this rotation.
    """
    rotation = locked_rotation(rotation_id)
    require_edit(actor, rotation.team_id, "oncall.delete_rotation")
    bound = rotation.bindings.first()
    if bound is not None:
        raise Conflict(f"The role {bound} means this rotation: bind it to something else first.", code="role_bound")
    _publish_change(rotation, "deleted", actor)
    rotation.delete()


@operation
def add_member(
    rotation_id: int,
    user_id: int,
    *,
    position: int | None = None,
    effective_from: datetime | None = None,
    actor: Actor,
) -> RotationMember:
    """Give a person a place in the order, last unless `position` says otherwise, from now or from a later instant.

    The turns of the others stay in order. Somebody who has a place already keeps it. The past can't be changed (only
    the portal itself, when it loads data, may). For managers and leads. Raises NotFound, Forbidden, Invalid.
    """
    rotation = locked_rotation(rotation_id)
    require_edit(actor, rotation.team_id, "oncall.add_rotationmember")
    at = effective_from or now()
    if not actor.is_system:
        at = not_past(at, "effective_from")
    there = rotation.members.filter(user_id=user_id, effective_until__isnull=True).first()
    if there is not None:
        return there
    if position is None:
        last = rotation.members.aggregate(last=Max("position"))["last"]
        position = 0 if last is None else last + 1
    member = _place(rotation, active_user(user_id), position, at)
    _publish_change(rotation, f"added {member.user.name}", actor)
    return member


@operation
def end_member(
    member_id: int, *, effective_until: datetime | None = None, reason: str = "", actor: Actor
) -> RotationMember | None:
    """End a place now or at a later instant; if its person is on duty then, the next in the order takes over.

    A place that would end before it begins is removed, and None returned. An ended place stays as it is. For
    managers and leads. Raises NotFound, Forbidden, Invalid.
    """
    found = RotationMember.objects.filter(pk=member_id).first()
    if found is None:
        raise NotFound("There is no such place in a rotation.")
    rotation = locked_rotation(found.rotation_id)
    require_edit(actor, rotation.team_id, "oncall.change_rotationmember")
    member = RotationMember.objects.select_for_update(of=("self",)).select_related("user").get(pk=member_id)
    if member.effective_until is not None and member.effective_until <= now():
        return member
    until = not_past(effective_until or now(), "effective_until")
    _publish_change(rotation, f"ended the place of {member.user.name}", actor)
    if until <= member.effective_from:
        member.delete()
        return None
    member.effective_until = until
    member.save(update_fields=["effective_until"])
    return member


def _place(rotation: Rotation, user: User, position: int, at: datetime) -> RotationMember:
    member = RotationMember(rotation=rotation, user=user, position=position, effective_from=at)
    check_row(member)
    member.save()
    return member


def _last_such_day(zone: str, weekday: int) -> date:
    """The last such weekday before today in the zone: its handoff is past, whatever its hour."""
    today = now().astimezone(ZoneInfo(zone)).date()
    return today - timedelta(days=(today.weekday() - weekday - 1) % 7 + 1)


def _publish_change(rotation: Rotation, change: str, actor: Actor) -> None:
    publish(RotationChanged(rotation_id=rotation.pk, change=change), subject=subject_of(rotation), actor=actor)
