"""Making flags, and changing what describes them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from types import EllipsisType
from typing import Any, TypedDict, Unpack, cast

from django.db.models import TextChoices

from apps.catalog.models import Environment, Service, Team
from apps.flags.evaluation.definitions import switch_definition
from apps.flags.events import FlagCreated, FlagEdited
from apps.flags.models import Flag
from apps.flags.operations.approving import asked_for, require_approval
from apps.flags.operations.changing import finish, lock_revision, locked_flag, record_change
from apps.flags.operations.checking import MAX_TEXT, checked, key_of
from apps.flags.operations.defining import broken_by, checked_definition, refuse_to_break_an_experiment
from apps.flags.permissions import CHANGE, may_add_for, require_add_somewhere
from apps.foundation.actor import Actor
from apps.foundation.checking import checked_text, invalid
from apps.foundation.errors import Conflict, Forbidden
from apps.foundation.operations import operation
from apps.foundation.subjects import Subject

_NOTHING = Subject("", "")
_LARGEST_ID = 2**63 - 1
_MOST = {"name": 120, "description": MAX_TEXT, "blast_radius": MAX_TEXT, "rollback_expectation": MAX_TEXT}


class FlagTexts(TypedDict, total=False):
    """What describes a flag in words."""

    name: str
    description: str
    blast_radius: str
    rollback_expectation: str


@operation
def create_flag(
    key: str,
    *,
    environment_id: int,
    owner_id: int,
    name: str,
    blast_radius: str,
    rollback_expectation: str,
    description: str = "",
    kind: str = Flag.Kind.KILL_SWITCH,
    value_type: str = Flag.Type.BOOLEAN,
    definition: Any = None,
    expires_on: date | None = None,
    service_ids: Sequence[int] = (),
    needs_approval: bool = False,
    reason: str = "",
    actor: Actor,
) -> Flag:
    """Make a flag that is on. Its key, environment and type of value stay as they are: programs ask for them.

    Without a definition it is a plain switch, which only a boolean can be. With `needs_approval` a second person
    approves changes of what it answers from then on. Needs `flags.add_flag` or to lead the owning team. Raises
    Forbidden, Conflict when the environment has this key already, and Invalid.
    """
    require_add_somewhere(actor)
    revision = lock_revision()
    owner = _owner(owner_id, actor)
    environment = Environment.objects.filter(pk=environment_id).first() if _is_id(environment_id) else None
    if environment is None:
        raise invalid("environment", "There is no such environment.")
    given: FlagTexts = {
        "name": name,
        "description": description,
        "blast_radius": blast_radius,
        "rollback_expectation": rollback_expectation,
    }
    flag = Flag(key=key_of(key), environment=environment, owner=owner, needs_approval=needs_approval, **_texts(given))
    flag.kind, flag.type, flag.expires_on = (
        _chosen("kind", kind, Flag.Kind),
        _chosen("type", value_type, Flag.Type),
        expires_on,
    )
    flag.definition = checked_definition(flag, switch_definition() if definition is None else definition)
    flag.state_changed_by_id = actor.user_id
    services = _services(service_ids)
    checked(flag).save()
    if services:
        flag.services.set(services)
    finish(flag, revision, FlagCreated, reason=reason, about=_NOTHING, actor=actor)
    return flag


@operation
def edit_flag(
    flag_id: int,
    *,
    owner_id: int | None = None,
    service_ids: Sequence[int] | None = None,
    kind: str | None = None,
    definition: Any = None,
    expires_on: date | EllipsisType | None = ...,
    needs_approval: bool | None = None,
    reason: str = "",
    expected_version: int | None = None,
    change_id: int | None = None,
    actor: Actor,
    **given: Unpack[FlagTexts],
) -> Flag:
    """Change what is named; the rest stays, and the same values change nothing.

    A definition takes the place of the whole one before, in every process within 2 seconds. `expires_on` None takes the
    day away.

    Needs `flags.change_flag` (for all, or granted on it) or to lead the owning team; another owner also that of the
    new one. Where a second person must approve another definition, `change_id` names what was approved; that nobody
    need approve any more is such a change too. Raises NotFound, Forbidden, PreconditionFailed, Invalid, and Conflict
    `approval_needed`.
    """
    flag, revision = locked_flag(flag_id, CHANGE, expected_version=expected_version, actor=actor)
    changed = False
    for name, value in _texts(given).items():
        changed |= getattr(flag, name) != value
        setattr(flag, name, value)
    rules = flag.definition if definition is None else _replaced(flag, definition)
    chosen = flag.kind if kind is None else _chosen("kind", kind, Flag.Kind)
    day = flag.expires_on if isinstance(expires_on, EllipsisType) else expires_on
    refuse_to_break_an_experiment(flag, chosen, rules["variants"])
    redefined = flag.definition != rules
    guarded = flag.needs_approval if needs_approval is None else needs_approval
    if redefined:
        require_approval(flag, asked_for(flag, definition, change_id), change_id)
    if flag.needs_approval and not guarded:
        require_approval(flag, {"needs_approval": False}, change_id)
    changed |= flag.needs_approval != guarded
    flag.needs_approval = guarded
    changed |= (flag.kind, flag.definition, flag.expires_on) != (chosen, rules, day)
    flag.kind, flag.definition, flag.expires_on = chosen, rules, day
    if owner_id is not None and owner_id != flag.owner_id:
        flag.owner, changed = _owner(owner_id, actor), True
    services = None if service_ids is None else _services(service_ids)
    if services is not None and {row.pk for row in services} == set(flag.services.values_list("pk", flat=True)):
        services = None
    if not changed and services is None:
        return flag
    flag.version += 1
    checked(flag).save()
    if services is not None:
        flag.services.set(services)
    finish(flag, revision, FlagEdited, reason=reason, about=_NOTHING, actor=actor)
    if redefined:
        record_change(flag, "answers by other rules", actor)
    return flag


def _replaced(flag: Flag, definition: Any) -> dict[str, Any]:
    """A new definition for a flag that others may need. Raises Invalid, and Conflict where they would break."""
    found = checked_definition(flag, definition)
    if broken := broken_by(flag, found["variants"]):
        raise Conflict(
            f"{', '.join(broken[:3])} need variants of {flag.key} that would go: change their prerequisites first.",
            code="variant_needed",
        )
    return found


def _chosen(name: str, value: str, choices: type[TextChoices]) -> str:
    if value not in choices.values:
        raise invalid(name, f"Choose one of {', '.join(choices.values)}.")
    return value


def _texts(given: FlagTexts) -> FlagTexts:
    """The texts without blanks around them. Raises Invalid."""
    found = {}
    for name, value in given.items():
        if name not in _MOST or not isinstance(value, str):
            raise invalid(name, "Unknown field.")
        found[name] = checked_text(value, name, most=_MOST[name], required=name != "description")
    return cast("FlagTexts", found)


def _owner(team_id: int, actor: Actor) -> Team:
    team = Team.objects.filter(pk=team_id).first() if _is_id(team_id) else None
    if team is None:
        raise invalid("owner", "There is no such team.")
    if not may_add_for(actor, team.pk):
        raise Forbidden(f"{actor.name} may not give flags to {team.name}: it needs flags.add_flag, or to lead it.")
    return team


def _services(service_ids: Sequence[int]) -> list[Service]:
    wanted = {pk for pk in service_ids if _is_id(pk)}
    found = list(Service.objects.filter(pk__in=wanted).order_by("pk"))
    if missing := sorted(set(service_ids) - {row.pk for row in found}):
        raise invalid("services", f"There is no service {missing[0]}.")
    return found


def _is_id(number: int) -> bool:
    return 0 < number <= _LARGEST_ID
