"""Verbs on contact points: where people are paged."""

from __future__ import annotations

import secrets

from django.core.exceptions import ValidationError
from django.core.validators import URLValidator, validate_email

from apps.engine.operations import publish
from apps.foundation.actor import Actor
from apps.foundation.clock import now
from apps.foundation.errors import Invalid, NotFound
from apps.foundation.operations import operation
from apps.foundation.subjects import Subject
from apps.people.events import ContactPointAdded
from apps.people.models import ContactPoint, User
from apps.people.permissions import allowed, require
from apps.people.queries import contact_code

MAX_CONTACT_POINTS = 20
MAX_ADDRESS_LENGTH = 500


def _checked_address(kind: str, address: str) -> str:
    try:
        if kind == ContactPoint.Kind.EMAIL:
            validate_email(address)
        elif kind == ContactPoint.Kind.WEBHOOK:
            URLValidator(schemes=["https", "http"])(address)
        else:
            raise Invalid("There is no such kind of contact.", fields={"kind": [f"{kind!r} is unknown."]})
    except ValidationError as error:
        raise Invalid("The address is not right.", fields={"address": list(error.messages)}) from error
    if len(address) > MAX_ADDRESS_LENGTH:
        raise Invalid("The address is not right.", fields={"address": ["Give at most 500 characters."]})
    return address


@operation
def add_contact_point(
    user_id: int, kind: str, address: str, *, label: str = "", position: int | None = None, actor: Actor
) -> ContactPoint:
    """Give an account an address at which it is paged; it starts unverified and stands last unless told otherwise.

    For one's own account, or with `people.add_contactpoint`. The same address again returns the one that
    is there. Raises Invalid, NotFound, Forbidden.
    """
    if user_id != actor.user_id:
        require(actor, "people.add_contactpoint")
    user = User.objects.select_for_update().filter(pk=user_id).first()
    if user is None:
        raise NotFound("There is no such account.")
    checked = _checked_address(kind, address.strip())
    there = list(user.contact_points.all())
    for point in there:
        if (point.kind, point.address) == (kind, checked):
            return point
    if len(there) >= MAX_CONTACT_POINTS:
        raise Invalid(f"An account has at most {MAX_CONTACT_POINTS} contact points.", code="too_many_contact_points")
    last = max((point.position for point in there), default=-1)
    point = ContactPoint.objects.create(
        user=user, kind=kind, address=checked, label=label[:80], position=last + 1 if position is None else position
    )
    added = ContactPointAdded(contact_point_id=point.pk, user_id=user.pk)
    publish(added, subject=Subject("user", str(user.pk)), actor=actor)
    return point


def _own_contact_point(contact_point_id: int, permission: str, actor: Actor) -> ContactPoint:
    """The locked contact point, of the actor's own account or with `permission`."""
    point = ContactPoint.objects.select_for_update().filter(pk=contact_point_id).first()
    own = point is not None and point.user_id == actor.user_id
    if point is None or not (own or allowed(actor, "people.view_contactpoint") or allowed(actor, permission)):
        raise NotFound("There is no such contact point.")
    if not own:
        require(actor, permission)
    return point


@operation
def verify_contact_point(contact_point_id: int, *, code: str = "", actor: Actor) -> ContactPoint:
    """Record that an address reaches its person: by the code that was sent there, or as an administrator.

    Whoever has `people.change_contactpoint` needs no code. A repeat changes nothing. Raises Invalid for a
    wrong code, NotFound, Forbidden.
    """
    point = _own_contact_point(contact_point_id, "people.change_contactpoint", actor)
    if point.state == ContactPoint.State.VERIFIED:
        return point
    if not secrets.compare_digest(code.strip().lower().encode(), contact_code(point).encode()) and not allowed(
        actor, "people.change_contactpoint"
    ):
        raise Invalid("This is not the code that was sent.", code="wrong_code", fields={"code": ["Wrong code."]})
    point.state, point.verified_at = ContactPoint.State.VERIFIED, now()
    point.save(update_fields=["state", "verified_at"])
    return point


@operation
def disable_contact_point(contact_point_id: int, *, reason: str = "", actor: Actor) -> ContactPoint:
    """Stop paging at an address without forgetting it. A repeat changes nothing. Raises NotFound, Forbidden."""
    point = _own_contact_point(contact_point_id, "people.change_contactpoint", actor)
    if point.state != ContactPoint.State.DISABLED:
        point.state = ContactPoint.State.DISABLED
        point.save(update_fields=["state"])
    return point


@operation
def remove_contact_point(contact_point_id: int, *, reason: str = "", actor: Actor) -> None:
    """Forget an address; its history stays. Raises NotFound (also on a repeat), Forbidden."""
    _own_contact_point(contact_point_id, "people.delete_contactpoint", actor).delete()
