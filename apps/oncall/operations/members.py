"""The places of people in a layer."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from django.db.models import Max, Q

from apps.foundation.actor import Actor
from apps.foundation.clock import now
from apps.foundation.errors import Invalid, NotFound
from apps.foundation.operations import operation
from apps.oncall.models import Layer, RotationMember
from apps.oncall.operations.checking import active_user, check_row, locked_rotation, not_past, publish_change
from apps.oncall.operations.layers import locked_layer
from apps.oncall.operations.watching import remember
from apps.oncall.permissions import require_edit
from apps.oncall.queries.schedules import layer_terms
from apps.oncall.schedule import next_handoff
from apps.people.models import User

MOST_MEMBERS = 200


@operation
def add_member(
    layer_id: int,
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
    layer = locked_layer(layer_id)
    require_edit(actor, layer.rotation.team_id, "oncall.add_rotationmember")
    at = effective_from or now()
    if not actor.is_system:
        at = not_past(at, "effective_from")
    there = layer.members.filter(user_id=user_id, effective_until__isnull=True).first()
    if there is not None:
        return there
    user = active_user(user_id)
    remember(layer.rotation, actor)
    member = _place(layer, user, _after_all(layer) if position is None else position, at)
    publish_change(layer.rotation, f"added {member.user.name}", actor)
    return member


@operation
def end_member(
    member_id: int, *, effective_until: datetime | None = None, reason: str = "", actor: Actor
) -> RotationMember | None:
    """End a place now or at a later instant; if its person is on duty then, the next in the order takes over.

    A place that would end before it begins is removed, and None returned. An ended place stays as it is. For
    managers and leads. Raises NotFound, Forbidden, Invalid.
    """
    found = RotationMember.objects.select_related("layer").filter(pk=member_id).first()
    if found is None:
        raise NotFound("There is no such place in a rotation.")
    rotation = locked_rotation(found.layer.rotation_id)
    require_edit(actor, rotation.team_id, "oncall.change_rotationmember")
    member = RotationMember.objects.select_for_update(of=("self",)).select_related("user").get(pk=member_id)
    if member.effective_until is not None and member.effective_until <= now():
        return member
    until = not_past(effective_until or now(), "effective_until")
    remember(rotation, actor)
    publish_change(rotation, f"ended the place of {member.user.name}", actor)
    return _ended(member, until)


@operation
def set_members(
    layer_id: int,
    user_ids: Sequence[int],
    *,
    effective_from: datetime | None = None,
    reason: str = "",
    actor: Actor,
) -> list[RotationMember]:
    """From the next handoff on, or from `effective_from`, exactly these people take turns, the first of them first.

    Whoever is on duty stays until then, and what was before stays true. In a layer without people, or before its
    first handoff, it holds at once. The same people in the same order change nothing. For managers and leads. Raises
    NotFound, Forbidden, Invalid.
    """
    layer = locked_layer(layer_id)
    require_edit(actor, layer.rotation.team_id, "oncall.change_rotationmember")
    wanted = list(dict.fromkeys(user_ids))
    if len(wanted) > MOST_MEMBERS:
        sentence = f"A layer has at most {MOST_MEMBERS} people."
        raise Invalid(sentence, fields={"members": [sentence]})
    people = [active_user(user_id) for user_id in wanted]
    there = Q(effective_until__isnull=True) | Q(effective_until__gt=now())
    current = list(layer.members.select_for_update(of=("self",)).filter(there).order_by("position", "id"))
    if [member.user_id for member in current if member.effective_until is None] == wanted and effective_from is None:
        return current
    at = not_past(effective_from or (next_handoff(layer_terms(layer), now()) if current else now()), "effective_from")
    remember(layer.rotation, actor)
    position = _after_all(layer)
    for member in current:
        if member.effective_until is None or member.effective_until > at:
            _ended(member, at)
    made = [_place(layer, user, position + index, at) for index, user in enumerate(people)]
    publish_change(layer.rotation, f"set the members of the layer {layer.name}", actor)
    return made


def _place(layer: Layer, user: User, position: int, at: datetime) -> RotationMember:
    member = RotationMember(layer=layer, user=user, position=position, effective_from=at)
    check_row(member)
    member.save()
    return member


def _ended(member: RotationMember, until: datetime) -> RotationMember | None:
    if until <= member.effective_from:
        member.delete()
        return None
    member.effective_until = until
    member.save(update_fields=["effective_until"])
    return member


def _after_all(layer: Layer) -> int:
    """The position behind everybody who has, had or will have a place: so a new order begins with its first."""
    last = layer.members.aggregate(last=Max("position"))["last"]
    return 0 if last is None else last + 1
