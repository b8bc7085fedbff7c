"""Who may see, snapshot and restore entities: by permission, or as a lead of the team that owns the service."""

from __future__ import annotations

from apps.catalog.permissions import leads_any_team
from apps.foundation.actor import Actor
from apps.foundation.errors import NotFound
from apps.people.permissions import allowed, require
from apps.people.queries import user_of
from apps.state.entities.models import EntitySource
from apps.state.entities.queries import visible_sources
from apps.state.permissions import leads_owner

VIEW = "state.view_entitysource"
ADD = "state.add_entitysource"
CHANGE = "state.change_entitysource"
SNAPSHOT = "state.snapshot_entitysource"
RESTORE = "state.restore_entitysource"


def may(actor: Actor, source: EntitySource, permission: str) -> bool:
    """Whether the actor may use `permission` on the source. Load it with its service."""
    return allowed(actor, permission) or leads_owner(actor, source.service.owner_id)


def require_may(actor: Actor, source: EntitySource, permission: str) -> None:
    """Raise NotFound for who may not even see the source, Forbidden for who may see it but not do this."""
    user = user_of(actor)
    if not actor.is_system and (user is None or not visible_sources(user).filter(pk=source.pk).exists()):
        raise NotFound("There is no such source of entities.")
    if not may(actor, source, permission):
        require(actor, permission)


def require_may_somewhere(actor: Actor, permission: str) -> None:
    """Raise Forbidden for who can't do it to any source, before the body of a request is looked at."""
    user = user_of(actor)
    if user is None or not leads_any_team(user):
        require(actor, permission)
