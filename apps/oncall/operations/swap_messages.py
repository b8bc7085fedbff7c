"""Swaps reach people: who is asked hears of the offer, the other side of what became of it."""

from __future__ import annotations

from collections.abc import Collection
from zoneinfo import ZoneInfo

from django.db.models import Q
from django.urls import reverse

from apps.foundation.actor import Actor
from apps.foundation.clock import now
from apps.foundation.subjects import Subject
from apps.oncall.messages import stretch_text, tell
from apps.oncall.models import Rotation, RotationMember, Swap
from apps.people.models import User

MOST_ASKED = 200


def tell_asked(rotation: Rotation, swap: Swap, actor: Actor) -> None:
    """An offer: to the person it is made to, else to everybody who takes turns in the rotation."""
    told = {swap.asked_id} if swap.asked_id else _members(rotation)
    said = f" They say: {swap.reason}" if swap.reason else ""
    _tell(
        swap,
        told - {swap.user_id},
        actor,
        f"{swap.user.name} offers you time on call in {rotation.name}",
        f"{{when}}.{said} Take it or decline it on its page; until somebody takes it, it stays theirs.",
    )


def tell_taken(rotation: Rotation, swap: Swap, actor: Actor) -> None:
    """Somebody took it: to whose time it is, and, when a manager gave it away, to who is on call now."""
    taker = swap.taker.name if swap.taker else "somebody"
    if swap.state == Swap.State.TO_APPROVE:
        rest = "A manager or a lead must approve it first; until then it stays yours."
        _tell(
            swap,
            {swap.user_id},
            actor,
            f"{taker} would take your time in {rotation.name}",
            f"{{when}}. {rest}",
        )
        return
    _tell(swap, {swap.user_id}, actor, f"{taker} takes your time in {rotation.name}", "{when}. You are free.")
    _tell(swap, {swap.taker_id}, actor, *_you_have_it(rotation, swap))


def tell_approved(rotation: Rotation, swap: Swap, actor: Actor) -> None:
    """It holds: to both."""
    taker = swap.taker.name if swap.taker else "somebody"
    title = f"Approved: {taker} takes your time in {rotation.name}"
    _tell(swap, {swap.user_id}, actor, title, "{when}. You are free.")
    _tell(swap, {swap.taker_id}, actor, *_you_have_it(rotation, swap))


def tell_given_back(rotation: Rotation, swap: Swap, taker_id: int | None, actor: Actor) -> None:
    """It is open again: to whose time it is, and to who had taken it."""
    text = "{when}. The offer is open again; until somebody takes it, the shift is yours."
    _tell(swap, {swap.user_id}, actor, f"Your time in {rotation.name} was given back", text)
    _tell(
        swap, {taker_id}, actor, f"The time in {rotation.name} that you took was given back",
        "{when}. You are not on call then by this swap.",
    )  # fmt: skip


def tell_closed(rotation: Rotation, swap: Swap, taker_id: int | None, actor: Actor) -> None:
    """Declined or withdrawn: to the other side, which hopes or waits."""
    state = swap.get_state_display()
    text = f"{{when}}. {actor.name} {state} it."
    own = f"Your offer in {rotation.name} was {state}"
    _tell(swap, {swap.user_id}, actor, own, f"{text} The shift is yours.")
    others = {swap.asked_id, taker_id} - {swap.user_id}
    _tell(swap, others, actor, f"The offer of {swap.user.name} in {rotation.name} was {state}", text)


def _you_have_it(rotation: Rotation, swap: Swap) -> tuple[str, str]:
    text = f"{{when}}, instead of {swap.user.name}. You can give it back until it begins."
    return f"You are on call in {rotation.name} by a swap", text


def _tell(swap: Swap, user_ids: Collection[int | None], actor: Actor, title: str, text: str) -> None:
    """Nothing to who did it. `text` holds {when}, which is said in each reader's zone."""
    begins, ends = swap.starts_at, swap.ends_at
    head, _, tail = text.partition("{when}")

    def write(user: User, zone: ZoneInfo) -> tuple[str, str]:
        return title, f"{head}{stretch_text(begins, ends, zone)} ({zone}){tail}"

    told = {user_id for user_id in user_ids if user_id is not None and user_id != actor.user_id}
    if told:
        # Offered, taken and given back may repeat: each time is a message of its own.
        key = f"oncall-swap:{swap.pk}:{swap.state}:{now().timestamp():.3f}"
        path = reverse("admin:oncall_swap_change", args=[swap.pk])
        tell(told, key=key, subject=Subject("swap", str(swap.pk)), path=path, write=write)


def _members(rotation: Rotation) -> set[int | None]:
    there = Q(effective_until__isnull=True) | Q(effective_until__gt=now())
    rows = RotationMember.objects.filter(there, layer__rotation=rotation).values_list("user_id", flat=True)
    return set(rows.distinct()[:MOST_ASKED])
