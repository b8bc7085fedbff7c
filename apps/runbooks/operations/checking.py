"""What the verbs of authors share."""

from __future__ import annotations

from django.core.exceptions import ValidationError
from django.core.validators import validate_slug

from apps.foundation.actor import Actor
from apps.foundation.checking import checked_text
from apps.foundation.errors import Invalid, NotFound, PreconditionFailed
from apps.people.queries import user_of
from apps.runbooks.models import Runbook
from apps.runbooks.queries import visible_runbooks

_LENGTHS = {"slug": 60, "name": 120, "description": 20_000, "category": 60}


def locked_runbook(runbook_id: int, actor: Actor) -> Runbook:
    """The runbook under its lock. NotFound where there is none, or the actor may not see it."""
    user = user_of(actor)
    seen = Runbook.objects.all() if actor.is_system else visible_runbooks(user) if user else Runbook.objects.none()
    if not seen.filter(pk=runbook_id).exists():
        raise NotFound("There is no such runbook, or you may not see it.")
    return Runbook.objects.select_for_update().get(pk=runbook_id)


def check_version(runbook: Runbook, expected: int | None) -> None:
    """PreconditionFailed unless the runbook still is as the caller saw it."""
    if expected is not None and expected != runbook.version:
        raise PreconditionFailed("The runbook has changed since you read it: read it again.")


def checked_texts(**given: str) -> dict[str, str]:
    """What is said about a runbook or a mitigation, without blanks around it. Invalid where a text can't be kept."""
    found = {
        name: checked_text(value, name, most=_LENGTHS[name], required=name in {"slug", "name"})
        for name, value in given.items()
    }
    if "slug" in found:
        try:
            validate_slug(found["slug"])
        except ValidationError as error:
            raise Invalid("That is no slug.", fields={"slug": ["Letters, digits, - and _ only."]}) from error
    return found
