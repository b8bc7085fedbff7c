"""Permissions for one flag, beyond what groups and leading a team give."""

from __future__ import annotations

from django.contrib.auth.models import Group
from guardian.shortcuts import assign_perm, remove_perm

from apps.engine.operations import publish
from apps.flags.events import FlagGrantGiven, FlagGrantTaken
from apps.flags.models import Flag, FlagGroupPermission, FlagUserPermission
from apps.flags.operations.checking import invalid
from apps.flags.permissions import VIEW, authorize, no_such_flag
from apps.flags.queries import subject_of
from apps.foundation.actor import Actor
from apps.foundation.errors import Invalid
from apps.foundation.operations import operation
from apps.people.models import User
from apps.people.permissions import require

FLAG_PERMISSIONS = ("view_flag", "change_flag", "kill_flag")


@operation
def grant_flag(
    flag_id: int,
    permission: str,
    *,
    user_id: int | None = None,
    group: str | None = None,
    reason: str = "",
    actor: Actor,
) -> None:
    """Give a person or a group one of `FLAG_PERMISSIONS` for one flag; given again, it changes nothing.

    Needs `flags.add_flaguserpermission` (or `…flaggrouppermission`). Raises NotFound, Invalid, Forbidden.
    """
    flag, holder = _flag(flag_id, actor), _holder(permission, user_id, group)
    require(actor, _needed("add", holder))
    if _holds(flag, permission, holder):
        return
    assign_perm(permission, holder, flag)
    event = FlagGrantGiven(permission=permission, user_id=user_id, group=group, reason=reason)
    publish(event, subject=subject_of(flag), actor=actor)


@operation
def revoke_flag(
    flag_id: int,
    permission: str,
    *,
    user_id: int | None = None,
    group: str | None = None,
    reason: str = "",
    actor: Actor,
) -> None:
    """Take it back; not there, it changes nothing. Needs `flags.delete_flaguserpermission` or the group's."""
    flag, holder = _flag(flag_id, actor), _holder(permission, user_id, group)
    require(actor, _needed("delete", holder))
    if not _holds(flag, permission, holder):
        return
    remove_perm(permission, holder, flag)
    event = FlagGrantTaken(permission=permission, user_id=user_id, group=group, reason=reason)
    publish(event, subject=subject_of(flag), actor=actor)


def _flag(flag_id: int, actor: Actor) -> Flag:
    flag = Flag.objects.select_for_update().filter(pk=flag_id).first()
    if flag is None:
        raise no_such_flag()
    authorize(actor, flag, VIEW)
    return flag


def _holder(permission: str, user_id: int | None, group: str | None) -> User | Group:
    if permission not in FLAG_PERMISSIONS:
        raise Invalid(f"Unknown permission {permission!r}; known are {', '.join(FLAG_PERMISSIONS)}.")
    if (user_id is None) == (group is None):
        raise Invalid("A grant goes to one person or to one group.")
    if user_id is not None:
        user = User.objects.filter(pk=user_id, is_active=True).first()
        if user is None:
            raise invalid("user", "There is no such active account.")
        return user
    found = Group.objects.filter(name=group).first()
    if found is None:
        raise invalid("group", "There is no such group.")
    return found


def _needed(way: str, holder: User | Group) -> str:
    return f"flags.{way}_flag{'user' if isinstance(holder, User) else 'group'}permission"


def _holds(flag: Flag, permission: str, holder: User | Group) -> bool:
    """Whether there is this very grant; what the holder may do otherwise does not count."""
    wanted = {"content_object": flag, "permission__codename": permission}
    if isinstance(holder, User):
        return FlagUserPermission._default_manager.filter(user=holder, **wanted).exists()
    return FlagGroupPermission._default_manager.filter(group=holder, **wanted).exists()
