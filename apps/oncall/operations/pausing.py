"""Pauses: a person, or the whole rotation, takes no turns for a while."""

from __future__ import annotations

from datetime import datetime

from django.db.models import Q

from apps.foundation.actor import Actor
from apps.foundation.clock import now
from apps.foundation.errors import Conflict, Invalid, NotFound
from apps.foundation.operations import operation
from apps.oncall.models import Pause, RotationMember
from apps.oncall.operations.checking import active_user, check_instant, locked_rotation, not_past, publish_change
from apps.oncall.operations.watching import remember
from apps.oncall.permissions import require_edit


@operation
def pause(
    rotation_id: int,
    *,
    user_id: int | None = None,
    starts_at: datetime | None = None,
    ends_at: datetime | None = None,
    reason: str = "",
    actor: Actor,
) -> Pause:
    """Let a person, or without one everybody, take no turns from now or later, until an instant or until `resume`.

    The turns of a person who pauses go to the next in the order. The order stays: after a pause of everybody the
    person after the last one has the turn. Covers and coverage hold all the same. The same pause again changes nothing;
    one that overlaps another is a Conflict. For managers and leads. Raises NotFound, Forbidden, Invalid, Conflict.
    """
    rotation = locked_rotation(rotation_id)
    require_edit(actor, rotation.team_id, "oncall.add_pause")
    begins = starts_at or now()
    if not actor.is_system:
        begins = not_past(begins, "starts_at")
    if ends_at is not None:
        check_instant(ends_at, "ends_at")
        if ends_at <= begins:
            raise Invalid("A pause ends after it begins.", fields={"ends_at": ["It must be after starts_at."]})
    if user_id is not None and not RotationMember.objects.filter(layer__rotation=rotation, user_id=user_id).exists():
        active_user(user_id)
        raise Invalid("This person takes no turns here.", fields={"user": ["This person takes no turns here."]})
    whose = Q(user__isnull=True) if user_id is None else Q(user_id=user_id)
    overlapping = rotation.pauses.filter(Q(ends_at__isnull=True) | Q(ends_at__gt=begins), whose)
    if ends_at is not None:
        overlapping = overlapping.filter(starts_at__lt=ends_at)
    there = overlapping.first()
    if there is not None:
        if there.ends_at == ends_at and (starts_at is None or there.starts_at == starts_at):
            return there
        raise Conflict("There is a pause at that time already: end it first.", code="pause_overlaps")
    remember(rotation, actor)
    made = Pause.objects.create(
        rotation=rotation, user_id=user_id, starts_at=begins, ends_at=ends_at, reason=reason[:200]
    )
    publish_change(rotation, f"{made.user.name if made.user else 'everybody'} pauses", actor)
    return made


@operation
def resume(pause_id: int, *, reason: str = "", actor: Actor) -> Pause | None:
    """End a pause now. One that has not begun yet is removed, and None returned; one that is over stays as it is.

    For managers and leads. Raises NotFound, Forbidden.
    """
    found = Pause.objects.filter(pk=pause_id).first()
    if found is None:
        raise NotFound("There is no such pause.")
    rotation = locked_rotation(found.rotation_id)
    require_edit(actor, rotation.team_id, "oncall.change_pause")
    row = Pause.objects.select_for_update(of=("self",)).select_related("user").filter(pk=pause_id).first()
    if row is None:
        raise NotFound("There is no such pause.")
    if row.ends_at is not None and row.ends_at <= now():
        return row
    remember(rotation, actor)
    publish_change(rotation, f"{row.user.name if row.user else 'everybody'} takes turns again", actor)
    if row.starts_at >= now():
        row.delete()
        return None
    row.ends_at = now()
    row.save(update_fields=["ends_at"])
    return row
