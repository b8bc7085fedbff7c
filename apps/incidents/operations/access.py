"""Who sees an incident: everybody who may see incidents, or only those it concerns."""

from __future__ import annotations

from guardian.shortcuts import assign_perm, remove_perm

from apps.foundation.actor import Actor
from apps.foundation.checking import checked_text
from apps.foundation.operations import operation
from apps.incidents.events import AccessGranted, AccessRevoked, VisibilityChanged
from apps.incidents.models import Incident, IncidentUserPermission
from apps.incidents.operations import checking
from apps.incidents.operations.changing import Change, changing
from apps.incidents.permissions import COMMAND
from apps.incidents.queries import sees_if_private
from apps.people.models import User

_GRANT = "view_incident"


@operation
def change_visibility(
    incident_id: int, visibility: str, *, reason: str = "", actor: Actor, expected_version: int | None = None
) -> Incident:
    """Make an incident private or open. Needs `command_incident`. The same visibility changes nothing.

    Open streams of those who may no longer see it end at once. Whoever makes it private keeps seeing it, by a grant
    where nothing else shows it to them. Raises Invalid for an unknown visibility.
    """
    with changing(incident_id, actor=actor, permission=COMMAND, expected_version=expected_version) as change:
        incident = change.incident
        checking.choice(visibility, "visibility", Incident.Visibility.values)
        why = checked_text(reason, "reason", most=checking.MAX_REASON, required=False)
        if visibility != incident.visibility:
            before = incident.visibility
            change.set(visibility=visibility)
            event = VisibilityChanged(incident_id=incident.pk, before=before, after=visibility)
            text = f"Now {visibility}: seen by {Incident.Visibility(visibility).label}"
            change.tell(event, "visibility", f"{text} ({why})" if why else text, before=before, after=visibility)
            if change.user is not None and not sees_if_private(change.user, incident.pk):
                _grant(change, change.user)
    return change.incident


@operation
def grant_access(incident_id: int, user_id: int, *, actor: Actor, expected_version: int | None = None) -> Incident:
    """Let one person see this incident, private or not. Needs `command_incident`; a repeat changes nothing."""
    with changing(incident_id, actor=actor, permission=COMMAND, expected_version=expected_version) as change:
        person = checking.person(user_id)
        if not _granted(change.incident, person):
            _grant(change, person)
    return change.incident


@operation
def revoke_access(incident_id: int, user_id: int, *, actor: Actor, expected_version: int | None = None) -> Incident:
    """Take one person's grant back. Needs `command_incident`; without a grant it changes nothing.

    Who sees the incident for another reason (team, role, page) still does.
    """
    with changing(incident_id, actor=actor, permission=COMMAND, expected_version=expected_version) as change:
        person = User.objects.filter(pk=user_id).first()
        if person is not None and _granted(change.incident, person):
            remove_perm(_GRANT, person, change.incident)
            change.touch(f"access of {person.pk}")
            event = AccessRevoked(incident_id=incident_id, user_id=person.pk)
            change.tell(event, "access", f"The grant of {person.name} was taken back", user_id=person.pk)
    return change.incident


def _grant(change: Change, person: User) -> None:
    assign_perm(_GRANT, person, change.incident)
    change.touch(f"access of {person.pk}")
    event = AccessGranted(incident_id=change.incident.pk, user_id=person.pk)
    change.tell(event, "access", f"{person.name} may see this incident", user_id=person.pk)


def _granted(incident: Incident, person: User) -> bool:
    grants = IncidentUserPermission.objects.filter(content_object=incident, user=person)
    return grants.filter(permission__codename=_GRANT).exists()
