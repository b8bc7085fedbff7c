"""Whom a call reaches: whoever is on call for its roles, or the people behind them, in turn or who is awake first."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from django.db.models import Q

from apps.oncall.models import RoleBinding
from apps.oncall.queries import Roster, TeamRole, roster, schedules_of
from apps.oncall.schedule import Schedule
from apps.paging.models import EscalationRun, Turn
from apps.paging.policy import Call, Hours, Trigger
from apps.people.models import User
from apps.people.zones import zone_named

Asked = tuple[EscalationRun, Call]


def team_roles(run: EscalationRun, call: Call) -> list[TeamRole]:
    """The (team, role) pairs that a call asks for: of the run's own team, or of the teams that own the services."""
    teams: Sequence[int | None] = [run.team_id]
    if isinstance(call, Trigger) and call.of == "service_owners":
        others = [team_id for team_id in run.owner_team_ids if team_id != run.team_id]
        teams = others or run.owner_team_ids
    return [(team_id, role) for team_id in teams for role in call.roles]


@dataclass(slots=True)
class Reach:
    """Everybody whom some calls may reach, read once. Turns are changed in memory and written by `keep_turns`."""

    on_call: Roster
    behind: Mapping[TeamRole, Sequence[int]] = field(default_factory=dict)
    zones: Mapping[int, str] = field(default_factory=dict)
    turns: dict[str, int] = field(default_factory=dict)
    moved: set[str] = field(default_factory=set)

    def people(
        self,
        run: EscalationRun,
        call: Call,
        at: datetime,
        *,
        waking: Hours,
        again: bool = False,
        but: Collection[int] = (),
    ) -> dict[int, str]:
        """The people of a call at an instant, each with the first role that names them, without those in `but`.

        A repeat (`again`) of a call for whoever is awake reaches the others, too.
        """
        found: dict[int, str] = {}
        for team_id, role in team_roles(run, call):
            on_call = call.order == "all"
            people = self.on_call.people(team_id, role, at) if on_call else self._behind(team_id, role)
            for user_id in people:
                if user_id not in but:
                    found.setdefault(user_id, role)
        if call.order == "round_robin" and found:
            chosen = self._next(_turn_key(run, call), list(found))
            return {chosen: found[chosen]}
        if call.order == "awake" and not again:
            return {pk: role for pk, role in found.items() if self._is_awake(pk, at, waking)} or found
        return found

    def _behind(self, team_id: int | None, role: str) -> Sequence[int]:
        return self.behind.get((team_id, role)) or self.behind.get((None, role), ())

    def _next(self, key: str, people: Sequence[int]) -> int:
        """The one after whoever was last called, in the order of the rotation."""
        last = self.turns.get(key)
        chosen = people[(people.index(last) + 1) % len(people)] if last in people else people[0]
        self.turns[key] = chosen
        self.moved.add(key)
        return chosen

    def _is_awake(self, user_id: int, at: datetime, waking: Hours) -> bool:
        local = at.astimezone(zone_named(self.zones.get(user_id, ""))).time()
        return waking.starts <= local < waking.ends

    def keep_turns(self) -> None:
        """Write whose turn it was; one query, and none where nothing goes round."""
        rows = [Turn(key=key, user_id=self.turns[key]) for key in sorted(self.moved)]
        if rows:
            Turn.objects.bulk_create(rows, update_conflicts=True, unique_fields=["key"], update_fields=["user"])


def _turn_key(run: EscalationRun, call: Call) -> str:
    return f"{run.team_id or 'all'}:{','.join(call.roles)}"[:400]


def reach_of(asked: Iterable[Asked], *, since: datetime, lock_turns: bool = False) -> Reach:
    """All that is needed to say whom these calls reach from `since` on; a constant number of queries.

    With `lock_turns` nobody else takes the same turn until the transaction ends.
    """
    calls = list(asked)
    found = Reach(roster({pair for run, call in calls for pair in team_roles(run, call)}, since=since))
    ordered = [(run, call) for run, call in calls if call.order != "all"]
    if ordered:
        pairs = {pair for run, call in ordered for pair in team_roles(run, call)}
        found.behind = _people_behind(pairs, since)
        people = {user_id for group in found.behind.values() for user_id in group}
        found.zones = dict(User.objects.filter(pk__in=people).values_list("pk", "time_zone"))
    keys = {_turn_key(run, call) for run, call in ordered if call.order == "round_robin"}
    if keys:
        rows = Turn.objects.filter(key__in=keys).order_by("key")
        found.turns = {row.key: row.user_id for row in (rows.select_for_update() if lock_turns else rows)}
    return found


def _people_behind(pairs: set[TeamRole], at: datetime) -> dict[TeamRole, list[int]]:
    """Everybody who takes turns for these roles now, whether on call or not, in the order of the rotation."""
    teams, roles = {team for team, _ in pairs if team is not None}, {role for _, role in pairs}
    bindings = list(RoleBinding.objects.filter(Q(team_id__in=teams) | Q(team__isnull=True), role__in=roles))
    schedules = schedules_of({row.rotation_id for row in bindings if row.rotation_id}, since=at)
    orders = {pk: _order(schedule, at) for pk, schedule in schedules.items()}
    named = {row.user_id for row in bindings if row.user_id} | {pk for order in orders.values() for pk in order}
    active = set(User.objects.filter(pk__in=named, is_active=True).values_list("pk", flat=True))
    found: dict[TeamRole, list[int]] = {}
    for row in bindings:
        people = orders.get(row.rotation_id, []) if row.rotation_id else [row.user_id] if row.user_id else []
        found[row.team_id, row.role] = [user_id for user_id in people if user_id in active]
    return found


def _order(schedule: Schedule, at: datetime) -> list[int]:
    """The members of all layers who don't pause, each once, in their order."""
    pauses = (row for row in schedule.pauses if row.starts_at <= at and (row.ends_at is None or at < row.ends_at))
    paused = {row.user_id for row in pauses}
    if None in paused:  # the rotation as a whole
        return []
    places = [place for layer in schedule.layers for place in sorted(layer.places, key=lambda place: place.order)]
    there = (place.user_id for place in places if place.holds_at(at))
    return [user_id for user_id in dict.fromkeys(there) if user_id not in paused]
