"""Where integration keys go: a change of connections must not send somebody's key to another address."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from apps.foundation.errors import Conflict
from apps.messaging.models import Connection, Destination
from apps.messaging.providers.pagerduty import OWN_ADDRESS
from apps.messaging.sending.equipment import account_for
from apps.people.models import ContactPoint

# What these connections send with are secrets of the addresses, not a token of their own.
SECRET_ADDRESSES = frozenset({Connection.Kind.PAGERDUTY})
_PEOPLE = 0


@contextmanager
def keys_stay(kind: str) -> Iterator[None]:
    """Raise Conflict, which takes all back, when what happens within sends keys of this kind to another address.

    The connections of the kind are locked until the transaction ends. Nothing for other kinds.
    """
    if kind not in SECRET_ADDRESSES:
        yield
        return
    list(Connection.objects.select_for_update().filter(kind=kind).order_by("pk"))
    before = _addresses(kind)
    yield
    after = _addresses(kind)
    moved = sorted({after[place] for place, address in before.items() if after[place] != address})
    if moved:
        raise Conflict(
            f"Integration keys that are kept already would be sent to {moved[0]}. Keys without a connection of their"
            " own go by the first active one: keep one with the present base address active before this one, and name"
            " the other at the destinations that are to use it.",
            code="keys_would_move",
        )


def _addresses(kind: str) -> dict[int, str]:
    """The base address to which each destination's key goes, and those of people."""
    accounts = list(Connection.objects.filter(kind=kind).order_by("id"))
    places = Destination.objects.filter(kind=kind).exclude(target_encrypted="").values_list("pk", "connection_id")
    named: dict[int, int | None] = dict(places)
    if ContactPoint.objects.filter(kind=kind).exclude(secret_encrypted="").exists():
        named[_PEOPLE] = None
    found = {place: account_for(kind, connection_id, accounts) for place, connection_id in named.items()}
    return {place: ((each.base_url if each else "") or OWN_ADDRESS).rstrip("/") for place, each in found.items()}
