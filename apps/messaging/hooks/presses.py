"""From somebody at a provider to an account of the portal, and from a press to the operation."""

from __future__ import annotations

from hashlib import sha256
from typing import Any

from django.conf import settings
from django.db import transaction
from django.urls import reverse

from apps.foundation.errors import DomainError, Forbidden
from apps.foundation.subjects import Subject
from apps.messaging.drafts import NewMessage
from apps.messaging.models import Connection, Message
from apps.messaging.operations import enqueue_many
from apps.messaging.registry import Press, respond
from apps.people.crypto import Unreadable, unseal
from apps.people.models import ContactPoint, User
from apps.people.queries import actor_for_user


def connection_of(kind: str, callback_key: str) -> Connection | None:
    """The active connection that a provider calls back for; None for a key that nobody has."""
    return Connection.objects.filter(kind=kind, callback_key=callback_key, state=Connection.State.ACTIVE).first()


def opened(sealed: str) -> str:
    """A stored secret; empty where there is none or it can't be read, which no signature matches."""
    try:
        return unseal(sealed) if sealed else ""
    except Unreadable:
        return ""


def person_behind(kind: str, **account: str) -> User:
    """The one account whose verified contact point of `kind` has this address or `external_id`. Forbidden otherwise."""
    points = ContactPoint.objects.filter(
        kind=kind, state=ContactPoint.State.VERIFIED, user__is_active=True, **account
    ).select_related("user")
    people = {point.user_id: point.user for point in points}
    if len(people) != 1:
        who = next(iter(account.values()))
        raise Forbidden(unknown_person(kind, who) if not people else f"{who} belongs to more than one account.")
    return next(iter(people.values()))


def unknown_person(kind: str, who: str) -> str:
    """What somebody is told whose account at the provider is nobody's here."""
    address = f"{settings.PUBLIC_URL}{reverse('admin:people_contactpoint_changelist')}"
    name = ContactPoint.Kind(kind).label
    return (
        f"The portal does not know who {who} is. Add it to your contact points ({name}), verify it, "
        f"and press again: {address}"
    )


def press(user: User, action: str, subject: Subject, via: str) -> str:
    """Do it as this person and say what came of it, also why it was refused. A repeat changes nothing."""
    try:
        with transaction.atomic():
            return respond(Press(subject, action, via), actor_for_user(user, via))
    except DomainError as error:
        return error.message


def answer_later(response_url: str, key: str, text: str) -> None:
    """Tell the one who pressed, from the sender: a callback waits for nobody. The same `key` is one answer."""
    message = NewMessage(
        dedupe_key=f"answer:{sha256(key.encode()).hexdigest()}",
        channel=Message.Channel.SLACK,
        recipient_id=None,
        endpoint_id=None,
        address="",
        subject=Subject("", ""),
        title=text,
        body="",
        payload={"response_url": response_url},
        priority=1,
    )
    with transaction.atomic():
        enqueue_many([message])


def text_at(content: Any, *path: str | int) -> str:
    """The text at a path of what a provider sent; empty where the path leads nowhere."""
    for step in path:
        try:
            content = content[step]
        except (KeyError, IndexError, TypeError):
            return ""
    return content if isinstance(content, str) else ""
