"""The verbs of webhook endpoints. An endpoint hears of what its owner may see, so only its owner says where to."""

from __future__ import annotations

import re
import secrets
import uuid
from collections.abc import Sequence
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings

from apps.foundation.actor import Actor
from apps.foundation.clock import now
from apps.foundation.egress.addresses import PrivateAddress, check_addresses, literal_address
from apps.foundation.errors import Conflict, Forbidden, Invalid, NotFound
from apps.foundation.operations import operation
from apps.foundation.subjects import Subject
from apps.messaging.drafts import NewMessage
from apps.messaging.models import Message, WebhookEndpoint
from apps.messaging.operations import enqueue_many, replay
from apps.messaging.providers.http import PUBLIC_ONLY, may_reach
from apps.messaging.queries import endpoints_visible_to
from apps.people.crypto import seal
from apps.people.permissions import require
from apps.people.queries import user_of

TEST_KIND = "portal.test"
MOST_KINDS = 100
MOST_REPLAYS = 100
_KIND = re.compile(r"[a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*)*(\.\*)?")


def checked_url(url: str) -> str:
    """`url` if webhooks may go there, as far as can be told without looking its name up. Raises Invalid."""
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError as error:
        raise _bad_url("This is not an address.") from error
    if parts.scheme not in {"http", "https"} or not host:
        raise _bad_url("Give an address such as https://example.com/hook.")
    if parts.username is not None or parts.password is not None:
        raise _bad_url("Leave the name and password out; requests are signed instead.")
    if any(letter.isspace() or not letter.isprintable() for letter in url) or len(url) > 500:  # noqa: PLR2004  # the column
        raise _bad_url("The address has spaces, or more than 500 characters.")
    if literal_address(host) is not None:
        try:
            check_addresses(host, parts.port or 0, [host], may_reach)
        except PrivateAddress as error:
            raise _bad_url(f"{error}; {PUBLIC_ONLY}") from error
    return url


def _bad_url(sentence: str) -> Invalid:
    return Invalid(sentence, code="bad_url", fields={"url": [sentence]})


def _checked_kinds(kinds: Sequence[str]) -> list[str]:
    bad = [kind for kind in kinds if not _KIND.fullmatch(kind) or len(kind) > 80]  # noqa: PLR2004  # the column of events
    if bad or len(kinds) > MOST_KINDS:
        sentence = f'Kinds look like "incidents.declared" or "incidents.*"; at most {MOST_KINDS} of them.'
        raise Invalid(sentence, fields={"event_kinds": [sentence]})
    return list(dict.fromkeys(kinds))


def _checked_name(name: str) -> str:
    if not name.strip() or len(name) > 120:  # noqa: PLR2004  # the column
        raise Invalid("Give a name of at most 120 characters.", fields={"name": ["At most 120 characters."]})
    return name.strip()


def _locked(endpoint_id: int, actor: Actor) -> WebhookEndpoint:
    """The endpoint, locked, if the actor may know of it; NotFound otherwise."""
    user = user_of(actor)
    rows = WebhookEndpoint.objects.all() if actor.is_system else endpoints_visible_to(user) if user else None
    found = rows.select_for_update(of=("self",)).filter(pk=endpoint_id).first() if rows is not None else None
    if found is None:
        raise NotFound("There is no such webhook endpoint.")
    return found


def _require_owner(endpoint: WebhookEndpoint, actor: Actor) -> None:
    """Whoever changes where an endpoint sends gets to read what its owner may see."""
    user = user_of(actor)
    if not actor.is_system and not (user and user.is_active and (user.is_superuser or user.pk == endpoint.owner_id)):
        raise Forbidden("Only its owner may do this: the endpoint is told what its owner may see.")


def _fresh_secret() -> str:
    return f"whsec_{secrets.token_urlsafe(32)}"


@operation
def create_endpoint(
    name: str, url: str, *, event_kinds: Sequence[str] = (), actor: Actor
) -> tuple[WebhookEndpoint, str]:
    """A new endpoint, owned by the actor, and its signing secret, which is never shown again. Each call makes another.

    `event_kinds` are kinds or patterns such as "incidents.*"; none means all. Raises Forbidden without
    `messaging.add_webhookendpoint`, Invalid for an address that webhooks may not go to.
    """
    require(actor, "messaging.add_webhookendpoint")
    if actor.user_id is None:
        raise Forbidden("An endpoint needs an owner with an account.")
    secret = _fresh_secret()
    endpoint = WebhookEndpoint(
        name=_checked_name(name),
        url=checked_url(url),
        event_kinds=_checked_kinds(event_kinds),
        secret_encrypted=seal(secret),
        owner_id=actor.user_id,
    )
    endpoint.save()
    return endpoint, secret


