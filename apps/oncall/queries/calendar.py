"""All that a calendar of several rotations shows in a window, with a constant number of queries."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

from django.db.models import Q

from apps.foundation.clock import now
from apps.oncall.models import Layer, RoleBinding, Rotation, Swap
from apps.oncall.queries.feeds import rotations_of
from apps.oncall.queries.schedules import schedules_of
from apps.oncall.schedule import Clash, HolidayRule, Schedule, Shift, clashes, own_turns, shifts, unmanned
from apps.oncall.schedule.spans import Span
from apps.people.models import User

# Whoever is on in many rotations is looked for in so many more of them.
MOST_OTHERS = 200


@dataclass(frozen=True, slots=True)
class LayerLine:
    """One layer's own turns, before others lie upon it."""

    layer_id: int
    name: str
    shifts: list[Shift]


@dataclass(frozen=True, slots=True)
class RotationPlan:
    """A rotation's final shifts, its layers, and where nobody is on: by mistake or as planned."""

    rotation: Rotation
    shifts: list[Shift]
    layers: list[LayerLine]
    gaps: list[Span]
    rests: list[Span]
    roles: list[str]


@dataclass(frozen=True, slots=True)
class CalendarPlan:
    """The window's rotations, who is who, and what is to be marked."""

    start: datetime
    end: datetime
    rotations: list[RotationPlan]
    users: dict[int, User]
    clashes: list[Clash]
    others: dict[int, Rotation]
    holidays: dict[date, list[str]]
    swapped: set[int]
    offers: list[Swap]
    roles: dict[int, list[str]] = field(default_factory=dict)


def calendar_plan(
    rotations: Sequence[Rotation], start: datetime, end: datetime, *, only: int | None = None, with_layers: bool = True
) -> CalendarPlan:
    """What to show of these rotations in [start, end); `only` keeps one person's shifts. Some twenty queries.

    Double bookings are also looked for in other rotations of the people who are shown.
    """
    schedules = schedules_of([rotation.pk for rotation in rotations], since=start)
    finals = {pk: shifts(schedule, start, end) for pk, schedule in schedules.items()}
    people = {shift.user_id for found in finals.values() for shift in found if only in {None, shift.user_id}}
    around, others = _elsewhere(people, {rotation.pk for rotation in rotations}, start, end)
    clashing = [clash for clash in clashes({**finals, **around}) if clash.user_id in people]
    roles = _roles([*schedules, *others])
    plans = [
        _plan(row, schedules[row.pk], finals[row.pk], (start, end), roles.get(row.pk, []), with_layers=with_layers)
        for row in rotations
    ]
    if only is not None:
        plans = [_kept(plan, only) for plan in plans]
    wanted = {
        user_id for plan in plans for line in (plan.shifts, *(layer.shifts for layer in plan.layers))
        for shift in line for user_id in (shift.user_id, shift.replaces) if user_id is not None
    }  # fmt: skip
    covers = {shift.cover_id for found in finals.values() for shift in found if shift.cover_id}
    offers = Swap.objects.filter(
        Q(state__in=[Swap.State.OPEN, Swap.State.TO_APPROVE], ends_at__gt=max(start, now()), starts_at__lt=end),
        rotation__in=list(schedules),
    ).select_related("user", "asked", "rotation")
    return CalendarPlan(
        start=start,
        end=end,
        rotations=plans,
        users=User.objects.in_bulk(wanted | people),
        clashes=clashing,
        others={**others, **{row.pk: row for row in rotations}},
        holidays=_holidays(rotations, schedules, start, end),
        swapped=set(Swap.objects.filter(override_id__in=covers).values_list("override_id", flat=True)),
        offers=[offer for offer in offers.order_by("starts_at", "pk")[:100] if only in {None, offer.user_id}],
        roles=roles,
    )


def _elsewhere(
    people: set[int], shown: set[int], start: datetime, end: datetime
) -> tuple[dict[int, list[Shift]], dict[int, Rotation]]:
    """The shifts of these people in rotations that are not shown."""
    rows = rotations_of(Rotation.objects.exclude(pk__in=shown).select_related("team"), list(people))
    others = {row.pk: row for row in rows.order_by("pk")[:MOST_OTHERS]}
    found = {
        pk: [shift for shift in shifts(schedule, start, end) if shift.user_id in people]
        for pk, schedule in schedules_of(others, since=start).items()
    }
    return found, others


def _plan(
    rotation: Rotation, schedule: Schedule, found: list[Shift], window: Span, roles: list[str], *, with_layers: bool
) -> RotationPlan:
    missing, resting = unmanned(schedule, found, *window)
    ordered = sorted(schedule.layers, key=lambda layer: (-layer.priority, -layer.layer_id)) if with_layers else []
    lines = [LayerLine(layer.layer_id, layer.name, own_turns(schedule, layer, *window)) for layer in ordered]
    return RotationPlan(rotation, found, lines, missing, resting, roles)


def _kept(plan: RotationPlan, user_id: int) -> RotationPlan:
    """The same with one person's shifts only."""
    mine = [shift for shift in plan.shifts if shift.user_id == user_id]
    return RotationPlan(plan.rotation, mine, [], [], [], plan.roles)


def _roles(rotation_ids: Sequence[int]) -> dict[int, list[str]]:
    found: dict[int, list[str]] = defaultdict(list)
    rows = RoleBinding.objects.filter(rotation__in=rotation_ids).order_by("role")
    for rotation_id, role in rows.values_list("rotation_id", "role"):
        if role not in found[rotation_id]:
            found[rotation_id].append(role)
    return dict(found)


def _holidays(
    rotations: Sequence[Rotation], schedules: dict[int, Schedule], start: datetime, end: datetime
) -> dict[date, list[str]]:
    """The holidays that a shown layer heeds, by day, with the names of their calendars."""
    ids = [row.pk for row in rotations]
    rows = Layer.objects.filter(rotation__in=ids, holiday_calendar__isnull=False).exclude(holiday_rule="ignore")
    names: dict[int, str] = dict(rows.values_list("pk", "holiday_calendar__name"))
    found: dict[date, set[str]] = defaultdict(set)
    seen: set[str] = set()
    for schedule in schedules.values():
        for layer in schedule.layers:
            name = names.get(layer.layer_id)
            if name is None or name in seen or layer.holidays is None or layer.holiday_rule is HolidayRule.IGNORE:
                continue
            seen.add(name)
            day = start.astimezone(ZoneInfo(layer.zone)).date() - timedelta(days=1)
            while day <= end.astimezone(ZoneInfo(layer.zone)).date():
                if layer.holidays.includes(day):
                    found[day].add(name)
                day += timedelta(days=1)
    return {day: sorted(called) for day, called in found.items()}
