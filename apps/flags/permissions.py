"""Who may do what to a flag or a segment. Seeing it comes first: what may not be seen does not exist."""

from __future__ import annotations

from django.contrib.auth.models import AnonymousUser

from apps.catalog.permissions import leads_any_team
from apps.catalog.queries import is_lead
from apps.flags.models import Flag, FlagGroupPermission, FlagUserPermission, Segment
from apps.flags.queries import visible_flags
from apps.foundation.actor import Actor
from apps.foundation.errors import Forbidden, NotFound
from apps.people.models import User
from apps.people.permissions import allowed, require, user_allowed
from apps.people.queries import user_of

VIEW = "flags.view_flag"
ADD = "flags.add_flag"
CHANGE = "flags.change_flag"
KILL = "flags.kill_flag"
RECORD = "flags.record_exposure"
VIEW_SEGMENT = "flags.view_segment"
ADD_SEGMENT = "flags.add_segment"


def user_may(user: User | AnonymousUser, permission: str, flag: Flag) -> bool:
    """Whether `user`, who sees it, may: for all, by a grant on it, or as a lead of the owning team."""
    if user_allowed(user, permission, flag):
        return True
    return isinstance(user, User) and user.is_active and is_lead(user.pk, flag.owner_id)


def authorize(actor: Actor, flag: Flag, permission: str) -> User | None:
    """The account behind `actor` when it may do this; None for the portal itself, which always may.

    NotFound where the flag is invisible to it, exactly as if it did not exist; Forbidden where it sees it only.
    """
    if actor.is_system:
        return None
    user = user_of(actor)
    if user is None or not visible_flags(user).filter(pk=flag.pk).exists():
        raise no_such_flag()
    if permission != VIEW and not user_may(user, permission, flag):
        raise Forbidden(
            f"{actor.name} may not do this: it needs the permission {permission}, or to lead {flag.owner.name}.",
            extra={"permission": permission},
        )
    return user


def may_add_for(actor: Actor, team_id: int) -> bool:
    """Managers make flags for every team, leads for theirs."""
    if allowed(actor, ADD):
        return True
    user = user_of(actor)
    return user is not None and user.is_active and is_lead(user.pk, team_id)


def require_add_somewhere(actor: Actor) -> None:
    """Raise Forbidden for who can't make a flag for any team, before the request's body is looked at."""
    user = user_of(actor)
    if user is None or not leads_any_team(user):
        require(actor, ADD)


def may_change_any(actor: Actor) -> None:
    """Raise Forbidden for who may change no flag at all, before the request's body is looked at."""
    user = user_of(actor)
    held = {"permission__codename": "change_flag"}
    if user is not None and (
        FlagUserPermission._default_manager.filter(user=user, **held).exists()
        or FlagGroupPermission._default_manager.filter(group__in=user.groups.values("pk"), **held).exists()
    ):
        return
    if user is None or not leads_any_team(user):
        require(actor, CHANGE)


def no_such_flag() -> NotFound:
    """One sentence for what is missing and for what is hidden."""
    return NotFound("There is no such flag, or you may not see it.")


# --- segments: whoever may see flags sees them all ---


def user_may_segment(user: User | AnonymousUser, permission: str, segment: Segment) -> bool:
    """Whether `user` may: for all, or as a lead of the owning team."""
    if user_allowed(user, permission):
        return True
    return isinstance(user, User) and user.is_active and is_lead(user.pk, segment.owner_id)


def authorize_segment(actor: Actor, segment: Segment, permission: str) -> None:
    """Raise Forbidden unless `actor` may do this to the segment; the portal itself always may."""
    user = None if actor.is_system else user_of(actor)
    if not actor.is_system and (user is None or not user_may_segment(user, permission, segment)):
        raise Forbidden(
            f"{actor.name} may not do this: it needs the permission {permission}, or to lead {segment.owner.name}.",
            extra={"permission": permission},
        )


def require_add_segment_somewhere(actor: Actor) -> None:
    """Raise Forbidden for who can't make a segment for any team, before the request's body is looked at."""
    user = user_of(actor)
    if user is None or not leads_any_team(user):
        require(actor, ADD_SEGMENT)
