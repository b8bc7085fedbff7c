"""Reads: schedules out of rows, shifts of a rotation, and who answers for a role at an instant."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.contrib.auth.models import AnonymousUser
from django.db.models import CharField, Q, QuerySet
from django.db.models.functions import Cast
from django.urls import reverse

from apps.foundation.clock import now
from apps.oncall.models import Override, RoleBinding, Rotation, RotationMember
from apps.oncall.schedule import Cover, Place, Schedule, Shift, shifts, who_is_on
from apps.people.models import User

TeamRole = tuple[int | None, str]
_LOOK_AHEAD = timedelta(days=60)


def visible_rotations(user: User | AnonymousUser) -> QuerySet[Rotation]:
    """Who is on call is no secret: all rotations for holders of `oncall.view_rotation`, else none."""
    rows = Rotation.objects.select_related("team")
    return rows if user.is_active and user.has_perm("oncall.view_rotation") else rows.none()


def schedules_of(rotation_ids: Collection[int], *, since: datetime | None = None) -> dict[int, Schedule]:
    """The schedules of rotations, with three queries for any number; unknown ids are left out.

    Overrides that ended before `since` are not read. A cancelled override counts until it was cancelled.
    """
    rotations = list(Rotation.objects.filter(pk__in=rotation_ids))
    if not rotations:
        return {}
    ids = [rotation.pk for rotation in rotations]
    places: dict[int, list[Place]] = defaultdict(list)
    for member in RotationMember.objects.filter(rotation_id__in=ids).order_by("rotation_id", "position", "id"):
        places[member.rotation_id].append(_place(member))
    covers: dict[int, list[Cover]] = defaultdict(list)
    overrides = Override.objects.filter(rotation_id__in=ids)
    for override in overrides.filter(ends_at__gt=since) if since else overrides:
        if (cover := _cover(override)) is not None:
            covers[override.rotation_id].append(cover)
    return {
        rotation.pk: Schedule(
            zone=rotation.time_zone,
            weekday=rotation.handoff_weekday,
            handoff=rotation.handoff_time,
            starts_on=rotation.starts_on,
            places=tuple(places[rotation.pk]),
            covers=tuple(covers[rotation.pk]),
        )
        for rotation in rotations
    }


def _place(member: RotationMember) -> Place:
    return Place(member.user_id, member.position, member.effective_from, member.effective_until, member.pk)


def _cover(override: Override) -> Cover | None:
    ends_at = override.ends_at if override.cancelled_at is None else min(override.ends_at, override.cancelled_at)
    if ends_at <= override.starts_at:
        return None
    return Cover(override.user_id, override.starts_at, ends_at, override.created_at, override.pk)


def shifts_of(rotation_id: int, start: datetime, end: datetime) -> list[Shift]:
    """The shifts of one rotation inside [start, end); three queries. Empty for an unknown rotation."""
    found = schedules_of([rotation_id], since=start).get(rotation_id)
    return shifts(found, start, end) if found else []


@dataclass(frozen=True, slots=True)
class OnCallNow:
    """A rotation, who is on call in it, until when, and who follows."""

    rotation: Rotation
    user: User | None
    until: datetime | None
    next_user: User | None


def on_call_now(rotations: Iterable[Rotation], at: datetime | None = None) -> list[OnCallNow]:
    """Who is on call in each rotation, with four queries for any number."""
    at = at or now()
    rows = list(rotations)
    schedules = schedules_of([row.pk for row in rows], since=at)
    turns = {row.pk: _turns(shifts(schedules[row.pk], at, at + _LOOK_AHEAD), at) for row in rows}
    wanted = {pk for current, _, following in turns.values() for pk in (current, following) if pk is not None}
    users = User.objects.in_bulk(wanted)
    return [
        OnCallNow(
            rotation=row,
            user=users.get(turns[row.pk][0] or 0),
            until=turns[row.pk][1],
            next_user=users.get(turns[row.pk][2] or 0),
        )
        for row in rows
    ]


def _turns(found: Sequence[Shift], at: datetime) -> tuple[int | None, datetime | None, int | None]:
    """The person on call, until when without a break, and who follows."""
    if not found or found[0].starts_at > at:
        return None, None, found[0].user_id if found else None
    user_id, until = found[0].user_id, found[0].ends_at
    for shift in found[1:]:
        if shift.user_id != user_id or shift.starts_at != until:
            return user_id, until, shift.user_id
        until = shift.ends_at
    return user_id, until if until < at + _LOOK_AHEAD else None, None


class Roster:
    """Whom roles mean, read once and asked for any instant after `since` without further queries."""

    def __init__(
        self, bindings: Mapping[TeamRole, RoleBinding], schedules: Mapping[int, Schedule], active: set[int]
    ) -> None:
        self._bindings = bindings
        self._schedules = schedules
        self._active = active
        self._asked: dict[tuple[int, datetime], int | None] = {}

    def people(self, team_id: int | None, role: str, at: datetime) -> list[int]:
        """Ids of the people who answer for a role: by the team's binding, else by the one for all teams.

        Accounts that are no longer active never answer.
        """
        binding = self._bindings.get((team_id, role)) or self._bindings.get((None, role))
        if binding is None:
            return []
        user_id = binding.user_id if binding.rotation_id is None else self._on_call(binding.rotation_id, at)
        return [user_id] if user_id in self._active else []

    def _on_call(self, rotation_id: int, at: datetime) -> int | None:
        asked = (rotation_id, at)
        if asked not in self._asked:
            self._asked[asked] = who_is_on(self._schedules[rotation_id], at)
        return self._asked[asked]


def roster(pairs: Iterable[TeamRole], *, since: datetime) -> Roster:
    """All that is needed to say who answers for these (team, role) pairs from `since` on; five queries at most."""
    wanted = set(pairs)
    teams, roles = {team for team, _ in wanted if team is not None}, {role for _, role in wanted}
    rows = RoleBinding.objects.filter(Q(team_id__in=teams) | Q(team__isnull=True), role__in=roles) if roles else ()
    bindings: dict[TeamRole, RoleBinding] = {(row.team_id, row.role): row for row in rows}
    schedules = schedules_of({row.rotation_id for row in bindings.values() if row.rotation_id}, since=since)
    people = {row.user_id for row in bindings.values() if row.user_id}
    for found in schedules.values():
        people |= {place.user_id for place in found.places} | {cover.user_id for cover in found.covers}
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


def rotation_titles(keys: Iterable[str]) -> dict[str, str]:
    """Names of rotations by their text keys, in one query."""
    wanted = [int(key) for key in keys if key.isdecimal()]
    return {str(pk): name for pk, name in Rotation.objects.filter(pk__in=wanted).values_list("pk", "name")}


def rotation_url(key: str) -> str:
    """Where a rotation's page is."""
    return reverse("admin:oncall_rotation_change", args=[key])


def visible_rotation_keys(user: Any) -> QuerySet[Any, Any]:
    """Text keys of the rotations that `user` may see, for `visible_subjects`."""
    rows = visible_rotations(user).annotate(text_key=Cast("pk", CharField()))
    return rows.values_list("text_key", flat=True)
