"""What the verbs of authors share."""

from __future__ import annotations

from apps.foundation.actor import Actor
from apps.foundation.errors import Invalid, NotFound, PreconditionFailed
from apps.people.queries import user_of
from apps.runbooks.models import Runbook
from apps.runbooks.queries import visible_runbooks


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


def clean(text: str, longest: int, field: str) -> str:
    """`text` without spaces around it. Invalid where it can't be stored."""
    found = text.strip()
    if "\0" in found:
        raise Invalid(f"{field} has a NUL character.", fields={field: ["NUL characters are not allowed."]})
    if len(found) > longest:
        raise Invalid(f"{field} is too long.", fields={field: [f"At most {longest} characters."]})
    return found
