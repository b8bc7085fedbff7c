"""What the verbs of this app have in common: locking, loading and checking."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from django.core.exceptions import ValidationError
from django.db.models import Model

from apps.engine.operations import publish
from apps.foundation.actor import Actor
from apps.foundation.clock import now
from apps.foundation.errors import Invalid, NotFound
from apps.foundation.subjects import Subject
from apps.oncall.events import RotationChanged
from apps.oncall.models import Rotation
from apps.people.models import User

_JUST_NOW = timedelta(minutes=1)
FIRST_YEAR, LAST_YEAR = 1980, 2200
LONGEST_INTERVAL = timedelta(days=366)
MOST_RESTRICTIONS = 50


def locked_rotation(rotation_id: int) -> Rotation:
    """The rotation with its team, its row locked. Raises NotFound."""
    rows = Rotation.objects.select_for_update(of=("self",)).select_related("team")
    rotation = rows.filter(pk=rotation_id).first()
    if rotation is None:
        raise NotFound("There is no such rotation.")
    return rotation


def active_user(user_id: int) -> User:
    """A person whose account is active. Raises NotFound."""
    user = User.objects.filter(pk=user_id, is_active=True, kind=User.Kind.PERSON).first()
    if user is None:
        raise NotFound("There is no such active person.", fields={"user": ["There is no such active person."]})
    return user


def check_row(row: Model) -> None:
    """Field rules of the model, as our own error. Constraints of one row are the database's."""
    try:
        row.full_clean()
    except ValidationError as error:
        raise Invalid("Some of this is not right.", fields=_sentences(error)) from error


def _sentences(error: ValidationError) -> dict[str, list[str]]:
    found: dict[str, Any] = error.message_dict
    return {("non_field_errors" if name == "__all__" else name): list(texts) for name, texts in found.items()}


def check_zone(name: str) -> None:
    """Raise Invalid for a name that is no IANA time zone here."""
    try:
        ZoneInfo(name)
    except (KeyError, OSError, ValueError) as error:  # unknown names are KeyErrors, paths and NULs the others
        sentence = f"{name!r} is no IANA time zone; one is Europe/Berlin."
        raise Invalid("The time zone is not right.", fields={"time_zone": [sentence]}) from error


def check_instant(at: datetime, field: str) -> None:
    """Raise Invalid for an instant without a time zone, or beyond what calendars can hold."""
    if at.tzinfo is None:
        raise Invalid("An instant needs a time zone.", fields={field: ["Give a time zone."]})
    check_year(at.year, field)


def check_year(year: int, field: str) -> None:
    """Raise Invalid for a year with which clocks and databases disagree."""
    if not FIRST_YEAR <= year <= LAST_YEAR:
        sentence = f"The year must be from {FIRST_YEAR} to {LAST_YEAR}."
        raise Invalid(sentence, fields={field: [sentence]})


def not_past(at: datetime, field: str) -> datetime:
    """`at`, or now when it has only just gone by. Raises Invalid for an earlier instant or one without a zone."""
    check_instant(at, field)
    if at < now() - _JUST_NOW:
        raise Invalid("Who was on call in the past can't be changed.", fields={field: ["This is in the past."]})
    return max(at, now())


def check_interval(starts_at: datetime, ends_at: datetime, actor: Actor) -> None:
    """Raise Invalid for a stretch of time that is empty, too long or, for people, in the past."""
    check_instant(starts_at, "starts_at")
    check_instant(ends_at, "ends_at")
    if ends_at <= starts_at:
        raise Invalid("It ends after it begins.", fields={"ends_at": ["It must be after starts_at."]})
    if not actor.is_system:
        not_past(starts_at, "starts_at")
    if ends_at - starts_at > LONGEST_INTERVAL:
        raise Invalid("It lasts at most 366 days.", fields={"ends_at": ["It is too far away."]})


def checked_restrictions(rows: Iterable[Any]) -> list[dict[str, Any]]:
    """Restrictions as they are kept: weekdays in order, and two wall-clock times. Raises Invalid."""
    found = [_checked_restriction(row) for row in rows]
    if len(found) > MOST_RESTRICTIONS:
        sentence = f"There are at most {MOST_RESTRICTIONS} restrictions."
        raise Invalid(sentence, fields={"restrictions": [sentence]})
    return found


def _checked_restriction(row: Any) -> dict[str, Any]:
    try:
        weekdays = sorted({int(day) for day in row["weekdays"]})
        starts, ends = time.fromisoformat(str(row["starts"])), time.fromisoformat(str(row["ends"]))
    except (KeyError, TypeError, ValueError) as error:
        sentence = 'A restriction is like {"weekdays": [0, 1], "starts": "09:00", "ends": "17:00"}.'
        raise Invalid("The restrictions are not right.", fields={"restrictions": [sentence]}) from error
    if not weekdays or not set(weekdays) <= set(range(7)) or starts.tzinfo or ends.tzinfo:
        sentence = "Weekdays are numbers from 0 (Monday) to 6 (Sunday), at least one; times have no zone of their own."
        raise Invalid("The restrictions are not right.", fields={"restrictions": [sentence]})
    return {"weekdays": weekdays, "starts": f"{starts:%H:%M:%S}", "ends": f"{ends:%H:%M:%S}"}


def checked_days(days: Iterable[Any]) -> list[str]:
    """Days of one's own as they are kept: ISO dates, in order, each once. Raises Invalid."""
    try:
        found = {day if isinstance(day, date) else date.fromisoformat(str(day)) for day in days}
    except ValueError as error:
        sentence = "Write dates as YYYY-MM-DD."
        raise Invalid("The days are not right.", fields={"own_days": [sentence]}) from error
    for day in found:
        check_year(day.year, "own_days")
    return [day.isoformat() for day in sorted(found)]


def publish_change(rotation: Rotation, change: str, actor: Actor) -> None:
    """Say that a rotation changed."""
    publish(RotationChanged(rotation_id=rotation.pk, change=change), subject=subject_of(rotation), actor=actor)


def subject_of(rotation: Rotation) -> Subject:
    """What events about a rotation speak of."""
    return Subject("rotation", str(rotation.pk))
