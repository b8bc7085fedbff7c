"""Who is in a team."""

from __future__ import annotations

from apps.catalog.events import MemberAdded, MemberRemoved
from apps.catalog.models import Membership, Team
from apps.catalog.operations.writing import checked, locked
from apps.catalog.permissions import require_team_editor
from apps.catalog.queries import TEAM
from apps.engine.operations import publish
from apps.foundation.actor import Actor
from apps.foundation.errors import Invalid, NotFound
from apps.foundation.operations import operation
from apps.foundation.subjects import Subject
from apps.people.models import User


@operation
def add_member(
    team_id: int, user_id: int, *, role: str = Membership.Role.MEMBER, reason: str = "", actor: Actor
) -> Membership:
    """Put an account into a team, or give it another role there; the same role again changes nothing.

    Needs `catalog.add_membership` or to be an editor of the team. Members see the team's private incidents.
    Raises NotFound, Invalid, Forbidden.
    """
    team = locked(Team, team_id, "team")
    require_team_editor(actor, team, "catalog.add_membership")
    user = User.objects.filter(pk=user_id, is_active=True).exclude(kind=User.Kind.PORTAL).first()
    if user is None:
        raise Invalid("There is no such active account.", fields={"user": ["There is no such active account."]})
    found = Membership.objects.select_for_update().filter(team=team, user=user).first()
    if found is not None and found.role == role:
        return found
    membership = found or Membership(team=team, user=user)
    membership.role = role
    checked(membership).save()
    event = MemberAdded(team_id=team.pk, user_id=user.pk, role=role)
    publish(event, subject=Subject(TEAM, str(team.pk)), actor=actor)
    return membership


@operation
def remove_member(membership_id: int, *, reason: str = "", actor: Actor) -> None:
    """Take an account out of a team. Needs `catalog.delete_membership` or to be an editor of the team."""
    membership = Membership.objects.filter(pk=membership_id).first()
    if membership is None:
        raise NotFound("There is no such membership.")
    team = locked(Team, membership.team_id, "team")
    require_team_editor(actor, team, "catalog.delete_membership")
    event = MemberRemoved(team_id=team.pk, user_id=membership.user_id)
    membership.delete()
    publish(event, subject=Subject(TEAM, str(team.pk)), actor=actor)
