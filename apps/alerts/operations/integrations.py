"""Sources of alerts: making them, and what becomes of their keys."""

from __future__ import annotations

import secrets

from apps.alerts.models import Integration
from apps.alerts.queries import address_with_key
from apps.catalog.models import Service, Team
from apps.catalog.permissions import require_team_editor
from apps.foundation.actor import Actor
from apps.foundation.errors import Conflict, Invalid, NotFound
from apps.foundation.operations import operation
from apps.people.crypto import digest, seal

MAX_NAME = 120


@operation
def create_integration(
    name: str, kind: str, *, team_id: int, service_id: int | None = None, actor: Actor
) -> tuple[Integration, str]:
    """Make a source of alerts or changes; returns it and its address, which holds its key.

    Each call makes another one. Needs `alerts.add_integration`, or to lead the team. Raises Invalid for a wrong name,
    kind or service, NotFound for a team that does not exist, Forbidden.
    """
    team = Team.objects.filter(pk=team_id).first()
    if team is None:
        raise NotFound(f"There is no team {team_id}.")
    require_team_editor(actor, team, "alerts.add_integration")
    if kind not in Integration.Kind.values:
        raise _invalid("kind", f"Must be one of {', '.join(Integration.Kind.values)}.")
    key = _new_key()
    integration = Integration(
        kind=kind,
        name=_checked_name(name),
        team=team,
        service_id=_checked_service(service_id),
        key_digest=digest(key),
        key_encrypted=seal(key),
    )
    integration.save()
    return integration, address_with_key(integration)


@operation
def update_integration(integration_id: int, *, name: str, service_id: int | None, actor: Actor) -> Integration:
    """Give an integration another name or default service; what is the same already changes nothing."""
    integration = _locked(integration_id, actor)
    name, service_id = _checked_name(name), _checked_service(service_id)
    if (integration.name, integration.service_id) != (name, service_id):
        integration.name, integration.service_id = name, service_id
        integration.save(update_fields=["name", "service"])
    return integration


@operation
def rotate_key(integration_id: int, *, actor: Actor, reason: str = "") -> tuple[Integration, str]:
    """Give the integration a new key; returns it and the new address. The old key is refused within two seconds.

    Each call makes another key. A revoked integration stays revoked: Conflict.
    """
    integration = _locked(integration_id, actor)
    if integration.state == Integration.State.REVOKED:
        raise Conflict(f"{integration.name} is revoked: make a new integration.")
    key = _new_key()
    integration.key_digest, integration.key_encrypted = digest(key), seal(key)
    integration.save(update_fields=["key_digest", "key_encrypted"])
    return integration, address_with_key(integration)


@operation
def pause(integration_id: int, *, actor: Actor, reason: str = "") -> Integration:
    """Go on storing what arrives, but open and page nothing. Resolves still resolve. A repeat changes nothing."""
    return _move(integration_id, Integration.State.PAUSED, actor)


@operation
def resume(integration_id: int, *, actor: Actor, reason: str = "") -> Integration:
    """Open and page again. What began to fire while paused opens with its next repetition by the source."""
    return _move(integration_id, Integration.State.ACTIVE, actor)


@operation
def revoke(integration_id: int, *, actor: Actor, reason: str = "") -> Integration:
    """Refuse the key with 401 for ever, within two seconds. A repeat changes nothing."""
    return _move(integration_id, Integration.State.REVOKED, actor)


def _move(integration_id: int, state: Integration.State, actor: Actor) -> Integration:
    integration = _locked(integration_id, actor)
    if integration.state == state:
        return integration
    if integration.state == Integration.State.REVOKED:
        raise Conflict(f"{integration.name} is revoked, which can't be undone: make a new integration.")
    integration.state = state
    integration.save(update_fields=["state"])
    return integration


def _locked(integration_id: int, actor: Actor) -> Integration:
    integration = (
        Integration.objects.select_for_update(no_key=True, of=("self",))
        .select_related("team")
        .filter(pk=integration_id)
        .first()
    )
    if integration is None:
        raise NotFound(f"There is no integration {integration_id}.")
    require_team_editor(actor, integration.team, "alerts.change_integration")
    return integration


def _new_key() -> str:
    return secrets.token_urlsafe(24)


def _checked_name(name: str) -> str:
    name = name.strip()
    if not name or len(name) > MAX_NAME or "\x00" in name:
        raise _invalid("name", f"Give a name of 1 to {MAX_NAME} characters.")
    return name


def _checked_service(service_id: int | None) -> int | None:
    if service_id is not None and not Service.objects.filter(pk=service_id).exists():
        raise _invalid("service", f"There is no service {service_id}.")
    return service_id


def _invalid(field: str, message: str) -> Invalid:
    return Invalid(message, fields={field: [message]})
