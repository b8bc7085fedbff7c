"""What all verbs of the catalog do alike: check a row completely, write it only if it changed, delete with a reason."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from django.core.exceptions import NON_FIELD_ERRORS, ValidationError
from django.db.models import Model, ProtectedError

from apps.foundation.errors import Conflict, Invalid, NotFound
from apps.policies.models import PolicyPack

M = TypeVar("M", bound=Model)


def locked(model: type[M], pk: int, name: str) -> M:
    """The row under its lock, or NotFound with a sentence."""
    row = model._default_manager.select_for_update().filter(pk=pk).first()
    if row is None:
        raise NotFound(f"There is no such {name}.")
    return row


def applied(row: M, fields: Mapping[str, Any], known: frozenset[str]) -> bool:
    """Put `fields` on the row; whether any differs from what was there. Invalid for a field outside `known`."""
    if unknown := sorted(set(fields) - known):
        raise Invalid(f"Unknown field {unknown[0]}.", fields={name: ["Unknown field."] for name in unknown})
    changed = False
    for name, value in fields.items():
        if getattr(row, name) != value:
            setattr(row, name, value)
            changed = True
    return changed


def checked(row: M) -> M:
    """The row, if all its values and constraints hold; else Invalid, or Conflict for a taken name, with the fields."""
    try:
        row.full_clean()
    except ValidationError as error:
        faults = {("" if name == NON_FIELD_ERRORS else name): list(lines) for name, lines in error.message_dict.items()}
        name, lines = next(iter(faults.items()))
        message = f"{name}: {lines[0]}" if name else lines[0]
        codes = {each.code for several in error.error_dict.values() for each in several}
        if codes == {"unique"}:
            raise Conflict(message, code="taken", fields=faults) from error
        raise Invalid(message, fields=faults) from error
    return row


def require_usable_pack(pack_id: int | None) -> None:
    """Invalid for a pack without an active version: nothing could be declared under it."""
    if pack_id is not None and not PolicyPack.objects.filter(pk=pack_id, active_version__isnull=False).exists():
        message = "There is no such policy pack, or it has no active version."
        raise Invalid(message, fields={"policy_pack": [message]})


def deleted(row: Model, what: str) -> None:
    """Delete the row; Conflict, with what still needs it, where something does."""
    try:
        row.delete()
    except ProtectedError as error:
        users = sorted({str(each._meta.verbose_name) for each in error.protected_objects})
        raise Conflict(f"This {what} is still in use: {', '.join(users)} refers to it.", code="in_use") from error
