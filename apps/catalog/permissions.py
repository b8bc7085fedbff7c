"""Who may change a team and what it owns: by permission for all, by a grant for one, or as the team's lead."""

from __future__ import annotations

from django.contrib.auth.models import AnonymousUser

from apps.catalog.models import Service, Team
from apps.catalog.queries import is_lead, led_team_ids
from apps.foundation.actor import Actor
from apps.foundation.errors import Forbidden
from apps.people.models import User
from apps.people.permissions import allowed, user_allowed
from apps.people.queries import user_of


def user_may_edit_team(user: User, team: Team) -> bool:
    """Whether `user` may edit the team: `catalog.change_team` for all or for this one, or its lead."""
    if not user.is_active:
        return False
    return user_allowed(user, "catalog.change_team", team) or is_lead(user.pk, team.pk)


def user_may_edit_service(user: User, service: Service) -> bool:
    """Whether `user` may edit the service: `catalog.change_service` for all or for this one, or the owning team."""
    return user_allowed(user, "catalog.change_service", service) or user_may_edit_team(user, service.owner)


def leads_any_team(user: User | AnonymousUser) -> bool:
    """Whether `user` leads a team, so that pages offer what a lead may do."""
    return isinstance(user, User) and user.is_active and bool(led_team_ids(user.pk))


def require_team_editor(actor: Actor, team: Team, permission: str = "catalog.change_team") -> None:
    """Raise Forbidden unless `actor` holds `permission`, or may edit this team."""
    if allowed(actor, permission):
        return
    user = user_of(actor)
    if user is None or not user_may_edit_team(user, team):
        raise Forbidden(
            f"{actor.name} may not do this: it needs the permission {permission}, or to lead {team.name}.",
            extra={"permission": permission},
        )


def require_service_editor(actor: Actor, service: Service, permission: str = "catalog.change_service") -> None:
    """Raise Forbidden unless `actor` holds `permission`, or may edit this service or its owning team."""
    if allowed(actor, permission):
        return
    user = user_of(actor)
    if user is None or not user_may_edit_service(user, service):
        raise Forbidden(
            f"{actor.name} may not do this: it needs the permission {permission}, or to lead {service.owner.name}.",
            extra={"permission": permission},
        )
