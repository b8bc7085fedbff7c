"""Verbs on mitigations: create, edit, delete. Pressing one is in `mitigating`."""

from __future__ import annotations

from typing import Any

from apps.foundation.actor import Actor
from apps.foundation.errors import Conflict, Invalid, NotFound
from apps.foundation.operations import operation
from apps.people.permissions import require
from apps.runbooks.documents import document_of
from apps.runbooks.models import Mitigation, Runbook
from apps.runbooks.operations.checking import checked_texts
from apps.runbooks.parameters import filled
from apps.runbooks.secrets import Vault

_LARGEST_POSITION = 32_767


@operation
def create_mitigation(
    slug: str,
    name: str,
    *,
    runbook_id: int,
    parameters: dict[str, Any] | None = None,
    description: str = "",
    position: int = 0,
    actor: Actor,
) -> Mitigation:
    """A button: a runbook with its parameters filled in. Needs `runbooks.add_mitigation`.

    Raises Forbidden, Invalid for a wrong name, an unknown runbook or wrong parameters (by the path of each), Conflict
    for a slug that is taken.
    """
    require(actor, "runbooks.add_mitigation")
    texts = checked_texts(slug=slug, name=name, description=description)
    if Mitigation.objects.filter(slug=texts["slug"]).exists():
        raise Conflict(
            f"There is a mitigation `{texts['slug']}` already.", code="slug_taken", fields={"slug": ["It is taken."]}
        )
    runbook = _runbook(runbook_id)
    return Mitigation.objects.create(
        **texts,
        runbook=runbook,
        parameters=_checked(runbook, parameters or {}),
        position=_position(position),
    )


@operation
def edit_mitigation(
    mitigation_id: int,
    *,
    name: str | None = None,
    description: str | None = None,
    runbook_id: int | None = None,
    parameters: dict[str, Any] | None = None,
    position: int | None = None,
    actor: Actor,
) -> Mitigation:
    """Change what is given; the rest stays, and the same again changes nothing. Needs `runbooks.change_mitigation`.

    Raises NotFound, Forbidden, Invalid as `create_mitigation` does.
    """
    mitigation = _locked(mitigation_id)
    require(actor, "runbooks.change_mitigation", mitigation)
    given = {"name": name, "description": description}
    changes: dict[str, Any] = checked_texts(**{key: value for key, value in given.items() if value is not None})
    runbook = _runbook(runbook_id) if runbook_id is not None else mitigation.runbook
    if runbook_id is not None or parameters is not None:
        changes["runbook"] = runbook
        changes["parameters"] = _checked(runbook, mitigation.parameters if parameters is None else parameters)
    if position is not None:
        changes["position"] = _position(position)
    fresh = {key: value for key, value in changes.items() if getattr(mitigation, key) != value}
    if fresh:
        for key, value in fresh.items():
            setattr(mitigation, key, value)
        mitigation.save()
    return mitigation


@operation
def delete_mitigation(mitigation_id: int, *, reason: str = "", actor: Actor) -> None:
    """Take a button away; executions that it began stay. Needs `runbooks.delete_mitigation`. Raises NotFound,
    Forbidden."""
    mitigation = _locked(mitigation_id)
    require(actor, "runbooks.delete_mitigation", mitigation)
    mitigation.delete()


def _locked(mitigation_id: int) -> Mitigation:
    found = (
        Mitigation.objects.select_for_update(of=("self",)).select_related("runbook").filter(pk=mitigation_id).first()
    )
    if found is None:
        raise NotFound("There is no such mitigation.")
    return found


def _runbook(runbook_id: int) -> Runbook:
    found = Runbook.objects.select_related("active_version").filter(pk=runbook_id).first()
    if found is None:
        raise Invalid("There is no such runbook.", fields={"runbook": ["There is no such runbook."]})
    return found


def _checked(runbook: Runbook, parameters: dict[str, Any]) -> dict[str, Any]:
    """The parameters as they were given: defaults are filled in when the button is pressed, by the version of then."""
    if Vault().holds(parameters):
        message = "A parameter holds the text of a secret: let the runbook name the secret instead."
        raise Invalid(message, fields={"parameters": [message]})
    if runbook.active_version is not None:
        filled(document_of(runbook.active_version).parameters, parameters)
    elif parameters:
        message = f"{runbook.name} has no active version, so its parameters are not known."
        raise Invalid(message, fields={"parameters": [message]})
    return parameters


def _position(position: int) -> int:
    if not 0 <= position <= _LARGEST_POSITION:
        raise Invalid("That is no position.", fields={"position": [f"0 to {_LARGEST_POSITION}."]})
    return position
