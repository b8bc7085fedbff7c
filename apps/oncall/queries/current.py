"""Who is on call now, until when, and who follows."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from apps.foundation.clock import now
from apps.oncall.models import Rotation
from apps.oncall.queries.feeds import rotations_of
from apps.oncall.queries.rotations import visible_rotations
from apps.oncall.queries.schedules import schedules_of
from apps.oncall.schedule import Schedule, Shift, shifts
from apps.people.models import User

_FAR = timedelta(days=60)
_MOST_OF_MINE = 50
_LOOKS = (timedelta(days=2), timedelta(days=9), _FAR)  # most questions are answered by a short look, which is cheap


@dataclass(frozen=True, slots=True)
class OnCallNow:
    """A rotation, who has the duty in it, until when, who follows, and who is on call besides."""

    rotation: Rotation
    user: User | None
    until: datetime | None
    next_user: User | None
    also: list[User] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _Turn:
    on: int | None
    until: datetime | None
    following: int | None
    also: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class NextShift:
    """The shift of somebody that runs, or the next one; `until` is None where it lasts longer than anybody looks."""

    rotation: Rotation
    shift: Shift
    runs: bool
    until: datetime | None


def next_shift_of(user: User, at: datetime | None = None) -> NextShift | None:
    """The first shift of a person that is not over, in the next 60 days, in rotations that they may see; six queries.

    Of shifts that run, the one that ends first.
    """
    at = at or now()
    rows = {row.pk: row for row in rotations_of(visible_rotations(user), [user.pk]).order_by("pk")[:_MOST_OF_MINE]}
    schedules = schedules_of(list(rows), since=at, at=at)
    for look in _LOOKS:
        mine = [
            NextShift(rows[pk], shift, shift.starts_at <= at, shift.ends_at if shift.ends_at < at + look else None)
            for pk, schedule in schedules.items()
            for shift in shifts(schedule, at, at + look)
            if shift.user_id == user.pk
        ]
        first = min(
            mine, key=lambda found: (found.shift.starts_at, found.shift.ends_at, found.rotation.pk), default=None
        )
        if first is not None and (first.until is not None or look == _FAR):
            return first
    return None


def on_call_now(rotations: Iterable[Rotation], at: datetime | None = None) -> list[OnCallNow]:
    """Who is on call in each rotation, with six queries for any number."""
    at = at or now()
    rows = list(rotations)
    schedules = schedules_of([row.pk for row in rows], since=at, at=at)
    turns = {pk: _current(found, at) for pk, found in schedules.items()}
    wanted = {pk for turn in turns.values() for pk in (turn.on, turn.following, *turn.also) if pk is not None}
    users = User.objects.in_bulk(wanted)
    return [
        OnCallNow(
            rotation=row,
            user=users.get(turns[row.pk].on or 0),
            until=turns[row.pk].until,
            next_user=users.get(turns[row.pk].following or 0),
            also=[users[pk] for pk in turns[row.pk].also if pk in users],
        )
        for row in rows
    ]


def _current(schedule: Schedule, at: datetime) -> _Turn:
    for look in _LOOKS:
        found = shifts(schedule, at, at + look)
        turn = _turn(found, at)
        if turn.following is not None:
            break
    return turn if turn.until is None or turn.until < at + _FAR else _Turn(turn.on, None, None, turn.also)


def _turn(found: Sequence[Shift], at: datetime) -> _Turn:
    """The person on duty, until when without a break, and who follows; coverage only says who is on besides."""
    also = tuple(shift.user_id for shift in found if shift.coverage_id is not None and shift.starts_at <= at)
    duties = [shift for shift in found if shift.coverage_id is None]
    if not duties or duties[0].starts_at > at:
        return _Turn(None, None, duties[0].user_id if duties else None, also)
    user_id, until = duties[0].user_id, duties[0].ends_at
    for shift in duties[1:]:
        if shift.user_id != user_id or shift.starts_at != until:
            return _Turn(user_id, until, shift.user_id, also)
        until = shift.ends_at
    return _Turn(user_id, until, None, also)
