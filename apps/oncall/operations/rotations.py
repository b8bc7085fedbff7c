"""Rotations as a whole."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from apps.catalog.models import Team
from apps.foundation.actor import Actor
from apps.foundation.clock import now
from apps.foundation.errors import Conflict, NotFound
from apps.foundation.operations import operation
from apps.oncall.models import Rotation
from apps.oncall.notices import tell_deleted
from apps.oncall.operations.checking import check_row, locked_rotation, publish_change
from apps.oncall.operations.layers import made_layer
from apps.oncall.operations.watching import remember
from apps.oncall.permissions import require_edit
from apps.oncall.queries.schedules import schedules_of


@operation
def create_rotation(
    team_id: int,
    slug: str,
    name: str,
    *,
    swaps_need_approval: bool = False,
    member_ids: Sequence[int] = (),
    actor: Actor,
    **layer: Any,
) -> Rotation:
    """Make a rotation with one layer, and people in the order given.

    `layer` may hold what `add_layer` takes: cadence, every, time_zone, handoff_weekday, handoff_day, handoff_time,
    starts_on, restrictions, holiday_calendar_id, holiday_rule. Without `starts_on` it holds at once. For managers and
    leads of the team. Raises NotFound, Forbidden, Conflict when the slug is taken, Invalid.
    """
    team = Team.objects.filter(pk=team_id).first()
    if team is None:
        raise NotFound("There is no such team.")
    require_edit(actor, team.pk, "oncall.add_rotation")
    if Rotation.objects.filter(slug=slug).exists():
        raise Conflict("This slug is taken.", code="slug_taken", fields={"slug": ["This slug is taken."]})
    rotation = Rotation(team=team, slug=slug, name=name.strip(), swaps_need_approval=swaps_need_approval)
    check_row(rotation)
    rotation.save()
    remember(rotation, actor)
    made_layer(rotation, "Main", member_ids=member_ids, **layer)
    publish_change(rotation, "created", actor)
    return rotation


@operation
def update_rotation(
    rotation_id: int,
    *,
    name: str | None = None,
    swaps_need_approval: bool | None = None,
    reason: str = "",
    actor: Actor,
) -> Rotation:
    """Change a rotation's name, or whether its swaps need approval; what is not given stays.

    The same values change nothing. For managers and leads of the team. Raises NotFound, Forbidden, Invalid.
    """
    rotation = locked_rotation(rotation_id)
    require_edit(actor, rotation.team_id, "oncall.change_rotation")
    given = {"name": name, "swaps_need_approval": swaps_need_approval}
    changes = {key: value for key, value in given.items() if value is not None and value != getattr(rotation, key)}
    if not changes:
        return rotation
    for key, value in changes.items():
        setattr(rotation, key, value)
    check_row(rotation)
    rotation.save(update_fields=list(changes))
    publish_change(rotation, f"changed {', '.join(sorted(changes))}", actor)
    return rotation


@operation
def delete_rotation(rotation_id: int, *, reason: str = "", actor: Actor) -> None:
    """Delete a rotation with all that belongs to it; the history stays. For managers and leads of the team.

    Raises NotFound (also on a repeat), Forbidden, and Conflict while a role means this rotation.
    """
    rotation = locked_rotation(rotation_id)
    require_edit(actor, rotation.team_id, "oncall.delete_rotation")
    bound = rotation.bindings.first()
    if bound is not None:
        raise Conflict(f"The role {bound} means this rotation: bind it to something else first.", code="role_bound")
    if not actor.is_system:
        at = now()
        schedule = schedules_of([rotation.pk], since=at, at=at)[rotation.pk]
        tell_deleted(rotation, schedule, actor_id=actor.user_id, by=actor.name)
    publish_change(rotation, "deleted", actor)
    rotation.delete()
