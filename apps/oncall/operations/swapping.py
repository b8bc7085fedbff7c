"""Swaps: a person offers time of theirs, somebody takes it."""

from __future__ import annotations

from datetime import datetime

from apps.engine.operations import publish
from apps.foundation.actor import Actor
from apps.foundation.clock import now
from apps.foundation.errors import Conflict, Forbidden, Invalid, NotFound
from apps.foundation.operations import operation
from apps.oncall.events import SwapApproved, SwapClosed, SwapRequested, SwapTaken
from apps.oncall.models import Override, Rotation, Swap
from apps.oncall.operations.checking import active_user, check_interval, locked_rotation, subject_of
from apps.oncall.operations.covering import put_on, reopen, take_off
from apps.oncall.operations.swap_messages import (
    tell_approved,
    tell_asked,
    tell_closed,
    tell_given_back,
    tell_taken,
)
from apps.oncall.permissions import is_editor, require_edit, require_self_or_editor
from apps.oncall.queries.schedules import shifts_of
from apps.people.models import User

_UNDECIDED = {Swap.State.OPEN, Swap.State.TO_APPROVE}


@operation
def request_swap(
    rotation_id: int,
    starts_at: datetime,
    ends_at: datetime,
    *,
    user_id: int | None = None,
    asked_id: int | None = None,
    reason: str = "",
    actor: Actor,
) -> Swap:
    """Offer one's own time on call, or as a manager or lead that of `user_id`, to `asked_id` or to anybody.

    The same offer again, while it is open, changes nothing; one that overlaps it is a Conflict. Raises NotFound,
    Forbidden, Conflict, and Invalid where the person has no shift in that time.
    """
    rotation = locked_rotation(rotation_id)
    whose = user_id or actor.user_id or 0
    require_self_or_editor(actor, rotation, whose, "oncall.add_swap")
    check_interval(starts_at, ends_at, actor)
    user = active_user(whose)
    asked = None if asked_id is None else active_user(asked_id)
    if asked == user:
        raise Invalid("Nobody swaps with themselves.", fields={"asked": ["It is the same person."]})
    standing = rotation.swaps.filter(user=user, state__in=_UNDECIDED, starts_at__lt=ends_at, ends_at__gt=starts_at)
    for there in standing:
        if (there.starts_at, there.ends_at, there.asked_id) == (starts_at, ends_at, asked_id):
            return there
        raise Conflict("This time is offered already.", code="swap_overlaps", extra={"swap": there.pk})
    if not _is_on(rotation, user.pk, starts_at, ends_at):
        sentence = f"{user.name} has no shift in that time."
        raise Invalid(sentence, code="no_shift", fields={"starts_at": [sentence]})
    swap = Swap.objects.create(
        rotation=rotation,
        user=user,
        asked=asked,
        starts_at=starts_at,
        ends_at=ends_at,
        reason=reason[:200],
        created_at=now(),
    )
    event = SwapRequested(
        rotation_id=rotation.pk,
        swap_id=swap.pk,
        user_id=user.pk,
        asked_id=asked_id,
        starts_at=starts_at.isoformat(),
        ends_at=ends_at.isoformat(),
        reason=swap.reason,
    )
    publish(event, subject=subject_of(rotation), actor=actor)
    tell_asked(rotation, swap, actor)
    return swap


@operation
def take_swap(swap_id: int, *, user_id: int | None = None, actor: Actor) -> Swap:
    """Take the time that is offered, or as a manager or lead give it to `user_id`.

    It holds at once, as an override from now on at the earliest; where the rotation's swaps need approval and the
    actor could not give it, it waits for that. Taking it again changes nothing. Raises NotFound, Forbidden, Invalid,
    and Conflict when somebody was faster, when its time is over, or when the shift is no longer the person's.
    """
    rotation, swap = _locked(swap_id)
    taker = active_user(user_id or actor.user_id or 0)
    require_self_or_editor(actor, rotation, taker.pk, "oncall.add_swap")
    if swap.taker_id == taker.pk:
        return swap
    if swap.state != Swap.State.OPEN:
        raise Conflict(f"This offer is {swap.get_state_display()}.", code="swap_is_not_open")
    if taker.pk == swap.user_id:
        raise Invalid("Nobody swaps with themselves.", fields={"user": ["It is the same person."]})
    if swap.asked_id not in {None, taker.pk} and not is_editor(actor, rotation):
        raise Forbidden("This offer is to somebody else.")
    _check_time(rotation, swap)
    swap.taker, swap.taken_at = taker, now()
    if rotation.swaps_need_approval and not is_editor(actor, rotation):
        swap.state = Swap.State.TO_APPROVE
        swap.save(update_fields=["state", "taker", "taken_at"])
    else:
        _hold(rotation, swap, actor)
    event = SwapTaken(
        rotation_id=rotation.pk,
        swap_id=swap.pk,
        user_id=swap.user_id,
        taker_id=taker.pk,
        to_approve=swap.state == Swap.State.TO_APPROVE,
    )
    publish(event, subject=subject_of(rotation), actor=actor)
    tell_taken(rotation, swap, actor)
    return swap


