"""Verbs on secrets: set and delete. No verb reads one."""

from __future__ import annotations

from django.core.exceptions import ValidationError
from django.core.validators import validate_slug

from apps.foundation.actor import Actor
from apps.foundation.checking import checked_text
from apps.foundation.clock import now
from apps.foundation.errors import Conflict, Invalid, NotFound
from apps.foundation.operations import operation
from apps.people.crypto import seal
from apps.people.permissions import allowed, require
from apps.runbooks.models import Runbook, Secret
from apps.runbooks.secrets import LONGEST, SHORTEST
from apps.runbooks.templating import placeholders

ADD = "runbooks.add_secret"
CHANGE = "runbooks.change_secret"
DELETE = "runbooks.delete_secret"


@operation
def set_secret(name: str, value: str, *, note: str | None = None, actor: Actor) -> Secret:
    """Keep a value, sealed, under a name that steps use; in place of the one that the name had.

    Without a `note` the old one stays. The value is never shown again. Needs `runbooks.add_secret` for a new name,
    `runbooks.change_secret` for a known one. Raises Forbidden, Invalid for a name that is no slug or a value of less
    than 8 or more than 4,000 characters: shorter ones could not be masked without masking ordinary text.
    """
    found = Secret.objects.select_for_update().filter(name=name).first() if "\0" not in name else None
    require(actor, CHANGE if found else ADD)
    _check_name(name)
    _check_value(value)
    secret = found or Secret(name=name)
    secret.value_encrypted = seal(value)
    if note is not None:
        secret.note = checked_text(note, "note", most=200, required=False)
    secret.changed_at = now()
    secret.save()
    return secret


@operation
def delete_secret(secret_id: int, *, reason: str = "", actor: Actor) -> None:
    """Forget a secret. Needs `runbooks.delete_secret`. Raises NotFound, Forbidden, Conflict while an active runbook
    uses it."""
    if not allowed(actor, "runbooks.view_secret"):
        require(actor, DELETE)
    secret = Secret.objects.select_for_update().filter(pk=secret_id).first()
    if secret is None:
        raise NotFound("There is no such secret.")
    require(actor, DELETE)
    users = runbooks_using(secret.name)
    if users:
        raise Conflict(
            f"{users[0].name} uses {secret.name}: activate a version without it first.", code="secret_in_use"
        )
    secret.delete()


def runbooks_using(name: str) -> list[Runbook]:
    """The active runbooks whose active version names a secret, by name; one query."""
    rows = Runbook.objects.filter(state=Runbook.State.ACTIVE).select_related("active_version")
    return [row for row in rows if row.active_version and _uses(row.active_version.content, name)]


def _uses(content: object, name: str) -> bool:
    return any(found.name == f"secret.{name}" for found in placeholders(content))


def _check_name(name: str) -> None:
    try:
        validate_slug(name)
    except ValidationError as error:
        raise Invalid("That is no name of a secret.", fields={"name": ["Letters, digits, - and _ only."]}) from error
    if len(name) > 60 or not (name[0].isalnum() or name[0] == "_"):  # noqa: PLR2004  # the column's length
        raise Invalid("That is no name of a secret.", fields={"name": ["At most 60 characters, no hyphen first."]})


def _check_value(value: str) -> None:
    if not SHORTEST <= len(value) <= LONGEST:
        message = f"A secret has {SHORTEST} to {LONGEST} characters."
        raise Invalid(message, fields={"value": [message]})
    if "\0" in value or value != value.strip():
        message = "A secret has no NUL characters, and no spaces or line ends around it."
        raise Invalid(message, fields={"value": [message]})
    if any("\ud800" <= character <= "\udfff" for character in value):
        raise Invalid("That is no text.", fields={"value": ["Half a surrogate pair can't be stored."]})
