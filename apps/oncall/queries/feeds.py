"""Whose feeds, which one an address opens, and the shifts that it shows."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from django.contrib.auth.models import AnonymousUser
from django.db.models import Min, Q, QuerySet

from apps.catalog.models import Team
from apps.oncall.models import CalendarFeed, Rotation, RotationWatch, ShiftReminder
from apps.oncall.queries.rotations import visible_rotations
from apps.oncall.queries.schedules import schedules_of
from apps.oncall.schedule import Cadence, Schedule, Shift, shifts
from apps.people.crypto import digest
from apps.people.models import User

BACK, AHEAD = timedelta(days=30), timedelta(days=180)
# So far beyond the edges of what a feed shows a shift is looked for, so that it is shown whole.
_LEAST_MARGIN, _MOST_MARGIN = timedelta(days=40), timedelta(days=367)
_DAYS = {Cadence.HOURLY: 1 / 24, Cadence.DAILY: 1, Cadence.WEEKLY: 7, Cadence.MONTHLY: 31}
MOST_ROTATIONS = 100
MOST_EVENTS = 2000


@dataclass(frozen=True, slots=True)
class FeedShift:
    """A shift in a feed; `anchor` is an instant by which the same shift is known the next time."""

    rotation: Rotation
    shift: Shift
    anchor: datetime
    changed_at: datetime


def visible_feeds(user: User | AnonymousUser) -> QuerySet[CalendarFeed]:
    """One's own feeds; all with `oncall.view_calendarfeed`."""
    rows = CalendarFeed.objects.select_related("owner", "rotation", "team")
    return rows if user.has_perm("oncall.view_calendarfeed") else rows.filter(owner_id=user.pk or 0)


def feed_by_token(token: str) -> CalendarFeed | None:
    """The feed that this token opens now; None for a wrong, an old or a revoked one, and for a closed account's.

    Found by the digest of the whole token, so how long it takes says nothing of how much of it was right.
    """
    rows = CalendarFeed.objects.select_related("owner", "rotation", "team")
    return rows.filter(digest=digest(token), revoked_at__isnull=True, owner__is_active=True).first()


def reminder_of(user: User | AnonymousUser) -> str:
    """How long before a shift this person is reminded."""
    found = ShiftReminder.objects.filter(user_id=user.pk or 0).values_list("lead", flat=True).first()
    return found or str(ShiftReminder.Lead.DAY)


def feed_rotations(feed: CalendarFeed) -> list[Rotation]:
    """The rotations that a feed shows: as far as its owner may see them; for a person, those that may put them on."""
    rows = visible_rotations(feed.owner)
    if feed.rotation_id is not None:
        rows = rows.filter(pk=feed.rotation_id)
    elif feed.team_id is not None:
        rows = rows.filter(team_id=feed.team_id)
    else:
        rows = rotations_of(rows, [feed.owner_id])
    return list(rows.order_by("pk")[:MOST_ROTATIONS])


def rotations_of(rows: QuerySet[Rotation], user_ids: Sequence[int]) -> QuerySet[Rotation]:
    """Those of `rows` that put one of these people on call at some time, in turns, by a cover or besides."""
    ids = list(user_ids)
    return rows.filter(
        Q(pk__in=Rotation.objects.filter(layers__members__user__in=ids).values("pk"))
        | Q(pk__in=Rotation.objects.filter(overrides__user__in=ids).values("pk"))
        | Q(pk__in=Rotation.objects.filter(coverages__user__in=ids).values("pk"))
    )


def feed_shifts(feed: CalendarFeed, rotations: Sequence[Rotation], at: datetime) -> list[FeedShift]:
    """The shifts from 30 days ago, to the day, until 180 days ahead, in order; nine queries.

    Of more than 2000 only those that are nearest to today: first what is to come.
    """
    today = at.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    start, end = today - BACK, today + AHEAD
    schedules = schedules_of([rotation.pk for rotation in rotations], since=start - _MOST_MARGIN)
    only = feed.owner_id if feed.rotation_id is None and feed.team_id is None else None
    found = [
        (rotation, shift, anchor)
        for rotation in rotations
        for shift, anchor in _whole_shifts(schedules[rotation.pk], start, end)
        if only in {None, shift.user_id}
    ]
    found.sort(key=_order)
    if len(found) > MOST_EVENTS:
        coming = [item for item in found if item[1].ends_at > today]
        past = [item for item in reversed(found) if item[1].ends_at <= today]
        found = sorted([*coming, *past][:MOST_EVENTS], key=_order)
    changed = dict(RotationWatch.objects.filter(pk__in=schedules).values_list("pk", "changed_at"))
    renamed = _renamed(rotations, [shift for _, shift, _ in found])
    return [
        FeedShift(
            rotation=rotation,
            shift=shift,
            anchor=anchor,
            changed_at=max(
                [
                    changed.get(rotation.pk, feed.created_at),
                    *(renamed[named] for named in _named_in(rotation, shift) if named in renamed),
                ]
            ),
        )
        for rotation, shift, anchor in found
    ]


def _whole_shifts(schedule: Schedule, start: datetime, end: datetime) -> Iterator[tuple[Shift, datetime]]:
    """The shifts that reach into [start, end), each as long as it is, with its anchor.

    Looked for as far beyond the edges as the longest of this rotation lasts, within reason: time is what costs.
    """
    turns = [timedelta(days=_DAYS[layer.cadence] * layer.every) for layer in schedule.layers]
    covers = [row.ends_at - row.starts_at for row in schedule.covers if row.ends_at > start]
    besides = [row.ends_at - row.starts_at for row in schedule.coverages if row.ends_at > start]
    longest = max([*turns, *covers, *besides], default=_LEAST_MARGIN)
    margin = min(max(longest, _LEAST_MARGIN), _MOST_MARGIN)
    for shift in shifts(schedule, start - margin, end + margin):
        # What was cancelled within its first second would end when it begins.
        lasts = int(shift.starts_at.timestamp()) < int(shift.ends_at.timestamp())
        if lasts and shift.starts_at < end and shift.ends_at > start:
            # What is cut at the edge begins elsewhere tomorrow, but ends where it did.
            yield shift, shift.starts_at if shift.starts_at > start - margin else shift.ends_at


def _named_in(rotation: Rotation, shift: Shift) -> list[tuple[str, int]]:
    people = [pk for pk in (shift.user_id, shift.replaces) if pk is not None]
    return [("rotation", rotation.pk), ("team", rotation.team_id), *(("user", pk) for pk in people)]


def _renamed(rotations: Sequence[Rotation], found: Sequence[Shift]) -> dict[tuple[str, int], datetime]:
    """When each of them that was ever renamed got its last new name; three queries."""
    people = {pk for shift in found for pk in (shift.user_id, shift.replaces) if pk is not None}
    wanted: list[tuple[str, Any, set[int], list[str]]] = [
        ("rotation", Rotation, {row.pk for row in rotations}, ["name"]),
        ("team", Team, {row.team_id for row in rotations}, ["name"]),
        ("user", User, people, ["display_name", "first_name", "last_name", "username"]),
    ]
    since: dict[tuple[str, int], list[datetime]] = defaultdict(list)
    for kind, model, ids, names in wanted:
        rows = model.history.filter(id__in=ids).order_by().values("id", *names).annotate(since=Min("history_date"))
        for row in rows:
            since[kind, row["id"]].append(row["since"])
    return {named: max(times) for named, times in since.items() if len(times) > 1}


def _order(item: tuple[Rotation, Shift, datetime]) -> tuple[datetime, int, int]:
    rotation, shift, _ = item
    return (shift.starts_at, rotation.pk, shift.user_id)
