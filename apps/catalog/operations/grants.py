"""Permissions for one team or one service, beyond what groups give."""

from __future__ import annotations

from django.contrib.auth.models import Group
from guardian.shortcuts import assign_perm, remove_perm

from apps.catalog.events import GrantGiven, GrantTaken
from apps.catalog.models import (
    Service,
    ServiceGroupPermission,
    ServiceUserPermission,
    Team,
    TeamGroupPermission,
    TeamUserPermission,
)
from apps.catalog.operations.writing import locked
from apps.catalog.queries import SERVICE, TEAM
from apps.engine.operations import publish
from apps.foundation.actor import Actor
from apps.foundation.errors import Invalid
from apps.foundation.operations import operation
from apps.foundation.subjects import Subject
from apps.people.models import User
from apps.people.permissions import require

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
    _give(team, permission, TEAM_PERMISSIONS, user_id=user_id, group=group, reason=reason, actor=actor)


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
    _take(team, permission, TEAM_PERMISSIONS, user_id=user_id, group=group, reason=reason, actor=actor)


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
    _give(service, permission, SERVICE_PERMISSIONS, user_id=user_id, group=group, reason=reason, actor=actor)


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
    _take(service, permission, SERVICE_PERMISSIONS, user_id=user_id, group=group, reason=reason, actor=actor)


def _give(
    row: Team | Service,
    permission: str,
    known: tuple[str, ...],
    *,
    user_id: int | None,
    group: str | None,
    reason: str,
    actor: Actor,
) -> None:
    holder = _holder(permission, known, user_id, group)
    require(actor, _needed("add", row, holder))
    if _holds(row, permission, holder):
        return
    assign_perm(permission, holder, row)
    event = GrantGiven(permission=permission, user_id=user_id, group=group, reason=reason)
    publish(event, subject=_subject(row), actor=actor)


def _take(
    row: Team | Service,
    permission: str,
    known: tuple[str, ...],
    *,
    user_id: int | None,
    group: str | None,
    reason: str,
    actor: Actor,
) -> None:
    holder = _holder(permission, known, user_id, group)
    require(actor, _needed("delete", row, holder))
    if not _holds(row, permission, holder):
        return
    remove_perm(permission, holder, row)
    event = GrantTaken(permission=permission, user_id=user_id, group=group, reason=reason)
    publish(event, subject=_subject(row), actor=actor)


def _holder(permission: str, known: tuple[str, ...], user_id: int | None, group: str | None) -> User | Group:
    if permission not in known:
        raise Invalid(f"Unknown permission {permission!r}; known are {', '.join(known)}.")
    if (user_id is None) == (group is None):
        raise Invalid("A grant goes to one person or to one group.")
    if user_id is not None:
        user = User.objects.filter(pk=user_id, is_active=True).first()
        if user is None:
            raise Invalid("There is no such active account.", fields={"user": ["There is no such active account."]})
        return user
    found = Group.objects.filter(name=group).first()
    if found is None:
        raise Invalid(f"There is no group {group!r}.", fields={"group": ["There is no such group."]})
    return found


def _needed(way: str, row: Team | Service, holder: User | Group) -> str:
    return f"catalog.{way}_{row._meta.model_name}{'user' if isinstance(holder, User) else 'group'}permission"


def _holds(row: Team | Service, permission: str, holder: User | Group) -> bool:
    """Whether there is this very grant; what the holder may do otherwise does not count."""
    wanted = {"content_object": row, "permission__codename": permission}
    if isinstance(holder, User):
        model = TeamUserPermission if isinstance(row, Team) else ServiceUserPermission
        return model._default_manager.filter(user=holder, **wanted).exists()
    groups = TeamGroupPermission if isinstance(row, Team) else ServiceGroupPermission
    return groups._default_manager.filter(group=holder, **wanted).exists()


def _subject(row: Team | Service) -> Subject:
    return Subject(TEAM if isinstance(row, Team) else SERVICE, str(row.pk))
