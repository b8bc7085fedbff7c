"""Overrides: one person covers for another, or for whoever has the duty."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime

from apps.engine.operations import publish
from apps.foundation.actor import Actor
from apps.foundation.clock import now
from apps.foundation.errors import Conflict, Invalid, NotFound
from apps.foundation.operations import operation
from apps.oncall.events import OverrideAdded, OverrideCancelled, SwapGivenBack
from apps.oncall.models import Override, Rotation, Swap
from apps.oncall.operations.checking import active_user, check_interval, locked_rotation, subject_of
from apps.oncall.operations.swap_messages import tell_given_back
from apps.oncall.operations.watching import remember
from apps.oncall.permissions import require_cover
from apps.people.models import User


@operation
def add_override(
    rotation_id: int,
    user_id: int,
    starts_at: datetime,
    ends_at: datetime,
    *,
    replaces_id: int | None = None,
    reason: str = "",
    actor: Actor,
) -> Override:
    """Put a person on call instead of whoever has the duty, from `starts_at` until before `ends_at`.

    With `replaces_id` only where that person would be on, also where coverage or an earlier override puts them on.
    The same one again, while it stands, changes nothing; one that would undo another that stands is a Conflict, which
    names it. Responders may do so in rotations of their own teams, and put themselves anywhere; managers and leads as
    they like. Raises NotFound, Forbidden, Invalid, Conflict.
    """
    rotation = locked_rotation(rotation_id)
    require_cover(actor, rotation, user_id)
    check_interval(starts_at, ends_at, actor)
    user = active_user(user_id)
    if replaces_id == user.pk:
        raise Invalid("Nobody covers for themselves.", fields={"replaces": ["It is the same person."]})
    if replaces_id is not None and not User.objects.filter(pk=replaces_id, kind=User.Kind.PERSON).exists():
        raise NotFound("There is no such person.", fields={"replaces": ["There is no such person."]})
    standing = rotation.overrides.filter(cancelled_at__isnull=True, starts_at__lt=ends_at, ends_at__gt=starts_at)
    if replaces_id is not None:
        standing = standing.filter(replaces_id=replaces_id)
    for there in standing.select_related("user").order_by("created_at", "id"):
        same = (there.user_id, there.replaces_id, there.starts_at, there.ends_at)
        if same == (user.pk, replaces_id, starts_at, ends_at):
            return there
        raise Conflict(
            f"{there.user.name} covers already from {there.starts_at:%Y-%m-%d %H:%M} until "
            f"{there.ends_at:%Y-%m-%d %H:%M} UTC: cancel that cover first, or cover for that person.",
            code="override_overlaps",
            extra={"override": there.pk, "user": there.user_id},
        )
    interval = (starts_at, ends_at)
    return put_on(rotation, user.pk, replaces_id=replaces_id, interval=interval, reason=reason, actor=actor)


@operation
def cancel_override(override_id: int, *, reason: str = "", actor: Actor) -> Override:
    """End an override now; what it covered until now stays true. A repeat changes nothing.

    One that a swap made, and that has not begun, opens the swap again. For whoever could add it and for the person it
    puts on call. Raises NotFound, Forbidden, Conflict when it is over.
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
    swap = Swap.objects.select_for_update(of=("self",)).filter(override=override).first()
    if swap is not None and override.starts_at > now():
        reopen(rotation, swap, actor)
        tell_given_back(rotation, swap, override.user_id, actor)
        take_off(rotation, override, actor, told=(swap.user_id, override.user_id))
    else:
        take_off(rotation, override, actor)
    return override


def put_on(
    rotation: Rotation,
    user_id: int,
    *,
    replaces_id: int | None,
    interval: tuple[datetime, datetime],
    reason: str,
    actor: Actor,
    told: Collection[int] = (),
) -> Override:
    """Write an override that is checked already; the rotation is locked. `told` hear of it in another way."""
    remember(rotation, actor, told=told)
    override = Override.objects.create(
        rotation=rotation,
        user_id=user_id,
        replaces_id=replaces_id,
        starts_at=interval[0],
        ends_at=interval[1],
        reason=reason[:200],
        created_at=now(),
    )
    event = OverrideAdded(
        rotation_id=rotation.pk,
        override_id=override.pk,
        user_id=user_id,
        starts_at=override.starts_at.isoformat(),
        ends_at=override.ends_at.isoformat(),
        reason=override.reason,
        replaces_id=replaces_id,
    )
    publish(event, subject=subject_of(rotation), actor=actor)
    return override


def take_off(rotation: Rotation, override: Override, actor: Actor, *, told: Collection[int] = ()) -> None:
    """Cancel an override that stands; the rotation is locked. `told` hear of it in another way."""
    remember(rotation, actor, told=told)
    override.cancelled_at = now()
    override.save(update_fields=["cancelled_at"])
    event = OverrideCancelled(rotation_id=rotation.pk, override_id=override.pk, user_id=override.user_id)
    publish(event, subject=subject_of(rotation), actor=actor)


def reopen(rotation: Rotation, swap: Swap, actor: Actor) -> None:
    """Let a taken swap be open again, without its override; the rotation is locked."""
    taker_id = swap.taker_id
    swap.state = Swap.State.OPEN
    swap.taker = swap.taken_at = swap.approved_at = swap.approved_by = swap.override = None
    swap.save(update_fields=["state", "taker", "taken_at", "approved_at", "approved_by", "override"])
    if taker_id is not None:
        event = SwapGivenBack(rotation_id=rotation.pk, swap_id=swap.pk, user_id=swap.user_id, taker_id=taker_id)
        publish(event, subject=subject_of(rotation), actor=actor)
