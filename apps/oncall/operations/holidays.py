"""Holiday calendars."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

from apps.foundation.actor import Actor
from apps.foundation.clock import now
from apps.foundation.errors import Conflict, Invalid, NotFound
from apps.foundation.operations import operation
from apps.oncall.models import HolidayCalendar, Rotation
from apps.oncall.operations.checking import check_row, checked_days
from apps.oncall.operations.watching import remember
from apps.oncall.schedule import national_days
from apps.people.permissions import require


@operation
def create_holiday_calendar(
    slug: str,
    name: str,
    *,
    country: str = "",
    subdivision: str = "",
    own_days: Sequence[date | str] = (),
    actor: Actor,
) -> HolidayCalendar:
    """Make a calendar of the public holidays of a country or a part of it, and of days of one's own.

    For managers. Raises Forbidden, Conflict when the slug is taken, and Invalid for unknown codes.
    """
    require(actor, "oncall.add_holidaycalendar")
    if HolidayCalendar.objects.filter(slug=slug).exists():
        raise Conflict("This slug is taken.", code="slug_taken", fields={"slug": ["This slug is taken."]})
    calendar = HolidayCalendar(slug=slug, name=name.strip(), country=country.upper(), subdivision=subdivision.strip())
    calendar.own_days = checked_days(own_days)
    _check_calendar(calendar)
    calendar.save()
    return calendar


@operation
def update_holiday_calendar(
    calendar_id: int,
    *,
    name: str | None = None,
    country: str | None = None,
    subdivision: str | None = None,
    own_days: Sequence[date | str] | None = None,
    reason: str = "",
    actor: Actor,
) -> HolidayCalendar:
    """Change a calendar, and so when the layers that heed it work; what is not given stays, the same changes nothing.

    For managers. Raises NotFound, Forbidden, Invalid.
    """
    require(actor, "oncall.change_holidaycalendar")
    calendar = _locked(calendar_id)
    given = {
        "name": None if name is None else name.strip(),
        "country": None if country is None else country.upper(),
        "subdivision": None if subdivision is None else subdivision.strip(),
        "own_days": None if own_days is None else checked_days(own_days),
    }
    changes = {key: value for key, value in given.items() if value is not None and value != getattr(calendar, key)}
    if not changes:
        return calendar
    if set(changes) != {"name"}:
        _remember_those_who_heed(calendar, actor)
    for key, value in changes.items():
        setattr(calendar, key, value)
    _check_calendar(calendar)
    calendar.save(update_fields=list(changes))
    return calendar


@operation
def delete_holiday_calendar(calendar_id: int, *, reason: str = "", actor: Actor) -> None:
    """Delete a calendar; its history stays. For managers.

    Raises NotFound (also on a repeat), Forbidden, and Conflict while a layer heeds it.
    """
    require(actor, "oncall.delete_holidaycalendar")
    calendar = _locked(calendar_id)
    layer = calendar.layers.select_related("rotation").first()
    if layer is not None:
        raise Conflict(f"The layer {layer} heeds this calendar.", code="calendar_in_use")
    calendar.delete()


def _remember_those_who_heed(calendar: HolidayCalendar, actor: Actor) -> None:
    """Their shifts change with the calendar. Rotations are locked in the order of their ids."""
    heeding = Rotation.objects.filter(layers__holiday_calendar=calendar).exclude(layers__holiday_rule="ignore")
    ids = set(heeding.values_list("pk", flat=True))
    for rotation in Rotation.objects.select_for_update(of=("self",)).filter(pk__in=ids).order_by("pk"):
        remember(rotation, actor)


def _locked(calendar_id: int) -> HolidayCalendar:
    calendar = HolidayCalendar.objects.select_for_update().filter(pk=calendar_id).first()
    if calendar is None:
        raise NotFound("There is no such holiday calendar.")
    return calendar


def _check_calendar(calendar: HolidayCalendar) -> None:
    check_row(calendar)
    if calendar.subdivision and not calendar.country:
        sentence = "A part of a country needs the country."
        raise Invalid(sentence, fields={"subdivision": [sentence]})
    if calendar.country:
        try:
            national_days(calendar.country, calendar.subdivision, now().year)
        except NotImplementedError as error:
            field = "subdivision" if calendar.subdivision and "subdivision" in str(error) else "country"
            sentence = f"{getattr(calendar, field)!r} is not known; write ISO 3166 codes, for example DE and BE."
            raise Invalid("The country is not right.", fields={field: [sentence]}) from error
