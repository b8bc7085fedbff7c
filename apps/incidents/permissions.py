"""Who may do what to an incident. Seeing it comes first: what may not be seen does not exist."""

from __future__ import annotations

from django.contrib.auth.models import AnonymousUser

from apps.foundation.actor import Actor
from apps.foundation.errors import Forbidden, NotFound
from apps.incidents.models import Incident
from apps.incidents.queries import visible_to
from apps.people.models import User
from apps.people.permissions import user_allowed
from apps.people.queries import user_of

VIEW = "incidents.view_incident"
DECLARE = "incidents.declare_incident"
RESPOND = "incidents.respond_incident"
COMMAND = "incidents.command_incident"
RESPOND_FOR_TEAM = "catalog.respond_for_team"

_DOING = {
    RESPOND: "respond to incidents",
    COMMAND: "command incidents",
    DECLARE: "declare incidents",
}


def user_may(user: User | AnonymousUser, permission: str, incident: Incident) -> bool:
    """Whether `user`, who sees it, may: for all, by a grant on it, or (to respond) by one on its team."""
    if user_allowed(user, permission, incident):
        return True
    team = incident.team if permission == RESPOND else None
    return team is not None and user_allowed(user, RESPOND_FOR_TEAM, team)


def may_respond_to(user: User, key: str) -> bool:
    """What paging asks: whether `user`, who sees the incident with this text key, may respond to it."""
    incident = Incident.objects.filter(pk=key).select_related("team").first()
    return incident is not None and user_may(user, RESPOND, incident)


def authorize(actor: Actor, incident: Incident, permission: str) -> User | None:
    """The account behind `actor` when it may do this; None for the portal itself, which always may.

    NotFound where the incident is invisible to it, exactly as if it did not exist; Forbidden where it sees it only.
    """
    if actor.is_system:
        return None
    user = user_of(actor)
    if user is None or not visible_to(user).filter(pk=incident.pk).exists():
        raise no_such_incident()
    if permission != VIEW and not user_may(user, permission, incident):
        raise Forbidden(
            f"{actor.name} may not {_DOING[permission]}: it needs the permission {permission}.",
            extra={"permission": permission},
        )
    return user


def no_such_incident() -> NotFound:
    """One sentence for what is missing and for what is hidden."""
    return NotFound("There is no such incident, or you may not see it.")
