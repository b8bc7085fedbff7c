"""Sources of alerts: making them, and what becomes of their keys."""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import timedelta

from apps.alerts.documents import BadPayload, parse
from apps.alerts.mapping import compiled_mapping, read_mapped
from apps.alerts.models import Heartbeat, Integration
from apps.alerts.operations.heartbeats import restart_timer, say_missing_again
from apps.alerts.payloads import AlertEvent, read_generic
from apps.alerts.policy import checked_group_by
from apps.alerts.queries import address_with_key
from apps.catalog.models import Service, Team
from apps.catalog.permissions import require_team_editor
from apps.foundation.actor import Actor
from apps.foundation.clock import now
from apps.foundation.errors import Conflict, Invalid, NotFound
from apps.foundation.operations import operation
from apps.people.crypto import digest, seal

MAX_NAME = 120
MAX_OVERLAP_SECONDS = 30 * 86400
DEFAULT_INTERVAL_SECONDS, DEFAULT_GRACE_SECONDS = 300, 60


@dataclass(frozen=True, slots=True)
class Settings:
    """What an integration may say of itself besides name and service; None leaves it to the pack or the portal."""

    rate_per_minute: int | None = None
    group_by: Sequence[str] = ()
    group_window_seconds: int | None = None
    group_max_alerts: int | None = None
    interval_seconds: int | None = None
    grace_seconds: int | None = None


def settings_of(integration: Integration) -> Settings:
    """What it says now."""
    return Settings(**{field.name: getattr(integration, field.name) for field in fields(Settings)})


