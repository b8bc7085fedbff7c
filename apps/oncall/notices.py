"""Notices of changed shifts and reminders of coming ones: what a timer and a sweep do about each rotation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from django.db import transaction
from django.urls import reverse

from apps.engine.registry import DueTimer, Locked, TimerKind
from apps.foundation.clock import now
from apps.foundation.subjects import Subject
from apps.oncall.messages import lines, moment, stretch_text, tell
from apps.oncall.models import Rotation, RotationWatch, ShiftReminder
from apps.oncall.operations.watching import NOTICE, WATCHED, Stretch, by_person, remembered
from apps.oncall.queries.schedules import schedules_of
from apps.oncall.schedule import Schedule, shifts
from apps.people.models import User

REMIND_TASK = "oncall.remind"
BATCH = 50
_LEADS = {ShiftReminder.Lead.HOUR: timedelta(hours=1), ShiftReminder.Lead.DAY: timedelta(days=1)}
_LOOK = timedelta(days=8)


def lock(keys: Sequence[str]) -> dict[str, Locked]:
    """Lock what is remembered of the rotations, unless a change of one is under way."""
    rows = RotationWatch.objects.select_for_update(skip_locked=True, of=("self",)).filter(pk__in=_ids(keys))
    return {str(row.pk): Locked(row, row.run) for row in rows.order_by("pk")}


def exists(keys: Sequence[str]) -> set[str]:
    """Which of the rotations are still there."""
    return {str(pk) for pk in RotationWatch.objects.filter(pk__in=_ids(keys)).values_list("pk", flat=True)}


def fire(due: Sequence[DueTimer]) -> None:
    """Tell everybody whose shifts changed since the first change of the bundle; what was undone meanwhile is none."""
    watches: list[RotationWatch] = [item.subject for item in due if item.subject.since is not None]
    at = now()
    schedules = schedules_of([watch.pk for watch in watches], since=at, at=at)
    rotations = Rotation.objects.select_related("team").in_bulk([watch.pk for watch in watches])
    for watch in watches:
        if watch.pk in rotations:
            _tell_changes(watch, rotations[watch.pk], schedules[watch.pk], at)
        watch.since, watch.before, watch.knows, watch.changed_by = None, [], [], []
        watch.save(update_fields=["since", "before", "knows", "changed_by"])


KIND = TimerKind(name=NOTICE, lock=lock, exists=exists, fire=fire, queue="bulk")


def _ids(keys: Sequence[str]) -> list[int]:
    return [int(key) for key in keys]


def _tell_changes(watch: RotationWatch, rotation: Rotation, schedule: Schedule, at: datetime) -> None:
    end = (watch.since or at) + WATCHED
    before = {user_id: _inside(found, at, end) for user_id, found in remembered(watch).items()}
    after = by_person(shifts(schedule, at, end))
    changed = {
        user_id
        for user_id in {*before, *after} - set(watch.knows)
        if [*_whole(before.get(user_id, []))] != [*_whole(after.get(user_id, []))]
    }
    if not changed:
        return
    who = " and ".join(watch.changed_by) or "somebody"

    def write(user: User, zone: ZoneInfo) -> tuple[str, str]:
        was, will = before.get(user.pk, []), after.get(user.pk, [])
        return _title(rotation, was, will), _text(rotation, who, was, will, zone)

    key = f"oncall-changed:{rotation.pk}:{watch.run}"
    tell(changed, key=key, subject=Subject("rotation", str(rotation.pk)), path=calendar_path(rotation, at), write=write)


def _inside(found: Sequence[Stretch], start: datetime, end: datetime) -> list[Stretch]:
    return [(max(begins, start), min(ends, end)) for begins, ends in found if begins < end and ends > start]


def _whole(found: Sequence[Stretch]) -> list[tuple[int, int]]:
    """Compared by the second, as they were kept."""
    return [(int(begins.timestamp()), int(ends.timestamp())) for begins, ends in found]


def _title(rotation: Rotation, was: Sequence[Stretch], will: Sequence[Stretch]) -> str:
    if not was:
        return f"You are on call in {rotation.name}: new shifts"
    return f"You are no longer on call in {rotation.name}" if not will else f"Your shifts in {rotation.name} changed"


def _text(rotation: Rotation, who: str, was: Sequence[Stretch], will: Sequence[Stretch], zone: ZoneInfo) -> str:
    """What is gone and what is new, and how it stands now; what stayed is not repeated."""
    stay = set(_whole(was)) & set(_whole(will))
    gone, new = ([each for each in found if not stay.issuperset(_whole([each]))] for found in (was, will))
    parts = [f"{who} changed who is on call in {rotation.name} ({rotation.team.name}). Times are in {zone}.", ""]
    if gone:
        parts += ["Before:", *lines(gone, zone), ""]
    if new:
        parts += ["Now:", *lines(new, zone), ""]
    following = will[0] if will else None
    parts += [f"Your next shift: {stretch_text(*following, zone)}." if following else "You have no shift in six weeks."]
    return "\n".join(parts)


def calendar_path(rotation: Rotation, at: datetime) -> str:
    """The calendar page of a rotation in the week of an instant."""
    return f"{reverse('admin:oncall_rotation_calendar')}?rotation={rotation.pk}&date={at:%Y-%m-%d}"


def tell_deleted(rotation: Rotation, schedule: Schedule, *, actor_id: int | None, by: str) -> None:
    """At once, since nothing of it will be left: whose shifts go with a rotation that is deleted."""
    at = now()
    found = by_person(shifts(schedule, at, at + WATCHED))
    name = rotation.name

    def write(user: User, zone: ZoneInfo) -> tuple[str, str]:
        text = [f"{by} deleted the rotation {name}. These shifts of yours are gone; times are in {zone}.", ""]
        return f"You are no longer on call in {name}", "\n".join([*text, *lines(found[user.pk], zone)])

    path = reverse("admin:oncall_rotation_calendar")
    tell(set(found) - {actor_id}, key=f"oncall-deleted:{rotation.pk}", subject=Subject("", ""), path=path, write=write)


# --- reminders ---


def reminders_due(at: datetime) -> bool:
    """One or two cheap queries: is there a rotation to look at?"""
    return (
        RotationWatch.objects.filter(remind_at__lte=at).exists() or Rotation.objects.filter(watch__isnull=True).exists()
    )


def remind() -> int:
    """Remind whose shift begins in a day or an hour, as they wish, of up to 50 rotations; each shift once.

    A shift that somebody got when its reminder was due already is told by the notice of the change alone.
    """
    with transaction.atomic():
        at = now()
        fresh = Rotation.objects.filter(watch__isnull=True)[:BATCH]
        RotationWatch.objects.bulk_create(
            [RotationWatch(rotation=rotation, changed_at=at, reminded_until=at, remind_at=at) for rotation in fresh],
            ignore_conflicts=True,
        )
        rows = RotationWatch.objects.select_for_update(skip_locked=True, of=("self",)).filter(remind_at__lte=at)
        watches = list(rows.select_related("rotation__team").order_by("remind_at", "pk")[:BATCH])
        schedules = schedules_of([watch.pk for watch in watches], since=at, at=at)
        leads = _leads({user_id for found in schedules.values() for user_id in found.user_ids()})
        for watch in watches:
            watch.remind_at = _remind(watch, schedules[watch.pk], leads, at)
            watch.reminded_until = at
        RotationWatch.objects.bulk_update(watches, ["remind_at", "reminded_until"])
    return len(watches)


def _leads(user_ids: set[int]) -> dict[int, timedelta | None]:
    rows = ShiftReminder.objects.filter(user_id__in=user_ids).values_list("user_id", "lead")
    return {user_id: _LEADS.get(ShiftReminder.Lead(lead)) for user_id, lead in rows}


def _remind(watch: RotationWatch, schedule: Schedule, leads: Mapping[int, timedelta | None], at: datetime) -> datetime:
    """Send what fell due since the last look; when to look again."""
    following, day = at + _LOOK - timedelta(days=1), timedelta(days=1)
    for user_id, stretches in by_person(shifts(schedule, at, at + _LOOK)).items():
        lead = leads.get(user_id, day)
        if lead is None:
            continue
        for begins, ends in stretches:
            due = begins - lead
            if due > at:
                following = min(following, due)
            elif begins > at and due > watch.reminded_until:
                _tell_soon(watch.rotation, user_id, begins, ends)
    return following


def _tell_soon(rotation: Rotation, user_id: int, begins: datetime, ends: datetime) -> None:
    def write(user: User, zone: ZoneInfo) -> tuple[str, str]:
        title = f"Your shift in {rotation.name} begins {moment(begins, zone)}"
        text = f"You are on call in {rotation.name} ({rotation.team.name}) from {stretch_text(begins, ends, zone)}."
        return title, f"{text} Times are in {zone}. Nobody for it? Offer it in the calendar."

    key = f"oncall-soon:{rotation.pk}:{int(begins.timestamp())}"
    tell(
        [user_id],
        key=key,
        subject=Subject("rotation", str(rotation.pk)),
        path=calendar_path(rotation, begins),
        write=write,
    )
