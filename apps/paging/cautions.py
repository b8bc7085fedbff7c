"""What a pack's escalation would lack if it were active: roles that mean nobody."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from django.db.models import Q
from django.urls import reverse

from apps.catalog.models import Team
from apps.catalog.queries import teams_following, visible_teams
from apps.oncall.models import RoleBinding
from apps.paging.policy import Escalation
from apps.policies.activation import Caution
from apps.policies.models import PolicyPack
from apps.policies.sections import Sections

_MOST_NAMED = 5


def roles_named(found: Escalation) -> dict[str, str]:
    """Every role that the escalation calls, with the words for where it does first."""
    named: dict[str, str] = {}
    for level in found.path:
        for role in level.roles:
            named.setdefault(role, f"level {level.level} ({level.name})")
    for trigger in found.triggers:
        for role in trigger.roles:
            named.setdefault(role, f"the trigger “{trigger.title}”")
    return named


def unbound_roles(pack: PolicyPack, sections: Sections, user: Any) -> list[Caution]:
    """Roles that the pack calls and that mean nobody in a team that follows it. Two queries."""
    found = cast("Escalation | None", sections.get("escalation"))
    if found is None:
        return []
    named = roles_named(found)
    # An incident of a service that follows the pack by itself is paged to the team that owns it.
    following = Q(pk__in=teams_following(pack).values("pk")) | Q(services__policy_pack=pack)
    teams = Team.objects.filter(following).order_by("name").distinct()
    seen = list(teams if user is None else teams.filter(pk__in=visible_teams(user).values("pk")))
    bound: set[tuple[str, int | None]] = set(RoleBinding.objects.filter(role__in=named).values_list("role", "team_id"))
    lacking = {
        role: [team for team in seen if (role, None) not in bound and (role, team.pk) not in bound] for role in named
    }
    return [Caution(_sentence(role, named, lacking[role]), _url()) for role in named if lacking[role]]


def _sentence(role: str, named: Mapping[str, str], teams: list[Team]) -> str:
    shown = ", ".join(team.name for team in teams[:_MOST_NAMED])
    more = f" and {len(teams) - _MOST_NAMED} more" if len(teams) > _MOST_NAMED else ""
    return f"The role {role} of {named[role]} means nobody in {shown}{more}: bind it, or nobody is paged there."


def _url() -> str:
    return reverse("admin:oncall_rolebinding_changelist")