@operation
def create_integration(
    name: str,
    kind: str,
    *,
    team_id: int,
    service_id: int | None = None,
    mapping: Mapping[str, str] | None = None,
    settings: Settings | None = None,
    actor: Actor,
) -> tuple[Integration, str]:
    """Make a source of alerts or changes; returns it and its address, which holds its key.

    Each call makes another one. A heartbeat beats every five minutes with one of grace unless `settings` say otherwise,
    and is waited for from its first beat on. Needs `alerts.add_integration`, or to lead the team. Raises Invalid for a
    wrong name, kind, service, mapping or setting, NotFound for a team that does not exist, Forbidden.
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
        mapping=_checked_mapping(kind, mapping or {}),
    )
    _take_over(integration, settings or Settings())
    integration.save()
    if kind == Integration.Kind.HEARTBEAT:
        Heartbeat.objects.create(integration=integration)
    return integration, address_with_key(integration)


@operation
def update_integration(
    integration_id: int, *, name: str, service_id: int | None, settings: Settings | None = None, actor: Actor
) -> Integration:
    """Give an integration another name, default service or settings; what is the same already changes nothing.

    Without `settings` they stay. A heartbeat is timed by its new interval from its last beat on. Raises Invalid with
    the field that is wrong.
    """
    integration = _locked(integration_id, actor)
    before = (integration.name, integration.service_id, settings_of(integration))
    integration.name, integration.service_id = _checked_name(name), _checked_service(service_id)
    if settings is not None:
        _take_over(integration, settings)
    now_set = settings_of(integration)
    if (integration.name, integration.service_id, now_set) != before:
        integration.save(update_fields=["name", "service", *(field.name for field in fields(Settings))])
    was = before[2]
    if (now_set.interval_seconds, now_set.grace_seconds) != (was.interval_seconds, was.grace_seconds):
        restart_timer(integration)
    return integration


@operation
def set_mapping(integration_id: int, mapping: Mapping[str, str], *, actor: Actor, reason: str = "") -> Integration:
    """Read what a generic integration sends by these JMESPath expressions; an empty mapping is the portal's own format.

    Holds within two seconds. What waits to be grouped is read by the new mapping. The same again changes nothing.
    Raises Invalid with the field whose expression is wrong.
    """
    integration = _locked(integration_id, actor)
    checked = _checked_mapping(integration.kind, mapping)
    if integration.mapping != checked:
        integration.mapping = checked
        integration.save(update_fields=["mapping"])
    return integration


@operation
def try_mapping(integration_id: int, mapping: Mapping[str, str], sample: str, *, actor: Actor) -> list[AlertEvent]:
    """What the mapping makes of a sample; nothing is written. An empty one reads the portal's own format.

    For those who may change the integration. Raises Invalid with the field: of the mapping, of an alert, or `sample`.
    """
    integration = _locked(integration_id, actor)
    checked = _checked_mapping(integration.kind, mapping)
    if integration.kind != Integration.Kind.GENERIC:
        raise _invalid("mapping", "Only a generic integration has a mapping.")
    try:
        document = parse(sample.encode("utf-8", "replace"))
    except BadPayload as error:
        raise _invalid("sample", str(error)) from error
    try:
        return read_mapped(compiled_mapping(checked), document) if checked else read_generic(document)
    except BadPayload as error:
        raise _invalid(error.path or "sample", error.message) from error


@operation
def rotate_key(
    integration_id: int, *, overlap_seconds: int = 0, actor: Actor, reason: str = ""
) -> tuple[Integration, str]:
    """Give the integration a new key; returns it and the new address.

    The old key is taken for `overlap_seconds` more (at most 30 days), or refused within two seconds; the one before
    it is refused in any case. Each call makes another key. A revoked integration stays revoked: Conflict.
    """
    integration = _locked(integration_id, actor)
    if integration.state == Integration.State.REVOKED:
        raise Conflict(f"{integration.name} is revoked: make a new integration.")
    if not 0 <= overlap_seconds <= MAX_OVERLAP_SECONDS:
        raise _invalid("overlap_seconds", "Must be from 0 to 2,592,000 seconds, which is 30 days.")
    key = _new_key()
    integration.previous_key_digest = integration.key_digest if overlap_seconds else ""
    integration.previous_key_until = now() + timedelta(seconds=overlap_seconds) if overlap_seconds else None
    integration.key_digest, integration.key_encrypted = digest(key), seal(key)
    integration.save(update_fields=["key_digest", "key_encrypted", "previous_key_digest", "previous_key_until"])
    return integration, address_with_key(integration)


@operation
def pause(integration_id: int, *, actor: Actor, reason: str = "") -> Integration:
    """Go on storing what arrives, but open and page nothing. Resolves still resolve. A repeat changes nothing."""
    return _move(integration_id, Integration.State.PAUSED, actor)


@operation
def resume(integration_id: int, *, actor: Actor, reason: str = "") -> Integration:
    """Open and page again. What began to fire while paused opens with its next repetition by the source; a heartbeat
    that went missing meanwhile is reported at once."""
    before = Integration.objects.filter(pk=integration_id).values_list("state", flat=True).first()
    integration = _move(integration_id, Integration.State.ACTIVE, actor)
    if before == Integration.State.PAUSED and integration.kind == Integration.Kind.HEARTBEAT:
        say_missing_again(integration)
    return integration


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


def _checked_mapping(kind: str, mapping: Mapping[str, str]) -> dict[str, str]:
    """The expressions that say something, each of them compiled once to see whether it can be."""
    kept = {field: text.strip() for field, text in mapping.items() if text.strip()}
    if not kept:
        return {}
    if kind != Integration.Kind.GENERIC:
        raise _invalid("mapping", "Only a generic integration has a mapping.")
    try:
        compiled_mapping(kept)
    except BadPayload as error:
        raise _invalid(error.path, error.message) from error
    return kept


def _take_over(integration: Integration, given: Settings) -> None:
    """Set what was given, checked field by field."""
    for name, least, most in _BOUNDS:
        value = getattr(given, name)
        if value is not None and not least <= value <= most:
            raise _invalid(name, f"Must be a whole number from {least} to {most}.")
        setattr(integration, name, value)
    try:
        integration.group_by = list(checked_group_by([name.strip() for name in given.group_by if name.strip()]))
    except ValueError as error:
        raise _invalid("group_by", str(error)) from error
    if len(integration.group_by) > MAX_GROUP_BY or any(len(name) > MAX_NAME for name in integration.group_by):
        raise _invalid("group_by", f"At most {MAX_GROUP_BY} labels or fields, each of at most {MAX_NAME} characters.")
    if integration.kind == Integration.Kind.HEARTBEAT:
        integration.interval_seconds = given.interval_seconds or DEFAULT_INTERVAL_SECONDS
        integration.grace_seconds = DEFAULT_GRACE_SECONDS if given.grace_seconds is None else given.grace_seconds
    elif given.interval_seconds is not None or given.grace_seconds is not None:
        raise _invalid("interval_seconds", "Only a heartbeat has an interval and a grace.")


MAX_GROUP_BY = 10
_BOUNDS = (
    ("rate_per_minute", 0, 10_000_000),
    ("group_window_seconds", 1, 366 * 86400),
    ("group_max_alerts", 1, 100_000),
    ("interval_seconds", 5, 366 * 86400),
    ("grace_seconds", 0, 366 * 86400),
)


def _invalid(field: str, message: str) -> Invalid:
    return Invalid(message, fields={field: [message]})