@operation
def change_endpoint(
    endpoint_id: int,
    *,
    name: str | None = None,
    url: str | None = None,
    event_kinds: Sequence[str] | None = None,
    actor: Actor,
) -> WebhookEndpoint:
    """Change what is given; messages that wait go to the new address. The same values again change nothing."""
    endpoint = _locked(endpoint_id, actor)
    require(actor, "messaging.change_webhookendpoint", endpoint)
    _require_owner(endpoint, actor)
    changes: dict[str, Any] = {}
    if name is not None:
        changes["name"] = _checked_name(name)
    if url is not None:
        changes["url"] = checked_url(url)
    if event_kinds is not None:
        changes["event_kinds"] = _checked_kinds(event_kinds)
    return _save(endpoint, changes)


def _save(endpoint: WebhookEndpoint, changes: dict[str, Any]) -> WebhookEndpoint:
    changed = {field: value for field, value in changes.items() if getattr(endpoint, field) != value}
    for field, value in changed.items():
        setattr(endpoint, field, value)
    if changed:
        endpoint.save(update_fields=list(changed))
    return endpoint


@operation
def pause_endpoint(endpoint_id: int, *, actor: Actor) -> WebhookEndpoint:
    """Send it nothing more; what waits becomes void. Anybody with the permission to change endpoints may."""
    endpoint = _locked(endpoint_id, actor)
    require(actor, "messaging.change_webhookendpoint", endpoint)
    return _save(endpoint, {"state": WebhookEndpoint.State.PAUSED})


@operation
def activate_endpoint(endpoint_id: int, *, actor: Actor) -> WebhookEndpoint:
    """Send it events from now on."""
    endpoint = _locked(endpoint_id, actor)
    require(actor, "messaging.change_webhookendpoint", endpoint)
    _require_owner(endpoint, actor)
    return _save(endpoint, {"state": WebhookEndpoint.State.ACTIVE})


@operation
def update_endpoint(endpoint_id: int, *, state: str | None = None, actor: Actor, **changes: Any) -> WebhookEndpoint:
    """Change fields and state in one go: `change_endpoint`, then `pause_endpoint` or `activate_endpoint`."""
    endpoint = _locked(endpoint_id, actor)
    if changes:
        endpoint = change_endpoint(endpoint_id, **changes, actor=actor)
    if state is not None and state != endpoint.state:
        verb = pause_endpoint if state == WebhookEndpoint.State.PAUSED else activate_endpoint
        endpoint = verb(endpoint_id, actor=actor)
    return endpoint


@operation
def rotate_secret(endpoint_id: int, *, actor: Actor) -> tuple[WebhookEndpoint, str]:
    """A new signing secret, shown only now; it signs all that is sent from now on. Each call makes another."""
    endpoint = _locked(endpoint_id, actor)
    require(actor, "messaging.change_webhookendpoint", endpoint)
    _require_owner(endpoint, actor)
    secret = _fresh_secret()
    endpoint.secret_encrypted = seal(secret)
    endpoint.save(update_fields=["secret_encrypted"])
    return endpoint, secret


@operation
def delete_endpoint(endpoint_id: int, *, actor: Actor) -> None:
    """Delete it with its messages. Its history stays."""
    endpoint = _locked(endpoint_id, actor)
    require(actor, "messaging.delete_webhookendpoint", endpoint)
    endpoint.delete()


@operation
def send_test(endpoint_id: int, *, actor: Actor) -> Message:
    """Queue an event of the kind `portal.test` for it; each call queues another. Conflict while it is paused."""
    endpoint = _locked(endpoint_id, actor)
    require(actor, "messaging.change_webhookendpoint", endpoint)
    if endpoint.state != WebhookEndpoint.State.ACTIVE:
        raise Conflict("The endpoint is paused: activate it first.", code="endpoint_paused")
    key = f"test:{endpoint.pk}:{uuid.uuid4().hex}"
    content = {
        "id": key,
        "type": TEST_KIND,
        "occurred_at": now().isoformat(),
        "subject": {"kind": "", "key": "", "title": "", "url": ""},
        "actor": {"name": actor.name},
        "data": {"text": "A test of this endpoint.", "portal": settings.PUBLIC_URL},
    }
    draft = NewMessage(
        dedupe_key=key,
        channel=Message.Channel.WEBHOOK,
        recipient_id=None,
        endpoint_id=endpoint.pk,
        address=endpoint.url,
        subject=Subject("", ""),
        title="Test event",
        body="",
        payload=content,
    )
    enqueue_many([draft])
    return Message.objects.get(dedupe_key=key)


@operation
def replay_many(endpoint_id: int, message_ids: Sequence[int], *, actor: Actor) -> list[Message]:
    """Send up to 100 messages of one endpoint once more; all or none. See `replay`."""
    endpoint = _locked(endpoint_id, actor)
    wanted = list(dict.fromkeys(message_ids))
    if not wanted or len(wanted) > MOST_REPLAYS:
        raise Invalid(f"Give 1 to {MOST_REPLAYS} messages.", fields={"message_ids": ["Too few or too many."]})
    if endpoint.messages.filter(pk__in=wanted).count() != len(wanted):
        raise NotFound("One of these messages is not of this endpoint.")
    return [replay(message_id, actor=actor) for message_id in wanted]
