"""Before anything changes who is on call: remember how it was, so that people can be told what changed."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from datetime import UTC, datetime, timedelta

from apps.engine.models import Timer
from apps.engine.timers import NewTimer, schedule_many
from apps.foundation.actor import Actor
from apps.foundation.clock import now
from apps.oncall.models import Rotation, RotationWatch
from apps.oncall.queries.schedules import schedules_of
from apps.oncall.schedule import Shift, shifts

NOTICE = "oncall.notice"
BUNDLE = timedelta(minutes=3)  # many edits in a row are one message
GIVEN_UP = timedelta(hours=1)
WATCHED = timedelta(weeks=6)
_MOST_NAMES = 10

Stretch = tuple[datetime, datetime]


def remember(rotation: Rotation, actor: Actor, *, told: Collection[int] = (), as_open: int | None = None) -> None:
    """Keep the shifts to come as they are now; people hear three minutes after the first change what became of them.

    Call it in the change's transaction, with the rotation locked, before the first write; when an account is closed
    already, `as_open` names it. `told` are people who hear of this change in another way. Further changes until then
    join the same notice, at the cost of one row. What the portal itself loads is told to nobody, but people are
    reminded of it. One computation of six weeks for each bundle, however many the changes.
    """
    watch, _ = RotationWatch.objects.select_for_update().get_or_create(rotation=rotation)
    at = now()
    if watch.remind_at > at and not actor.is_system:
        # Nothing was due until now: what the change makes due in hindsight is told by its notice alone.
        watch.reminded_until = at
    watch.changed_at = watch.remind_at = at
    if not actor.is_system:
        knows = {user_id for user_id in (actor.user_id, *told) if user_id is not None}
        if watch.since is None:
            watch.since, watch.before, watch.changed_by = at, snapshot(rotation.pk, at, as_open), []
            watch.knows = sorted(knows)
            _tell_later(watch, at)
        elif _went_wrong(watch, at):
            watch.knows = []
            _tell_later(watch, at)
        else:
            watch.knows = sorted(knows & set(watch.knows))
        if actor.name not in watch.changed_by and len(watch.changed_by) < _MOST_NAMES:
            watch.changed_by = [*watch.changed_by, actor.name]
    watch.save()


def _tell_later(watch: RotationWatch, at: datetime) -> None:
    watch.run += 1
    schedule_many([NewTimer(NOTICE, str(watch.pk), watch.run, 1, at + BUNDLE)])


def _went_wrong(watch: RotationWatch, at: datetime) -> bool:
    """Whether the notice of this bundle was given up, so that nobody would ever be told of it, nor of later ones."""
    if watch.since is None or watch.since > at - GIVEN_UP:
        return False
    waiting = Timer.objects.filter(kind=NOTICE, key=str(watch.pk), run=watch.run, state=Timer.State.PENDING)
    return not waiting.exists()


def snapshot(rotation_id: int, at: datetime, as_open: int | None = None) -> list[list[object]]:
    """The shifts of the weeks to come as rows of JSON: person, start and end as whole seconds."""
    schedule = schedules_of([rotation_id], since=at, at=at, as_open=as_open)[rotation_id]
    found = shifts(schedule, at, at + WATCHED)
    return [
        [user_id, int(begins.timestamp()), int(ends.timestamp())]
        for user_id, stretches in by_person(found).items()
        for begins, ends in stretches
    ]


def by_person(found: Iterable[Shift]) -> dict[int, list[Stretch]]:
    """When each person is on, in order; shifts that touch are one."""
    of: dict[int, list[Stretch]] = {}
    for shift in found:
        theirs = of.setdefault(shift.user_id, [])
        if theirs and theirs[-1][1] >= shift.starts_at:
            theirs[-1] = (theirs[-1][0], max(theirs[-1][1], shift.ends_at))
        else:
            theirs.append((shift.starts_at, shift.ends_at))
    return of


def remembered(watch: RotationWatch) -> dict[int, list[Stretch]]:
    """What `snapshot` kept."""
    of: dict[int, list[Stretch]] = {}
    for user_id, begins, ends in watch.before:
        stretch = (datetime.fromtimestamp(begins, UTC), datetime.fromtimestamp(ends, UTC))
        of.setdefault(int(user_id), []).append(stretch)
    return of
