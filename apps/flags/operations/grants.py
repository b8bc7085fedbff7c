"""Permissions for one flag, beyond what groups and leading a team give."""

from __future__ import annotations

from apps.engine.operations import publish
from apps.flags.events import FlagGrantGiven, FlagGrantTaken
from apps.flags.models import Flag
from apps.flags.permissions import VIEW, authorize, no_such_flag
from apps.flags.queries import subject_of
from apps.foundation.actor import Actor
from apps.foundation.operations import operation
from apps.people.operations.grants import give_grant, take_grant

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
    flag = _flag(flag_id, actor)
    if give_grant(flag, permission, FLAG_PERMISSIONS, user_id=user_id, group=group, actor=actor):
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
    flag = _flag(flag_id, actor)
    if take_grant(flag, permission, FLAG_PERMISSIONS, user_id=user_id, group=group, actor=actor):
        event = FlagGrantTaken(permission=permission, user_id=user_id, group=group, reason=reason)
        publish(event, subject=subject_of(flag), actor=actor)


def _flag(flag_id: int, actor: Actor) -> Flag:
    flag = Flag.objects.select_for_update().filter(pk=flag_id).first()
    if flag is None:
        raise no_such_flag()
    authorize(actor, flag, VIEW)
    return flag
