"""Overrides: one person covers for another."""

from __future__ import annotations

from datetime import datetime, timedelta

from apps.engine.operations import publish
from apps.foundation.actor import Actor
from apps.foundation.clock import now
from apps.foundation.errors import Conflict, Invalid, NotFound
from apps.foundation.operations import operation
from apps.oncall.events import OverrideAdded, OverrideCancelled
from apps.oncall.models import Override
from apps.oncall.operations.checking import active_user, check_instant, locked_rotation, not_past, subject_of
from apps.oncall.permissions import require_cover

LONGEST_OVERRIDE = timedelta(days=366)


@operation
def add_override(
    rotation_id: int, user_id: int, starts_at: datetime, ends_at: datetime, *, reason: str = "", actor: Actor
) -> Override:
    """Put a person on call instead of whoever the rotation says, from `starts_at` until before `ends_at`.

    It beats older overrides. The same one again, while it stands, changes nothing. Responders may do so in rotations
    of their own teams, and put themselves anywhere; managers and leads as they like. Raises NotFound, Forbidden,
    Invalid.
    """
    rotation = locked_rotation(rotation_id)
    require_cover(actor, rotation, user_id)
    _check_interval(starts_at, ends_at, actor)
    user = active_user(user_id)
    newest = rotation.overrides.filter(cancelled_at__isnull=True).order_by("-created_at", "-id").first()
    if newest is not None and (newest.user_id, newest.starts_at, newest.ends_at) == (user.pk, starts_at, ends_at):
        return newest
    override = Override.objects.create(
        rotation=rotation, user=user, starts_at=starts_at, ends_at=ends_at, reason=reason[:200], created_at=now()
    )
    event = OverrideAdded(
        rotation_id=rotation.pk,
        override_id=override.pk,
        user_id=user.pk,
        starts_at=starts_at.isoformat(),
        ends_at=ends_at.isoformat(),
        reason=override.reason,
    )
    publish(event, subject=subject_of(rotation), actor=actor)
    return override


@operation
def cancel_override(override_id: int, *, reason: str = "", actor: Actor) -> Override:
    """End an override now; what it covered until now stays true. A repeat changes nothing.

    For whoever could add it and for the person it puts on call. Raises NotFound, Forbidden, Conflict when it is over.
    """
    found = Override.objects.filter(pk=override_id).first()
    if found is None:
        raise NotFound("There is no such override.")
    rotation = locked_rotation(found.rotation_id)
    override = Override.objects.select_for_update(of=("self",)).get(pk=override_id)
    require_cover(actor, rotation, override.user_id)
    if override.cancelled_at is not None:
        return override
    if override.ends_at <= now():
        raise Conflict("This override is over already.", code="override_is_over")
    override.cancelled_at = now()
    override.save(update_fields=["cancelled_at"])
    event = OverrideCancelled(rotation_id=rotation.pk, override_id=override.pk, user_id=override.user_id)
    publish(event, subject=subject_of(rotation), actor=actor)
    return override


def _check_interval(starts_at: datetime, ends_at: datetime, actor: Actor) -> None:
    check_instant(starts_at, "starts_at")
    check_instant(ends_at, "ends_at")
    if ends_at <= starts_at:
        raise Invalid("An override ends after it begins.", fields={"ends_at": ["It must be after starts_at."]})
    if not actor.is_system:
        not_past(starts_at, "starts_at")
    if ends_at - starts_at > LONGEST_OVERRIDE:
        raise Invalid("An override lasts at most 366 days.", fields={"ends_at": ["It is too far away."]})
