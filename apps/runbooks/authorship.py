"""Who may write runbooks: managers all of them, leads those of their team."""

from __future__ import annotations

from collections.abc import Iterator

from apps.catalog.permissions import leads_any_team
from apps.catalog.queries import is_lead
from apps.foundation.actor import Actor
from apps.foundation.errors import Forbidden
from apps.people.models import User
from apps.people.permissions import allowed, require, user_allowed
from apps.people.queries import user_of
from apps.runbooks import steps as registry
from apps.runbooks.documents import Compensation, Document
from apps.runbooks.models import Runbook
from apps.runbooks.templating import placeholders

ADD = "runbooks.add_runbook"
CHANGE = "runbooks.change_runbook"


def user_may_edit(user: User, runbook: Runbook) -> bool:
    """Whether `user` may edit the runbook: `runbooks.change_runbook` for all or for this one, or its owner's lead."""
    return user_allowed(user, CHANGE, runbook) or (user.is_active and is_lead(user.pk, runbook.owner_id))


def require_edit(actor: Actor, runbook: Runbook) -> None:
    """Raise Forbidden unless `actor` may edit the runbook."""
    user = user_of(actor)
    if not actor.is_system and (user is None or not user_may_edit(user, runbook)):
        raise _forbidden(actor, CHANGE)


def require_create(actor: Actor, owner_id: int | None) -> None:
    """Raise Forbidden unless `actor` may make a runbook that belongs to this team."""
    user = user_of(actor)
    leads = user is not None and user.is_active and owner_id is not None and is_lead(user.pk, owner_id)
    if not leads and not allowed(actor, ADD):
        raise _forbidden(actor, ADD)


def require_create_somewhere(actor: Actor) -> None:
    """Raise Forbidden for who can't make a runbook for any team, before the body of a request is looked at."""
    user = user_of(actor)
    if user is None or not leads_any_team(user):
        require(actor, ADD)


def manager_reason(document: Document, runbook: Runbook) -> str:
    """Why a lead alone may not activate this text; empty where they may.

    Secrets belong to nobody's team, and configurations, flags and other runbooks are their own team's business, so none
    may be reached only because somebody leads the team that owns the runbook.
    """
    for options, kind in _options(document):
        if any(found.name.startswith("secret.") for found in placeholders(options)):
            return "it uses a secret"
        if registry.known(kind) and (told := registry.kind(kind).beyond(options, runbook.owner_id)):
            return told
    return ""


def _options(document: Document) -> Iterator[tuple[dict[str, object], str]]:
    for step in document.steps:
        yield step.with_, step.kind
        if isinstance(step.compensate, Compensation):
            yield step.compensate.with_, step.compensate.kind
        if step.probe is not None:
            yield step.probe.with_, step.probe.kind
        yield {"when": [[condition.value, condition.than] for condition in step.when]}, ""


def _forbidden(actor: Actor, permission: str) -> Forbidden:
    return Forbidden(
        f"{actor.name} may not do this: it needs the permission {permission}, or to lead the owning team.",
        extra={"permission": permission},
    )
