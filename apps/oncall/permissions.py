"""Who may change who is on call."""

from __future__ import annotations

from apps.catalog.models import Membership
from apps.catalog.permissions import leads_any_team
from apps.catalog.queries import is_lead
from apps.foundation.actor import Actor
from apps.foundation.errors import Forbidden
from apps.oncall.models import Rotation
from apps.people.permissions import allowed, require
from apps.people.queries import user_of


def leads(actor: Actor, team_id: int) -> bool:
    """Whether the actor's account is active and a lead of this team."""
    user = user_of(actor)
    return user is not None and user.is_active and is_lead(user.pk, team_id)


def may_edit(actor: Actor, team_id: int | None, permission: str) -> bool:
    """Managers (by `permission`) edit everything, team leads what belongs to their team."""
    return allowed(actor, permission) or (team_id is not None and leads(actor, team_id))


def require_edit(actor: Actor, team_id: int | None, permission: str) -> None:
    """Raise Forbidden unless `may_edit`."""
    if not may_edit(actor, team_id, permission):
        require(actor, permission)


def require_edit_somewhere(actor: Actor, permission: str) -> None:
    """Raise Forbidden for who can't edit in any team, whatever the request asks for: before its body is looked at."""
    user = user_of(actor)
    if user is None or not leads_any_team(user):
        require(actor, permission)


def may_cover(actor: Actor, rotation: Rotation, user_id: int, permission: str = "oncall.add_override") -> bool:
    """Editors may put anybody on; responders anybody in rotations of their own teams, and themselves anywhere.

    Whoever could put a person on may also take them off again.
    """
    if may_edit(actor, rotation.team_id, "oncall.change_rotation"):
        return True
    if not allowed(actor, permission):
        return False
    own_team = Membership.objects.filter(team_id=rotation.team_id, user=user_of(actor)).exists()
    return own_team or actor.user_id == user_id


def require_cover(actor: Actor, rotation: Rotation, user_id: int, permission: str = "oncall.add_override") -> None:
    """Raise Forbidden unless `may_cover`."""
    if may_cover(actor, rotation, user_id, permission):
        return
    require(actor, permission)
    raise Forbidden(
        f"{actor.name} may put others on call only in rotations of their own teams; {rotation.name} belongs to "
        f"{rotation.team.name}."
    )


def is_editor(actor: Actor, rotation: Rotation) -> bool:
    """Whether the actor is a manager, or leads the rotation's team: they arrange swaps and approve them."""
    return may_edit(actor, rotation.team_id, "oncall.change_rotation")


def require_self_or_editor(actor: Actor, rotation: Rotation, user_id: int | None, permission: str) -> None:
    """Raise Forbidden unless the actor is this person with `permission`, or an editor of the rotation."""
    if is_editor(actor, rotation):
        return
    require(actor, permission)
    if actor.user_id is None or actor.user_id != user_id:
        raise Forbidden(f"Only that person, a manager or a lead of {rotation.team.name} may do this.")
