"""Roles: who commands, who leads the technical work, who speaks."""

from __future__ import annotations

from apps.foundation.actor import Actor
from apps.foundation.checking import invalid
from apps.foundation.errors import Conflict, Forbidden
from apps.foundation.operations import operation
from apps.incidents.events import RoleReleased, RoleTaken
from apps.incidents.models import Incident, RoleAssignment
from apps.incidents.operations import checking
from apps.incidents.operations.acknowledging import acknowledge_within
from apps.incidents.operations.changing import Change, changing
from apps.incidents.permissions import COMMAND, RESPOND, user_may
from apps.incidents.policy import RoleKind, roles
from apps.people.models import User


@operation
def take_role(
    incident_id: int,
    role: str,
    user_id: int | None = None,
    *,
    actor: Actor,
    expected_version: int | None = None,
) -> RoleAssignment:
    """Take a vacant role, or give it to `user_id`. Taking command also acknowledges: somebody answers.

    Taking a role oneself needs `respond_incident`; taking command, or giving a role, `command_incident`. Who holds it
    already changes nothing. Raises Conflict, naming the holder, when another person holds it: of two who take it at
    once the second one hears who was faster. Raises Invalid for an unknown role or person.
    """
    with changing(incident_id, actor=actor, permission=RESPOND, expected_version=expected_version) as change:
        known = _role(change.incident, role)
        holder = checking.person(user_id if user_id is not None else _self(actor))
        current = _held(change.incident, role)
        if current is not None and current.user_id == holder.pk:
            return current
        if is_command(change.incident, role) or holder.pk != actor.user_id:
            _require_command(change)
        checking.still_open(change.incident, "take a role")
        if current is not None:
            raise _taken(current, known)
        assignment = _assign(change, known, holder, previous=None)
        if is_command(change.incident, role) and holder.pk == actor.user_id:
            acknowledge_within(change)
        return assignment


@operation
def hand_over(
    incident_id: int, role: str, to_user_id: int, *, actor: Actor, expected_version: int | None = None
) -> RoleAssignment:
    """Move a role from its holder to another person, without a moment in which nobody holds it.

    For the holder, or with `command_incident`. Who holds it already changes nothing. Raises Conflict when nobody
    holds it.
    """
    with changing(incident_id, actor=actor, permission=RESPOND, expected_version=expected_version) as change:
        known = _role(change.incident, role)
        receiver = checking.person(to_user_id, "to_user_id")
        current = _held(change.incident, role)
        if current is None:
            raise Conflict(f"Nobody holds {known.name}: take it, or give it to somebody.", code="role_is_vacant")
        if current.user_id == receiver.pk:
            return current
        if current.user_id != actor.user_id:
            _require_command(change)
        checking.still_open(change.incident, "hand over a role")
        _end(change, current)
        return _assign(change, known, receiver, previous=current.user)


@operation
def release_role(incident_id: int, role: str, *, actor: Actor, expected_version: int | None = None) -> Incident:
    """Lay a role down. For its holder, or with `command_incident`; a vacant role changes nothing."""
    with changing(incident_id, actor=actor, permission=RESPOND, expected_version=expected_version) as change:
        known = _role(change.incident, role)
        current = _held(change.incident, role)
        if current is not None:
            if current.user_id != actor.user_id:
                _require_command(change)
            _end(change, current)
            event = RoleReleased(incident_id=change.incident.pk, role=role, user_id=current.user_id)
            change.tell(event, "role", f"{current.user.name} no longer is {known.name}", role=role, user_id=None)
    return change.incident


def is_command(incident: Incident, role: str) -> bool:
    """Whether `role` is the one that commands in the incident's pack."""
    return role == roles(incident.policy_version_id).commander.slug


def _role(incident: Incident, slug: str) -> RoleKind:
    known = roles(incident.policy_version_id)
    found = known.find(slug)
    if found is None:
        valid = ", ".join(item.slug for item in known.root)
        raise invalid("role", f"Unknown role {slug!r}. Valid in this incident's pack: {valid}.")
    return found


def _self(actor: Actor) -> int:
    if actor.user_id is None:
        raise invalid("user_id", "Say who takes the role: the portal itself can't.")
    return actor.user_id


def _held(incident: Incident, role: str) -> RoleAssignment | None:
    held = RoleAssignment.objects.select_related("user")
    return held.filter(incident=incident, role=role, until__isnull=True).first()


def _require_command(change: Change) -> None:
    if change.user is not None and not user_may(change.user, COMMAND, change.incident):
        raise Forbidden(
            f"{change.actor.name} may not command or give roles: it needs the permission {COMMAND}.",
            extra={"permission": COMMAND},
        )


def _taken(current: RoleAssignment, known: RoleKind) -> Conflict:
    return Conflict(
        f"{current.user.name} is {known.name} since {current.since:%H:%M} UTC: ask for a hand-over.",
        code="role_is_taken",
        extra={"holder_id": current.user_id, "holder": current.user.name},
    )


def _assign(change: Change, known: RoleKind, holder: User, *, previous: User | None) -> RoleAssignment:
    assignment = RoleAssignment(incident=change.incident, role=known.slug, user=holder, since=change.at)
    assignment.save()
    change.touch(f"role {known.slug}")
    event = RoleTaken(
        incident_id=change.incident.pk,
        role=known.slug,
        user_id=holder.pk,
        previous_user_id=previous.pk if previous else None,
    )
    text = f"{holder.name} is {known.name}"
    if previous is not None:
        text += f", handed over from {previous.name}"
    elif holder.pk != change.actor.user_id:
        text += f", given by {change.actor.name}"
    change.tell(event, "role", text, role=known.slug, user_id=holder.pk)
    return assignment


def _end(change: Change, assignment: RoleAssignment) -> None:
    assignment.until = change.at
    assignment.save(update_fields=["until"])
    change.touch(f"role {assignment.role}")
