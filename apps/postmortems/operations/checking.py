"""Checks of what people and programs hand in, with sentences that help."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from urllib.parse import urlsplit

from django.db.models import Model

from apps.catalog.models import Team
from apps.foundation.checking import checked_text, invalid
from apps.foundation.clock import now
from apps.foundation.errors import NotFound, PreconditionFailed
from apps.incidents.models import Incident
from apps.incidents.queries import visible_to
from apps.people.models import User
from apps.people.permissions import user_allowed
from apps.postmortems.permissions import REVIEW

MAX_TITLE = 300
MAX_SECTION = 50_000
MAX_TEXT = 10_000
MAX_REASON = 1_000
MAX_LINK = 500
FARTHEST = timedelta(days=3653)


def link(value: str) -> str:
    """A web address, or nothing. Invalid for anything else."""
    found = checked_text(value, "link", most=MAX_LINK, required=False)
    if not found:
        return ""
    try:
        parts = urlsplit(found)
        usable = parts.scheme in {"http", "https"} and bool(parts.hostname)
    except ValueError:
        usable = False
    if not usable or any(char.isspace() for char in found):
        raise invalid("link", "A link begins with http:// or https:// and names a host.")
    return found


def choice(value: str, name: str, options: Iterable[str]) -> str:
    """`value` in the spelling of `options`, else Invalid with the valid ones."""
    known = list(options)
    found = next((option for option in known if option.lower() == value.lower()), None)
    if found is None:
        raise invalid(name, f"Unknown {name} {value!r}. Valid: {', '.join(known)}.")
    return found


def future(value: datetime, name: str = "due_at") -> datetime:
    """An instant that is still to come, with a time zone; else Invalid."""
    if value.tzinfo is None:
        raise invalid(name, "Give the due date with a time zone.")
    if value <= now():
        raise invalid(name, "A due date lies in the future: this instant has passed.")
    if value > now() + FARTHEST:
        raise invalid(name, "A due date lies within ten years.")
    return value


def person(user_id: int | None, incident: Incident, name: str) -> User | None:
    """An active person's account that sees the incident; None for None. Invalid, naming the input, for others."""
    if user_id is None:
        return None
    user = User.objects.filter(pk=user_id).first()
    if user is None:
        raise invalid(name, "There is no such person.")
    if not user.is_active or user.kind != User.Kind.PERSON:
        raise invalid(name, f"{user.name} is no active person.")
    if not visible_to(user).filter(pk=incident.pk).exists():
        raise invalid(name, f"{user.name} may not see this incident.")
    return user


def reviewer(user_id: int | None, owner_id: int | None, incident: Incident) -> User | None:
    """Somebody who may review what `owner_id` owns; None for None."""
    user = person(user_id, incident, "reviewer_id")
    if user is None:
        return None
    if user.pk == owner_id:
        raise invalid("reviewer_id", f"{user.name} owns this review: nobody reviews what they own.")
    if not user_allowed(user, REVIEW):
        raise invalid("reviewer_id", f"{user.name} may not review: it needs the permission {REVIEW}.")
    return user


def team(team_id: int | None) -> Team | None:
    """A team by its id; None for None."""
    if team_id is None:
        return None
    found = Team.objects.filter(pk=team_id).first()
    if found is None:
        raise invalid("team_id", "There is no such team.")
    return found


def version(row: Model, expected: int | None) -> None:
    """PreconditionFailed unless `expected` is the row's version, or None."""
    current: int = row.version  # type: ignore[attr-defined]  # reviews, sections and items have one
    if expected is not None and expected != current:
        raise PreconditionFailed(
            f"It has changed since you read it: it is at version {current}, not {expected}. Look again.",
            extra={"version": current},
        )


def gone(what: str) -> NotFound:
    """One sentence for what is missing and for what is hidden."""
    return NotFound(f"There is no such {what}, or you may not see it.")
