"""What the verbs of this app have in common: locking, loading and checking."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from django.core.exceptions import ValidationError
from django.db.models import Model

from apps.foundation.clock import now
from apps.foundation.errors import Invalid, NotFound
from apps.foundation.subjects import Subject
from apps.oncall.models import Rotation
from apps.people.models import User

_JUST_NOW = timedelta(minutes=1)
FIRST_YEAR, LAST_YEAR = 1980, 2200


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


def subject_of(rotation: Rotation) -> Subject:
    """What events about a rotation speak of."""
    return Subject("rotation", str(rotation.pk))
