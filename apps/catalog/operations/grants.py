"""Permissions for one team or one service, beyond what groups give."""

from __future__ import annotations

from apps.catalog.events import GrantGiven, GrantTaken
from apps.catalog.models import Service, Team
from apps.catalog.operations.writing import locked
from apps.catalog.queries import SERVICE, TEAM
from apps.engine.operations import publish
from apps.foundation.actor import Actor
from apps.foundation.operations import operation
from apps.foundation.subjects import Subject
from apps.people.operations.grants import give_grant, take_grant

TEAM_PERMISSIONS = ("view_team", "change_team", "respond_for_team")
SERVICE_PERMISSIONS = ("view_service", "change_service")


@operation
def grant_team(
    team_id: int,
    permission: str,
    *,
    user_id: int | None = None,
    group: str | None = None,
    reason: str = "",
    actor: Actor,
) -> None:
    """Give a person or a group one of `TEAM_PERMISSIONS` for one team; given again, it changes nothing.

    Needs `catalog.add_teamuserpermission` (or `…teamgrouppermission`). Raises NotFound, Invalid, Forbidden.
    """
    team = locked(Team, team_id, "team")
    if give_grant(team, permission, TEAM_PERMISSIONS, user_id=user_id, group=group, actor=actor):
        event = GrantGiven(permission=permission, user_id=user_id, group=group, reason=reason)
        publish(event, subject=Subject(TEAM, str(team_id)), actor=actor)


@operation
def revoke_team(
    team_id: int,
    permission: str,
    *,
    user_id: int | None = None,
    group: str | None = None,
    reason: str = "",
    actor: Actor,
) -> None:
    """Take it back; not there, it changes nothing. Needs `catalog.delete_teamuserpermission` or the group's."""
    team = locked(Team, team_id, "team")
    if take_grant(team, permission, TEAM_PERMISSIONS, user_id=user_id, group=group, actor=actor):
        event = GrantTaken(permission=permission, user_id=user_id, group=group, reason=reason)
        publish(event, subject=Subject(TEAM, str(team_id)), actor=actor)


@operation
def grant_service(
    service_id: int,
    permission: str,
    *,
    user_id: int | None = None,
    group: str | None = None,
    reason: str = "",
    actor: Actor,
) -> None:
    """Give a person or a group one of `SERVICE_PERMISSIONS` for one service. As `grant_team`."""
    service = locked(Service, service_id, "service")
    if give_grant(service, permission, SERVICE_PERMISSIONS, user_id=user_id, group=group, actor=actor):
        event = GrantGiven(permission=permission, user_id=user_id, group=group, reason=reason)
        publish(event, subject=Subject(SERVICE, str(service_id)), actor=actor)


@operation
def revoke_service(
    service_id: int,
    permission: str,
    *,
    user_id: int | None = None,
    group: str | None = None,
    reason: str = "",
    actor: Actor,
) -> None:
    """Take it back. As `revoke_team`."""
    service = locked(Service, service_id, "service")
    if take_grant(service, permission, SERVICE_PERMISSIONS, user_id=user_id, group=group, actor=actor):
        event = GrantTaken(permission=permission, user_id=user_id, group=group, reason=reason)
        publish(event, subject=Subject(SERVICE, str(service_id)), actor=actor)
