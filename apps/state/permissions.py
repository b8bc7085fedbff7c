"""Who may see, edit, apply and vouch for config documents: by permission, or as a lead of the service's team."""

from __future__ import annotations

from apps.catalog.permissions import leads_any_team
from apps.catalog.queries import is_lead
from apps.foundation.actor import Actor
from apps.foundation.errors import NotFound
from apps.people.permissions import allowed, require
from apps.people.queries import user_of
from apps.state.models import ConfigDocument
from apps.state.queries import visible_documents

VIEW = "state.view_configdocument"
ADD = "state.add_configdocument"
CHANGE = "state.change_configdocument"
APPLY = "state.apply_configdocument"
SET_BASELINE = "state.set_baseline_configdocument"


def leads_owner(actor: Actor, team_id: int) -> bool:
    """Whether the actor's account is active and a lead of this team."""
    user = user_of(actor)
    return user is not None and user.is_active and is_lead(user.pk, team_id)


def may(actor: Actor, document: ConfigDocument, permission: str) -> bool:
    """Whether the actor may use `permission` on the document. Load it with its service."""
    return allowed(actor, permission) or leads_owner(actor, document.service.owner_id)


def require_may(actor: Actor, document: ConfigDocument, permission: str) -> None:
    """Raise NotFound for who may not even see the document, Forbidden for who may see it but not do this."""
    user = user_of(actor)
    if not actor.is_system and (user is None or not visible_documents(user).filter(pk=document.pk).exists()):
        raise NotFound("There is no such config document.")
    if not may(actor, document, permission):
        require(actor, permission)


def require_may_somewhere(actor: Actor, permission: str) -> None:
    """Raise Forbidden for who can't do it to any document, before the body of a request is looked at."""
    user = user_of(actor)
    if user is None or not leads_any_team(user):
        require(actor, permission)
