"""What a message needs besides its own row: the portal's account at the provider, and the secret part of an address."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import reduce
from operator import or_

from django.db.models import Q

from apps.messaging.models import Connection, Destination, Message
from apps.messaging.providers.base import Credentials
from apps.people.crypto import Unreadable, unseal
from apps.people.models import ContactPoint

_C = Message.Channel
# Channels whose address is a secret that the message's row does not hold.
SEALED = frozenset({_C.PAGERDUTY, _C.DISCORD, _C.PUSH, _C.APPRISE})
_WITH_ACCOUNT = frozenset({_C.SLACK, _C.PAGERDUTY, _C.SMS, _C.PUSH})
REMOVED = "This address was removed."
PAUSED = 'The connection "{}" is paused: see Connections.'


@dataclass(frozen=True, slots=True)
class Equipment:
    """With `missing`, the message can't be sent, and that is why."""

    credentials: Credentials | None = None
    secret: str = field(default="", repr=False)
    missing: str = ""


def equip(messages: Sequence[Message]) -> dict[int, Equipment]:
    """What each of `messages` needs, by its key; those that need nothing are left out. At most three queries."""
    wanted = [message for message in messages if message.channel in SEALED | _WITH_ACCOUNT]
    if not wanted:
        return {}
    destinations = Destination.objects.in_bulk([row.destination_id for row in wanted if row.destination_id])
    points = _points([row for row in wanted if row.channel in SEALED and row.destination_id is None])
    accounts = list(Connection.objects.filter(kind__in={row.channel for row in wanted}).order_by("id"))
    found: dict[int, Equipment] = {}
    for message in wanted:
        destination = destinations.get(message.destination_id) if message.destination_id else None
        try:
            secret = _secret(message, destination, points) if message.channel in SEALED else ""
            account = _account(message, destination, accounts) if message.channel in _WITH_ACCOUNT else None
            credentials = _credentials(account) if account is not None else None
        except Unreadable as error:
            found[message.pk] = Equipment(missing=error.message)
            continue
        missing = REMOVED if message.channel in SEALED and not secret else ""
        if account is not None and account.state != Connection.State.ACTIVE:
            missing = PAUSED.format(account.name)
        found[message.pk] = Equipment(credentials, secret, missing)
    return found


def _points(messages: Iterable[Message]) -> dict[tuple[int, str, str] | int, ContactPoint]:
    """Contact points by their key, and by whose they are with kind and shown address."""
    asked = [
        Q(pk=row.contact_point_id)
        if row.contact_point_id
        else Q(user_id=row.recipient_id, kind=row.channel, address=row.address)
        for row in messages
    ]
    found: dict[tuple[int, str, str] | int, ContactPoint] = {}
    for point in ContactPoint.objects.filter(reduce(or_, asked)) if asked else ():
        found[point.pk] = found[point.user_id, point.kind, point.address] = point
    return found


def _secret(
    message: Message,
    destination: Destination | None,
    points: dict[tuple[int, str, str] | int, ContactPoint],
) -> str:
    if destination is not None:
        return unseal(destination.target_encrypted) if destination.target_encrypted else ""
    point = points.get(message.contact_point_id or (message.recipient_id or 0, message.channel, message.address))
    if point is None or point.state == ContactPoint.State.DISABLED or not point.secret_encrypted:
        return ""
    return unseal(point.secret_encrypted)


def _account(message: Message, destination: Destination | None, accounts: Sequence[Connection]) -> Connection | None:
    """The connection that the message or its destination names, else the first active one of the kind.

    A paused one is given where it is named, or where there is no other: what is paused sends nothing, also not by the
    provider's public address. None where there is none of the kind.
    """
    named = destination.connection_id if destination is not None else message.payload.get("connection_id")
    return account_for(message.channel, named, accounts)


def account_for(kind: str, named: int | None, accounts: Sequence[Connection]) -> Connection | None:
    """Which of `accounts`, in the order of their keys, sends something of this kind that names one, or none."""
    fitting = [row for row in accounts if row.kind == kind and named in {None, row.pk}]
    active = [row for row in fitting if row.state == Connection.State.ACTIVE]
    return next(iter(active or fitting), None)


def _credentials(account: Connection) -> Credentials:
    return Credentials(
        connection_id=account.pk,
        base_url=account.base_url,
        account=account.account,
        sender=account.sender,
        callback_key=account.callback_key,
        token=unseal(account.token_encrypted) if account.token_encrypted else "",
    )
