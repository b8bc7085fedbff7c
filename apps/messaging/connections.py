"""The verbs of connections and destinations: the portal's accounts at providers, and the places that teams read."""

from __future__ import annotations

import re
import secrets
import uuid
from typing import Any, TypeVar
from urllib.parse import urlsplit

from django.conf import settings
from django.db.models import Q

from apps.foundation.actor import Actor
from apps.foundation.errors import Conflict, Invalid, NotFound
from apps.foundation.operations import operation
from apps.foundation.subjects import Subject
from apps.messaging.drafts import NewMessage
from apps.messaging.keys import SECRET_ADDRESSES, keys_stay
from apps.messaging.models import Connection, Destination, Message
from apps.messaging.operations import enqueue_many
from apps.people.addresses import Checked, check_address
from apps.people.crypto import seal
from apps.people.models import ContactPoint
from apps.people.permissions import require

R = TypeVar("R", Connection, Destination)
_SLACK_CHANNEL = re.compile(r"#[^\s#@]{1,79}|[CGD][A-Z0-9]{6,20}")
_LONGEST_SECRET = 4000
# Which secrets and names each kind of connection needs before it can send.
NEEDED: dict[str, tuple[str, ...]] = {
    "slack": ("token", "signing_secret"),
    "pagerduty": (),
    "discord": (),
    "sms": ("account", "sender", "token"),
}


def callback_address(connection: Connection) -> str:
    """Where the provider calls back; empty for a kind that never does."""
    path = {"slack": "slack", "pagerduty": "pagerduty", "discord": "discord", "sms": "twilio"}.get(connection.kind)
    return f"{settings.PUBLIC_URL}/hooks/{path}/{connection.callback_key}/" if path else ""


@operation
def create_connection(
    name: str,
    kind: str,
    *,
    base_url: str = "",
    account: str = "",
    sender: str = "",
    token: str = "",
    signing_secret: str = "",
    actor: Actor,
) -> Connection:
    """A new account of the portal's at a provider; its secrets are sealed and never shown. Each call makes another.

    Raises Forbidden without `messaging.add_connection`, Invalid with what is missing, Conflict where integration keys
    that are kept already would be sent to its base address.
    """
    require(actor, "messaging.add_connection")
    if kind not in NEEDED:
        raise Invalid("There is no such kind of connection.", fields={"kind": [f"{kind!r} is unknown."]})
    given = {"account": account, "sender": sender, "token": token, "signing_secret": signing_secret}
    missing = {field: ["This kind of connection needs it."] for field in NEEDED[kind] if not given[field].strip()}
    if missing:
        raise Invalid(f"Give {', '.join(missing)} too.", fields=missing)
    connection = Connection(
        name=_checked_name(name),
        kind=kind,
        base_url=_checked_base(base_url),
        account=account.strip()[:80],
        sender=sender.strip()[:80],
        token_encrypted=_sealed(token),
        signing_encrypted=_sealed(signing_secret),
        callback_key=secrets.token_urlsafe(24),
    )
    with keys_stay(kind):
        connection.save()
    return connection


def _checked_name(name: str) -> str:
    if not name.strip() or len(name) > 120:  # noqa: PLR2004  # the column
        raise Invalid("Give a name of at most 120 characters.", fields={"name": ["At most 120 characters."]})
    return name.strip()


def _checked_base(url: str) -> str:
    text = url.strip()
    if not text:
        return ""
    try:
        parts = urlsplit(text)
        host, _ = parts.hostname, parts.port
    except ValueError:
        host, parts = None, urlsplit("")
    if parts.scheme not in {"http", "https"} or not host or parts.username or not text.isprintable() or " " in text:
        raise Invalid(
            "This is no base address.", fields={"base_url": ["Give an address such as https://slack.com/api/."]}
        )
    return text[:300]


def _sealed(secret: str) -> str:
    text = secret.strip()
    if len(text) > _LONGEST_SECRET:
        raise Invalid("The secret is too long.", fields={"token": ["Too long."]})
    return seal(text) if text else ""


def _locked(connection_id: int, actor: Actor) -> Connection:
    require(actor, "messaging.view_connection")
    # All of its kind, in one order: which of them sends depends on the others too.
    siblings = Connection.objects.filter(pk=connection_id).exclude(kind=Connection.Kind.PUSH).values("kind")
    rows = Connection.objects.select_for_update().filter(kind__in=siblings).order_by("pk")
    found = next((row for row in rows if row.pk == connection_id), None)
    if found is None:
        raise NotFound("There is no such connection.")
    return found


