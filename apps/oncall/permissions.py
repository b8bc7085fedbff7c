"""Who may change who is on call."""

from __future__ import annotations

from apps.catalog.models import Membership
from apps.catalog.queries import is_lead
from apps.foundation.actor import Actor
from apps.foundation.errors import Forbidden
from apps.oncall.models import Override, Rotation
from apps.people.permissions import allowed, require
from apps.people.queries import user_of


def leads(actor: Actor, team_id: int) -> bool:
    """Whether the actor's account is active and a lead of this team."""
    user = user_of(actor)
    return user is not None and user.is_active and is_lead(user.pk, team_id)


def require_edit(actor: Actor, team_id: int | None, permission: str) -> None:
    """Managers (by `permission`) edit everything, team leads what belongs to their team. Raises Forbidden."""
    if team_id is not None and not actor.is_system and leads(actor, team_id):
        return
    require(actor, permission)


def require_cover(actor: Actor, rotation: Rotation, user_id: int) -> None:
    """Editors may put anybody on; responders anybody in rotations of their own teams, and themselves anywhere."""
    if allowed(actor, "oncall.change_rotation") or leads(actor, rotation.team_id):
        return
    require(actor, "oncall.add_override")
    own_team = Membership.objects.filter(team_id=rotation.team_id, user_id=actor.user_id).exists()
    if not own_team and actor.user_id != user_id:
        raise Forbidden(
            f"{actor.name} may put others on call only in rotations of their own teams; {rotation.name} belongs to "
            f"{rotation.team.name}."
        )


def require_uncover(actor: Actor, override: Override) -> None:
    """Whoever could add the override may cancel it, and so may the person it puts on call."""
    require_cover(actor, override.rotation, override.user_id)
