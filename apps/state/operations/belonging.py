"""What documents and sources of entities have in common: each belongs to a service, has an address, and is looked at
every so often."""

from __future__ import annotations

from typing import Protocol
from urllib.parse import urlsplit

from apps.catalog.models import Environment, Service
from apps.foundation.actor import Actor
from apps.foundation.errors import Conflict, Invalid, NotFound
from apps.foundation.redaction import redact_text
from apps.people.permissions import allowed, require
from apps.state.permissions import leads_owner


class Belonging(Protocol):
    """A row of a service, with a revision that every change raises."""

    name: str
    revision: int
    service_id: int


def owned_service(service_id: int | None, actor: Actor, *, add: str) -> Service:
    """The service of a new row. Needs the permission `add`, or to lead the team that owns the service.

    Raises Forbidden, and NotFound for a service that there is none of, but only to who may add any.
    """
    service = _service(service_id, actor, add)
    if not leads_owner(actor, service.owner_id):
        require(actor, add)
    return service


def require_may_move(row: Belonging, service_id: int | None, actor: Actor, *, add: str, change: str) -> None:
    """Where the row is to belong to another service: Forbidden without `change` for whoever does not lead its team.

    Raises NotFound as `owned_service` does.
    """
    if service_id is None or service_id == row.service_id:
        return
    service = _service(service_id, actor, add)
    if not allowed(actor, change) and not leads_owner(actor, service.owner_id):
        require(actor, change)


def require_revision(row: Belonging, expected: int | None, *, code: str) -> None:
    """Conflict with this code unless the row still is as the caller read it."""
    if expected is not None and row.revision != expected:
        raise Conflict(f"{row.name} was changed since you read it: read it again.", code=code)


def check_environment(environment_id: int | None) -> None:
    """Raise NotFound for an environment that there is none of."""
    if environment_id is not None and not Environment.objects.filter(pk=environment_id).exists():
        raise NotFound("There is no such environment.", fields={"environment": ["There is no such environment."]})


def check_source(address: str, field: str) -> None:
    """Raise Invalid for what is no address of a source, or holds a secret that all who see it would see."""
    try:
        parts = urlsplit(address)
        port_fits = parts.port is None or parts.port > 0
    except ValueError:
        parts, port_fits = None, False
    if not address:
        return
    sentence = ""
    if parts is None or not port_fits or parts.scheme not in ("http", "https") or not parts.hostname:
        sentence = "It must begin with http:// or https:// and name a host."
    elif redact_text(address) != address or "@" in parts.netloc:
        sentence = "Everybody who may see the document sees its address: no passwords or tokens in it."
    if sentence:
        raise Invalid(f"{field}: {sentence}", fields={field: [sentence]})


def check_pause(seconds: int, field: str, *, least: int, longest: int) -> None:
    """Raise Invalid for a pause that is neither 0 nor within its bounds."""
    if seconds and not least <= seconds <= longest:
        sentence = f"0 (never by itself), or {least} to {longest} seconds."
        raise Invalid(f"{field}: {sentence}", fields={field: [sentence]})


def _service(service_id: int | None, actor: Actor, add: str) -> Service:
    found = Service.objects.filter(pk=service_id or 0).first()
    if found is None:
        require(actor, add)
        raise NotFound("There is no such service.", fields={"service": ["There is no such service."]})
    return found
