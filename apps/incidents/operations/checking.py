"""Checks of what people and programs hand in, with sentences that help."""

from __future__ import annotations

from collections.abc import Iterable

from apps.foundation.checking import invalid
from apps.foundation.errors import Conflict, NotFound
from apps.incidents.models import Incident
from apps.incidents.policy import Severity, severities
from apps.people.models import User

MAX_TITLE = 300
MAX_SUMMARY = 20_000
MAX_POST = 10_000
MAX_REASON = 300


def choice(value: str, name: str, options: Iterable[str]) -> str:
    """`value` when it is one of `options`, else Invalid with the valid ones."""
    known = list(options)
    if value not in known:
        raise invalid(name, f"Unknown {name} {value!r}. Valid: {', '.join(known)}.")
    return value


def severity(version_id: int, value: str) -> Severity:
    """The severity of the pinned policy version, in any case of letters, else Invalid with the valid ones."""
    known = severities(version_id)
    found = known.find(value)
    if found is None:
        raise invalid("severity", f"Unknown severity {value!r}. Valid in this incident's pack: {', '.join(known.ids)}.")
    return found


def person(user_id: int, name: str = "user_id") -> User:
    """An active person's account. NotFound or Invalid, naming the input, for anything else."""
    user = User.objects.filter(pk=user_id).first()
    if user is None:
        raise NotFound("There is no such person.", fields={name: ["There is no such person."]})
    if not user.is_active or user.kind != User.Kind.PERSON:
        raise invalid(name, f"{user.name} is no active person.")
    return user


def still_open(incident: Incident, doing: str) -> None:
    """Conflict when the incident is resolved: `doing` needs it open."""
    if not incident.is_open:
        raise Conflict(f"{incident.number} is resolved: reopen it to {doing}.", code="incident_resolved")