@operation
def approve_swap(swap_id: int, *, reason: str = "", actor: Actor) -> Swap:
    """Let a taken swap hold. A repeat changes nothing. For managers and leads of the team.

    Raises NotFound, Forbidden, and Conflict when it does not wait for that, when its time is over, or when the taker
    can't be on call any more.
    """
    rotation, swap = _locked(swap_id)
    require_edit(actor, rotation.team_id, "oncall.change_rotation")
    if swap.state == Swap.State.TAKEN:
        return swap
    if swap.state != Swap.State.TO_APPROVE or swap.taker_id is None:
        raise Conflict(f"This offer is {swap.get_state_display()}.", code="swap_is_not_to_approve")
    _check_time(rotation, swap)
    _check_taker(swap.taker_id)
    swap.approved_at, swap.approved_by_id = now(), actor.user_id
    _hold(rotation, swap, actor)
    event = SwapApproved(rotation_id=rotation.pk, swap_id=swap.pk, user_id=swap.user_id, taker_id=swap.taker_id)
    publish(event, subject=subject_of(rotation), actor=actor)
    tell_approved(rotation, swap, actor)
    return swap


@operation
def give_back_swap(swap_id: int, *, reason: str = "", actor: Actor) -> Swap:
    """Give back what was taken, before it begins: the offer is open again. A repeat changes nothing.

    For whoever took it, managers and leads of the team. Raises NotFound, Forbidden, Conflict once it has begun.
    """
    rotation, swap = _locked(swap_id)
    require_self_or_editor(actor, rotation, swap.taker_id or actor.user_id, "oncall.add_swap")
    if swap.state == Swap.State.OPEN:
        return swap
    if swap.taker_id is None:
        raise Conflict(f"This offer is {swap.get_state_display()}.", code="swap_is_not_taken")
    override = Override.objects.select_for_update(of=("self",)).filter(pk=swap.override_id or 0).first()
    if override is not None and override.starts_at <= now():
        raise Conflict("It has begun: cancel the cover, or offer the rest.", code="swap_has_begun")
    taker_id = swap.taker_id
    reopen(rotation, swap, actor)
    tell_given_back(rotation, swap, taker_id, actor)
    if override is not None and override.cancelled_at is None:
        take_off(rotation, override, actor, told=(swap.user_id, taker_id))
    return swap


@operation
def decline_swap(swap_id: int, *, reason: str = "", actor: Actor) -> Swap:
    """Decline an offer: for whoever it was made to, and for managers and leads, who so refuse to approve it.

    A repeat changes nothing. Raises NotFound, Forbidden, Conflict when it holds already.
    """
    rotation, swap = _locked(swap_id)
    require_self_or_editor(actor, rotation, swap.asked_id, "oncall.add_swap")
    return _closed(rotation, swap, Swap.State.DECLINED, actor)


@operation
def withdraw_swap(swap_id: int, *, reason: str = "", actor: Actor) -> Swap:
    """Take an offer back, while nobody's taking of it holds: for whose time it is, managers and leads.

    A repeat changes nothing. Raises NotFound, Forbidden, Conflict when it holds already.
    """
    rotation, swap = _locked(swap_id)
    require_self_or_editor(actor, rotation, swap.user_id, "oncall.add_swap")
    return _closed(rotation, swap, Swap.State.WITHDRAWN, actor)


def _locked(swap_id: int) -> tuple[Rotation, Swap]:
    found = Swap.objects.filter(pk=swap_id).first()
    if found is None:
        raise NotFound("There is no such swap.")
    rotation = locked_rotation(found.rotation_id)
    return rotation, Swap.objects.select_for_update(of=("self",)).get(pk=swap_id)


def _is_on(rotation: Rotation, user_id: int, starts_at: datetime, ends_at: datetime) -> bool:
    return any(shift.user_id == user_id for shift in shifts_of(rotation.pk, starts_at, ends_at))


def _check_time(rotation: Rotation, swap: Swap) -> None:
    """Raise Conflict where nothing is left to take."""
    if swap.ends_at <= now():
        raise Conflict("The time of this offer is over.", code="swap_is_over")
    if not _is_on(rotation, swap.user_id, max(swap.starts_at, now()), swap.ends_at):
        raise Conflict(f"{swap.user.name} has no shift in that time any more.", code="no_shift")


def _check_taker(taker_id: int) -> None:
    """Raise Conflict where the taker's account was closed since."""
    taker = User.objects.get(pk=taker_id)
    if not taker.is_active:
        raise Conflict(
            f"The account of {taker.name} is closed: give the time back, then let somebody else take it.",
            code="taker_is_gone",
        )


def _hold(rotation: Rotation, swap: Swap, actor: Actor) -> None:
    """Make the override of a taken swap."""
    if swap.taker_id is None:
        raise TypeError("A swap that holds has a taker.")
    interval = (max(swap.starts_at, now()), swap.ends_at)
    reason = f"swap: {swap.reason}" if swap.reason else "swap"
    swap.override = put_on(
        rotation,
        swap.taker_id,
        replaces_id=swap.user_id,
        interval=interval,
        reason=reason,
        actor=actor,
        told=(swap.user_id, swap.taker_id),
    )
    swap.state = Swap.State.TAKEN
    swap.save(update_fields=["state", "taker", "taken_at", "approved_at", "approved_by", "override"])


def _closed(rotation: Rotation, swap: Swap, state: Swap.State, actor: Actor) -> Swap:
    if swap.state == state:
        return swap
    if swap.state not in _UNDECIDED:
        raise Conflict(f"This offer is {swap.get_state_display()}.", code="swap_is_decided")
    taker_id = swap.taker_id
    swap.state, swap.taker, swap.taken_at = state, None, None
    swap.save(update_fields=["state", "taker", "taken_at"])
    event = SwapClosed(rotation_id=rotation.pk, swap_id=swap.pk, user_id=swap.user_id, state=str(state.value))
    publish(event, subject=subject_of(rotation), actor=actor)
    tell_closed(rotation, swap, taker_id, actor)
    return swap
