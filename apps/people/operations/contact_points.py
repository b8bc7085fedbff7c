"""Verbs on contact points: where people are paged."""

from __future__ import annotations

import secrets
from datetime import timedelta

from apps.engine.models import Event
from apps.engine.operations import publish
from apps.foundation.actor import Actor
from apps.foundation.clock import now
from apps.foundation.errors import Conflict, Forbidden, Invalid, NotFound, TooMany
from apps.foundation.operations import operation
from apps.foundation.subjects import Subject
from apps.people.addresses import check_address
from apps.people.crypto import seal
from apps.people.events import ContactCodeWanted, ContactPointAdded
from apps.people.models import ContactPoint, User
from apps.people.permissions import allowed, require
from apps.people.queries import contact_code

MAX_CONTACT_POINTS = 20
MAX_CODES = 5
CODES_WITHIN = timedelta(minutes=10)


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
    checked = check_address(kind, address)
    there = list(user.contact_points.all())
    for point in there:
        if (point.kind, point.address) == (kind, checked.shown):
            return point
    if len(there) >= MAX_CONTACT_POINTS:
        raise Invalid(f"An account has at most {MAX_CONTACT_POINTS} contact points.", code="too_many_contact_points")
    last = max((point.position for point in there), default=-1)
    point = ContactPoint.objects.create(
        user=user,
        kind=kind,
        address=checked.shown,
        secret_encrypted=seal(checked.secret) if checked.secret else "",
        label=label[:80],
        position=last + 1 if position is None else position,
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
    _verify(point)
    return point


def _verify(point: ContactPoint, external_id: str = "") -> None:
    at = now()
    point.state, point.verified_at, point.confirmed_at, point.reminded_at = ContactPoint.State.VERIFIED, at, at, None
    point.external_id = external_id or point.external_id
    point.broken_at, point.broken_detail = None, ""
    point.save(
        update_fields=[
            *("state", "verified_at", "confirmed_at", "reminded_at"),
            *("external_id", "broken_at", "broken_detail"),
        ]
    )


@operation
def prove_contact_point(contact_point_id: int, *, external_id: str = "", actor: Actor) -> ContactPoint:
    """Record that a press or a reply came from this address; `external_id` is who pressed, in the provider's words.

    For the portal only, once the provider's signature is checked. It verifies the address, or confirms a verified
    one; a disabled one stays so. Who proved it once stays the one: another account at the provider may see the same
    message. Raises NotFound, Forbidden, Conflict.
    """
    if not actor.is_system:
        raise Forbidden("Only the portal knows what a provider told it.")
    point = ContactPoint.objects.select_for_update().filter(pk=contact_point_id).first()
    if point is None:
        raise NotFound("There is no such contact point.")
    _refuse_other(point, external_id)
    if point.state == ContactPoint.State.UNVERIFIED:
        _verify(point, external_id)
    elif point.state == ContactPoint.State.VERIFIED:
        _confirm(point, external_id)
    return point


def _refuse_other(point: ContactPoint, external_id: str) -> None:
    """Somebody else at the provider can press what was meant for this person."""
    if not external_id:
        return
    if point.external_id and point.external_id != external_id:
        raise Conflict("Another account at the provider proved this contact point before.", code="another_account")
    others = ContactPoint.objects.filter(kind=point.kind, external_id=external_id).exclude(user_id=point.user_id)
    if others.exists():
        raise Conflict("This account at the provider is somebody else's here.", code="another_account")


def _confirm(point: ContactPoint, external_id: str = "") -> None:
    point.confirmed_at, point.reminded_at = now(), None
    point.external_id = external_id or point.external_id
    point.broken_at, point.broken_detail = None, ""
    point.save(update_fields=["confirmed_at", "reminded_at", "external_id", "broken_at", "broken_detail"])


@operation
def want_contact_code(contact_point_id: int, *, actor: Actor) -> ContactPoint:
    """Have the code sent to an address once more, which also tests it; each call sends one.

    At most five in ten minutes for an account: text messages cost money, and the number may be anybody's. Raises
    TooMany, Conflict for a disabled address, NotFound, Forbidden.
    """
    point = _own_contact_point(contact_point_id, "people.change_contactpoint", actor)
    if point.state == ContactPoint.State.DISABLED:
        raise Conflict("This address is disabled.", code="contact_point_disabled")
    _refuse_too_many(point.user_id)
    event = ContactCodeWanted(contact_point_id=point.pk, user_id=point.user_id)
    publish(event, subject=Subject("user", str(point.user_id)), actor=actor)
    return point


def _refuse_too_many(user_id: int) -> None:
    recent = Event.objects.filter(
        subject_kind="user",
        subject_key=str(user_id),
        kind=ContactCodeWanted.kind,
        occurred_at__gt=now() - CODES_WITHIN,
    )
    if recent.count() >= MAX_CODES:
        wait = int(CODES_WITHIN.total_seconds())
        raise TooMany(
            "That is enough for ten minutes: see Messages for what became of the last ones.",
            extra={"retry_after_seconds": wait},
        )


@operation
def confirm_contact_point(contact_point_id: int, *, actor: Actor) -> ContactPoint:
    """Acknowledge that one's verified address still reaches one. Each call counts the days anew, and takes the mark
    "refused" off.

    Raises Conflict for one that was never verified, NotFound, Forbidden.
    """
    point = _own_contact_point(contact_point_id, "people.change_contactpoint", actor)
    if point.state != ContactPoint.State.VERIFIED:
        raise Conflict("Verify the address first, with the code that was sent there.", code="not_verified")
    _confirm(point)
    return point


@operation
def mark_contact_point_broken(contact_point_id: int, detail: str, *, actor: Actor) -> None:
    """Note that the provider refuses this address for good; it stays in use. A repeat, or one that is gone, is fine."""
    if not actor.is_system:
        raise Forbidden("Only the portal knows what a provider told it.")
    point = ContactPoint.objects.select_for_update().filter(pk=contact_point_id, broken_at__isnull=True).first()
    if point is not None:
        point.broken_at, point.broken_detail = now(), detail[:300]
        point.save(update_fields=["broken_at", "broken_detail"])


@operation
def note_reminder(contact_point_id: int, *, actor: Actor) -> None:
    """Note that the person was asked whether the address still reaches them. A repeat changes nothing."""
    if not actor.is_system:
        raise Forbidden("Only the portal reminds.")
    point = ContactPoint.objects.select_for_update().filter(pk=contact_point_id, reminded_at__isnull=True).first()
    if point is not None:
        point.reminded_at = now()
        point.save(update_fields=["reminded_at"])


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
