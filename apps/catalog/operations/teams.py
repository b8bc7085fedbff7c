"""Teams."""

from __future__ import annotations

from typing import TypedDict
from zoneinfo import available_timezones

from apps.catalog.models import Team
from apps.catalog.operations.writing import applied, checked, deleted, locked, require_usable_pack
from apps.catalog.permissions import require_team_editor
from apps.foundation.actor import Actor
from apps.foundation.errors import Invalid
from apps.foundation.operations import operation
from apps.people.permissions import require


class TeamFields(TypedDict, total=False):
    """What a team is made of; `policy_pack_id` None follows the default pack."""

    slug: str
    name: str
    description: str
    time_zone: str
    email: str
    policy_pack_id: int | None


_FIELDS = frozenset(TeamFields.__annotations__)


def _valid(team: Team) -> Team:
    if team.time_zone not in available_timezones():
        message = f"{team.time_zone!r} is no time zone: write one such as Europe/Berlin."
        raise Invalid(message, fields={"time_zone": [message]})
    require_usable_pack(team.policy_pack_id)
    return checked(team)


@operation
def create_team(fields: TeamFields, *, reason: str = "", actor: Actor) -> Team:
    """Make a team. Needs `catalog.add_team`. Invalid for wrong values, Conflict for a taken slug."""
    require(actor, "catalog.add_team")
    team = Team()
    applied(team, fields, _FIELDS)
    _valid(team).save()
    return team


@operation
def update_team(team_id: int, fields: TeamFields, *, reason: str = "", actor: Actor) -> Team:
    """Change what `fields` names. Needs `catalog.change_team` (for all or for this team) or to lead it.

    The same values again write nothing. Raises NotFound, Forbidden, Invalid.
    """
    team = locked(Team, team_id, "team")
    require_team_editor(actor, team)
    if applied(team, fields, _FIELDS):
        _valid(team).save()
    return team


@operation
def delete_team(team_id: int, *, reason: str = "", actor: Actor) -> None:
    """Delete a team that owns nothing any more. Needs `catalog.delete_team`; Conflict while something needs it."""
    require(actor, "catalog.delete_team")
    deleted(locked(Team, team_id, "team"), "team")
