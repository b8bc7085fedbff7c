"""Whom the roles of packs mean."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime

from django.db.models import Q

from apps.oncall.models import RoleBinding
from apps.oncall.queries.schedules import schedules_of
from apps.oncall.schedule import Schedule, people_on
from apps.people.models import User

TeamRole = tuple[int | None, str]


class Roster:
    """Whom roles mean, read once and asked for any instant after `since` without further queries."""

    def __init__(
        self, bindings: Mapping[TeamRole, RoleBinding], schedules: Mapping[int, Schedule], active: set[int]
    ) -> None:
        self._bindings = bindings
        self._schedules = schedules
        self._active = active
        self._asked: dict[tuple[int, datetime], list[int]] = {}

    def people(self, team_id: int | None, role: str, at: datetime) -> list[int]:
        """Ids of the people who answer for a role: by the team's binding, else by the one for all teams.

        First who has the duty, then who is on call besides. Accounts that are no longer active never answer.
        """
        binding = self._bindings.get((team_id, role)) or self._bindings.get((None, role))
        if binding is None:
            return []
        if binding.rotation_id is None:
            found = [binding.user_id] if binding.user_id else []
        else:
            found = self._on_call(binding.rotation_id, at)
        return [user_id for user_id in found if user_id in self._active]

    def _on_call(self, rotation_id: int, at: datetime) -> list[int]:
        asked = (rotation_id, at)
        if asked not in self._asked:
            self._asked[asked] = people_on(self._schedules[rotation_id], at)
        return self._asked[asked]


def roster(pairs: Iterable[TeamRole], *, since: datetime) -> Roster:
    """All that is needed to say who answers for these (team, role) pairs from `since` on; seven queries at most."""
    wanted = set(pairs)
    teams, roles = {team for team, _ in wanted if team is not None}, {role for _, role in wanted}
    rows = RoleBinding.objects.filter(Q(team_id__in=teams) | Q(team__isnull=True), role__in=roles) if roles else ()
    bindings: dict[TeamRole, RoleBinding] = {(row.team_id, row.role): row for row in rows}
    schedules = schedules_of({row.rotation_id for row in bindings.values() if row.rotation_id}, since=since, at=since)
    people = {row.user_id for row in bindings.values() if row.user_id}
    for found in schedules.values():
        people.update(found.user_ids())
    active = set(User.objects.filter(pk__in=people, is_active=True).values_list("pk", flat=True)) if people else set()
    return Roster(bindings, schedules, active)


def people_for_many(pairs: Iterable[TeamRole], at: datetime) -> dict[TeamRole, list[int]]:
    """Who answers for each (team, role) at an instant; a constant number of queries."""
    wanted = set(pairs)
    found = roster(wanted, since=at)
    return {(team_id, role): found.people(team_id, role, at) for team_id, role in wanted}


def people_for_roles(team_id: int | None, roles: Iterable[str], at: datetime) -> dict[str, list[int]]:
    """Who answers for each role of one team at an instant: the team's binding, else the one for all teams."""
    found = people_for_many([(team_id, role) for role in roles], at)
    return {role: users for (_, role), users in found.items()}