@operation
def change_connection(
    connection_id: int,
    *,
    name: str | None = None,
    base_url: str | None = None,
    account: str | None = None,
    sender: str | None = None,
    token: str = "",
    signing_secret: str = "",
    actor: Actor,
) -> Connection:
    """Change what is given; an empty secret keeps the one that is there. It takes the mark "refused" off.

    With another base address the token must be given again: whoever changes the address would get to read it. Where
    the secrets are integration keys, which are kept with destinations and people, it can't change: another connection
    is made, and given its keys. Raises Invalid for both.
    """
    found = _locked(connection_id, actor)
    require(actor, "messaging.change_connection")
    changes: dict[str, Any] = {}
    if name is not None:
        changes["name"] = _checked_name(name)
    if base_url is not None and (checked := _checked_base(base_url)) != found.base_url:
        if found.token_encrypted and not token.strip():
            sentence = "Give the token again: it would be sent to the new address."
            raise Invalid(sentence, fields={"token": [sentence]})
        if found.kind in SECRET_ADDRESSES and _keys_are_sent_by(found):
            sentence = "Integration keys would be sent to the new address: make another connection and give it theirs."
            raise Invalid(sentence, fields={"base_url": [sentence]})
        changes["base_url"] = checked
    if account is not None:
        changes["account"] = account.strip()[:80]
    if sender is not None:
        changes["sender"] = sender.strip()[:80]
    if token.strip():
        changes["token_encrypted"] = _sealed(token)
    if signing_secret.strip():
        changes["signing_encrypted"] = _sealed(signing_secret)
    return _save(found, {**changes, "broken_at": None, "broken_detail": ""})


def _keys_are_sent_by(connection: Connection) -> bool:
    """Whether somebody's integration key may go the way of this connection."""
    places = Destination.objects.filter(kind=connection.kind).exclude(target_encrypted="")
    mine = places.filter(Q(connection=connection) | Q(connection__isnull=True))
    people = ContactPoint.objects.filter(kind=connection.kind).exclude(secret_encrypted="")
    return mine.exists() or people.exists()


def _save(row: R, changes: dict[str, Any]) -> R:
    changed = {field: value for field, value in changes.items() if getattr(row, field) != value}
    for field, value in changed.items():
        setattr(row, field, value)
    if changed:
        row.save(update_fields=list(changed))
    return row


@operation
def pause_connection(connection_id: int, *, actor: Actor) -> Connection:
    """Send nothing with it; messages that need it fail, and their people's other ways are used. Callbacks too stop.

    Raises Conflict where integration keys would be sent to the address of another connection then.
    """
    found = _locked(connection_id, actor)
    require(actor, "messaging.change_connection")
    with keys_stay(found.kind):
        return _save(found, {"state": Connection.State.PAUSED})


@operation
def activate_connection(connection_id: int, *, actor: Actor) -> Connection:
    """Send with it from now on. Raises Conflict where integration keys would be sent to its address then."""
    found = _locked(connection_id, actor)
    require(actor, "messaging.change_connection")
    with keys_stay(found.kind):
        return _save(found, {"state": Connection.State.ACTIVE, "broken_at": None, "broken_detail": ""})


@operation
def update_connection(connection_id: int, *, state: str | None = None, actor: Actor, **changes: Any) -> Connection:
    """Change fields and state in one go: `change_connection`, then `pause_connection` or `activate_connection`."""
    found = _locked(connection_id, actor)
    if changes:
        found = change_connection(connection_id, **changes, actor=actor)
    if state is not None and state != found.state:
        verb = pause_connection if state == Connection.State.PAUSED else activate_connection
        found = verb(connection_id, actor=actor)
    return found


@operation
def delete_connection(connection_id: int, *, actor: Actor) -> None:
    """Forget it with its secrets; its history stays. Destinations that named it use the first other of the kind.

    Raises Conflict where integration keys would be sent to another address then.
    """
    found = _locked(connection_id, actor)
    require(actor, "messaging.delete_connection")
    with keys_stay(found.kind):
        found.delete()


