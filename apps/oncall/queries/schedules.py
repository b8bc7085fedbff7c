"""Schedules out of rows."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from datetime import date, datetime, time
from typing import Any

from django.db.models import F, Q, QuerySet

from apps.foundation.clock import now
from apps.oncall import schedule as terms
from apps.oncall.models import Coverage, HolidayCalendar, Layer, Override, Pause, RotationMember
from apps.oncall.schedule import Schedule, Shift, shifts


def schedules_of(
    rotation_ids: Collection[int],
    *,
    since: datetime | None = None,
    at: datetime | None = None,
    as_open: int | None = None,
) -> dict[int, Schedule]:
    """The schedules of rotations, with five queries for any number; that of an unknown one is empty.

    Overrides and coverage that ended before `since` are not read. A cancelled one counts until it was cancelled. One of
    an account that is closed counts until it was closed, and not from `at` on: whoever had the duty before has it
    again. Whoever asks who is on call at an instant gives that instant, which is a little older than this reading.
    `as_open` is an account that counts as if it were open.
    """
    ids = set(rotation_ids)
    if not ids:
        return {}
    places: dict[int, list[terms.Place]] = defaultdict(list)
    for member in RotationMember.objects.filter(layer__rotation_id__in=ids).order_by("position", "id"):
        places[member.layer_id].append(_place(member))
    layers: dict[int, list[terms.Layer]] = defaultdict(list)
    for layer in Layer.objects.filter(rotation_id__in=ids).select_related("holiday_calendar"):
        layers[layer.rotation_id].append(layer_terms(layer, places[layer.pk]))
    pauses: dict[int, list[terms.Pause]] = defaultdict(list)
    for pause in Pause.objects.filter(rotation_id__in=ids):
        pauses[pause.rotation_id].append(terms.Pause(pause.starts_at, pause.ends_at, pause.user_id))
    still = Q(ends_at__gt=since) if since else Q()
    covers: dict[int, list[terms.Cover]] = defaultdict(list)
    for override in _with_accounts(Override.objects.filter(still, rotation_id__in=ids), as_open):
        if (ends_at := _real_end(override, at)) > override.starts_at:
            covers[override.rotation_id].append(_cover(override, ends_at))
    coverages: dict[int, list[terms.Coverage]] = defaultdict(list)
    for coverage in _with_accounts(Coverage.objects.filter(still, rotation_id__in=ids), as_open):
        if (ends_at := _real_end(coverage, at)) > coverage.starts_at:
            found = terms.Coverage(coverage.user_id, coverage.starts_at, ends_at, coverage.pk, coverage.reason)
            coverages[coverage.rotation_id].append(found)
    return {pk: Schedule(tuple(layers[pk]), tuple(covers[pk]), tuple(coverages[pk]), tuple(pauses[pk])) for pk in ids}


def shifts_of(rotation_id: int, start: datetime, end: datetime) -> list[Shift]:
    """The shifts of one rotation inside [start, end); five queries. Empty for an unknown rotation."""
    return shifts(schedules_of([rotation_id], since=start)[rotation_id], start, end)


def holidays_of_year(calendar: HolidayCalendar, year: int) -> list[date]:
    """The days of a calendar in one year, in order."""
    own = {day for text in calendar.own_days if (day := date.fromisoformat(text)).year == year}
    public = terms.national_days(calendar.country, calendar.subdivision, year) if calendar.country else frozenset()
    return sorted(own | public)


def layer_terms(layer: Layer, places: Iterable[terms.Place] = ()) -> terms.Layer:
    """A layer's row as the pure function takes it."""
    return terms.Layer(
        zone=layer.time_zone,
        handoff=layer.handoff_time,
        starts_on=layer.starts_on,
        places=tuple(places),
        cadence=terms.Cadence(layer.cadence),
        every=layer.every,
        weekday=layer.handoff_weekday,
        day=layer.handoff_day,
        restrictions=tuple(_restriction(row) for row in layer.restrictions),
        holidays=_holidays(layer.holiday_calendar) if layer.holiday_calendar else None,
        holiday_rule=terms.HolidayRule(layer.holiday_rule),
        priority=layer.priority,
        layer_id=layer.pk or 0,
        name=layer.name,
    )


def _place(member: RotationMember) -> terms.Place:
    return terms.Place(member.user_id, member.position, member.effective_from, member.effective_until, member.pk)


def _restriction(row: Mapping[str, Any]) -> terms.Restriction:
    starts, ends = time.fromisoformat(row["starts"]), time.fromisoformat(row["ends"])
    return terms.Restriction(frozenset(row["weekdays"]), starts, ends)


def _holidays(calendar: HolidayCalendar) -> terms.Holidays:
    own_days = frozenset(date.fromisoformat(day) for day in calendar.own_days)
    return terms.Holidays(calendar.country, calendar.subdivision, own_days)


def _with_accounts(rows: QuerySet[Any], as_open: int | None) -> Iterable[Any]:
    """With whether the account of each is open, and since when it is not, in the same query."""
    found = rows.annotate(account_is_active=F("user__is_active"), account_closed_at=F("user__closed_at"))
    for row in found:
        row.account_is_active = row.account_is_active or row.user_id == as_open
        yield row


def _real_end(row: Any, at: datetime | None) -> datetime:
    """When it stops counting: who was on call in the past stays true, whatever became of the account since."""
    ends: datetime = row.ends_at if row.cancelled_at is None else min(row.ends_at, row.cancelled_at)
    if row.account_is_active:
        return ends
    ends = min(ends, row.account_closed_at or now())
    return ends if at is None else min(ends, at)


def _cover(override: Override, ends_at: datetime) -> terms.Cover:
    return terms.Cover(
        override.user_id,
        override.starts_at,
        ends_at,
        override.created_at,
        override.pk,
        override.replaces_id,
        override.reason,
    )