@operation
def test_connection(connection_id: int, address: str, *, actor: Actor) -> Message:
    """Queue a test to `address`: a Slack channel or member, a phone number, an integration key. Each call queues one.

    It goes by a destination of its own name, so that the key is not kept in the message. Raises Conflict while paused.
    """
    found = _locked(connection_id, actor)
    require(actor, "messaging.change_connection")
    if found.state != Connection.State.ACTIVE:
        raise Conflict("The connection is paused: activate it first.", code="connection_paused")
    shown = _checked_target(found.kind, address)
    if shown.secret:
        raise Invalid(
            "Make a destination for it and send the test from there.",
            fields={"address": ["This kind of address is a secret, which belongs into a destination."]},
        )
    return _queue_test(found.kind, shown.shown, connection_id=found.pk)


@operation
def test_destination(destination_id: int, *, actor: Actor) -> Message:
    """Queue a test to it; each call queues another."""
    found = _destination(destination_id, actor)
    require(actor, "messaging.change_destination")
    return _queue_test(found.kind, found.target, destination_id=found.pk)


def _queue_test(
    kind: str, address: str, *, destination_id: int | None = None, connection_id: int | None = None
) -> Message:
    key = f"test:{uuid.uuid4().hex}"
    draft = NewMessage(
        dedupe_key=key,
        channel=kind,
        recipient_id=None,
        endpoint_id=None,
        destination_id=destination_id,
        address=address,
        subject=Subject("", ""),
        title="Test from the incident portal",
        body="Whoever reads this: messages of the portal arrive here. Nothing is wrong.",
        payload={"url": settings.PUBLIC_URL, "event_severity": "info"}
        | ({"connection_id": connection_id} if connection_id else {}),
    )
    enqueue_many([draft])
    return Message.objects.get(dedupe_key=key)


# --- destinations ---


def _checked_target(kind: str, target: str) -> Checked:
    text = target.strip()
    if kind == Destination.Kind.SLACK and _SLACK_CHANNEL.fullmatch(text):
        return Checked(text)
    return check_address(kind, text)


@operation
def create_destination(
    kind: str, name: str, target: str, *, connection_id: int | None = None, actor: Actor
) -> Destination:
    """A place under the name that packs give it. Conflict where the name is taken; Invalid for a wrong target."""
    require(actor, "messaging.add_destination")
    if kind not in Destination.Kind.values:
        raise Invalid("There is no such kind of destination.", fields={"kind": [f"{kind!r} is unknown."]})
    if Destination.objects.filter(kind=kind, name=name.strip()).exists():
        raise Conflict("There is a destination of this kind and name already.", code="name_taken")
    checked = _checked_target(kind, target)
    destination = Destination(
        kind=kind,
        name=_checked_name(name),
        target=checked.shown,
        target_encrypted=seal(checked.secret) if checked.secret else "",
        connection=_connection_for(kind, connection_id),
    )
    destination.save()
    return destination


def _connection_for(kind: str, connection_id: int | None) -> Connection | None:
    if connection_id is None:
        return None
    found = Connection.objects.filter(pk=connection_id, kind=kind).first()
    if found is None:
        raise Invalid("There is no such connection of this kind.", fields={"connection_id": ["Not of this kind."]})
    return found


def _destination(destination_id: int, actor: Actor) -> Destination:
    require(actor, "messaging.view_destination")
    found = Destination.objects.select_for_update(of=("self",)).filter(pk=destination_id).first()
    if found is None:
        raise NotFound("There is no such destination.")
    return found


@operation
def change_destination(destination_id: int, *, name: str | None = None, target: str = "", actor: Actor) -> Destination:
    """Change its name or its target; an empty target keeps the one that is there. It takes the mark "refused" off."""
    found = _destination(destination_id, actor)
    require(actor, "messaging.change_destination")
    changes: dict[str, Any] = {"broken_at": None, "broken_detail": ""}
    if name is not None:
        changes["name"] = _checked_name(name)
        if Destination.objects.filter(kind=found.kind, name=changes["name"]).exclude(pk=found.pk).exists():
            raise Conflict("There is a destination of this kind and name already.", code="name_taken")
    if target.strip():
        checked = _checked_target(found.kind, target)
        changes["target"] = checked.shown
        changes["target_encrypted"] = seal(checked.secret) if checked.secret else ""
    return _save(found, changes)


@operation
def delete_destination(destination_id: int, *, actor: Actor) -> None:
    """Forget it; packs that name it post nowhere then. Its history stays."""
    found = _destination(destination_id, actor)
    require(actor, "messaging.delete_destination")
    found.delete()
