"""Who may look at what a runbook would do, have it done, and press the button of a mitigation."""

from __future__ import annotations

from apps.catalog.permissions import leads_any_team
from apps.catalog.queries import is_lead
from apps.foundation.actor import Actor
from apps.foundation.errors import Forbidden, NotFound
from apps.people.models import User
from apps.people.permissions import user_allowed
from apps.people.queries import user_of
from apps.runbooks.models import (
    Execution,
    Mitigation,
    Runbook,
    RunbookGroupPermission,
    RunbookUserPermission,
)
from apps.runbooks.queries import visible_executions

VIEW_RUNBOOK = "runbooks.view_runbook"
VIEW_EXECUTION = "runbooks.view_execution"
DRY_RUN = "runbooks.dry_run_runbook"
EXECUTE = "runbooks.execute_runbook"
USE = "runbooks.use_mitigation"


def user_may_execute(user: User, runbook: Runbook) -> bool:
    """Whether `user` may have this runbook executed: for all, by a grant on it, or as a lead of its owner."""
    if not user.is_active:
        return False
    return user_allowed(user, EXECUTE, runbook) or is_lead(user.pk, runbook.owner_id)


def user_may_look(user: User, runbook: Runbook) -> bool:
    """Whether `user` may ask what it would do: with the permission for that, and whoever may execute it."""
    return user_allowed(user, DRY_RUN, runbook) or user_may_execute(user, runbook)


def user_may_use(user: User, mitigation: Mitigation) -> bool:
    """Whether `user` may press this button: for all mitigations, or by a grant on this one."""
    return user_allowed(user, USE, mitigation)


def user_may_steer(user: User, execution: Execution) -> bool:
    """Whether `user`, who sees it, may start, cancel and settle it: who may execute its runbook.

    The requester may as well while a mitigation with this runbook is theirs to use.
    """
    if user_may_execute(user, execution.runbook):
        return True
    if execution.requested_by_id != user.pk:
        return False
    return any(user_may_use(user, item) for item in execution.runbook.mitigations.all())


def require_look(actor: Actor, runbook: Runbook) -> None:
    """Raise Forbidden unless `actor` may see what this runbook would do."""
    user = user_of(actor)
    if not actor.is_system and (user is None or not user_may_look(user, runbook)):
        raise _forbidden(actor, "look at what this runbook would do", DRY_RUN)


def require_execute(actor: Actor, runbook: Runbook) -> None:
    """Raise Forbidden unless `actor` may have this runbook executed."""
    user = user_of(actor)
    if not actor.is_system and (user is None or not user_may_execute(user, runbook)):
        raise _forbidden(actor, "execute this runbook", EXECUTE)


def require_execute_somewhere(actor: Actor) -> None:
    """Raise Forbidden for who can execute no runbook at all, whatever is asked for: before its body is looked at."""
    user = user_of(actor)
    if actor.is_system or (user is not None and user.is_active and _executes_somewhere(user)):
        return
    raise _forbidden(actor, "execute runbooks", EXECUTE)


def _executes_somewhere(user: User) -> bool:
    if user.has_perm(EXECUTE) or leads_any_team(user):
        return True
    held = {"permission__codename": "execute_runbook"}
    mine = RunbookUserPermission._default_manager.filter(user=user, **held)
    ours = RunbookGroupPermission._default_manager.filter(group__in=user.groups.values("pk"), **held)
    return mine.exists() or ours.exists()


def require_use(actor: Actor, mitigation: Mitigation) -> None:
    """Raise Forbidden unless `actor` may press this button."""
    user = user_of(actor)
    if not actor.is_system and (user is None or not user_may_use(user, mitigation)):
        raise _forbidden(actor, "use this mitigation", USE)


def require_steer(actor: Actor, execution: Execution) -> None:
    """NotFound where `actor` may not see the execution, Forbidden where they only see it."""
    if actor.is_system:
        return
    user = user_of(actor)
    if user is None or not visible_executions(user).filter(pk=execution.pk).exists():
        raise no_such_execution()
    if not user_may_steer(user, execution):
        raise _forbidden(actor, "start, cancel or settle this execution", EXECUTE)


def no_such_execution() -> NotFound:
    """One sentence for what is missing and for what is hidden."""
    return NotFound("There is no such execution, or you may not see it.")


def _forbidden(actor: Actor, doing: str, permission: str) -> Forbidden:
    return Forbidden(
        f"{actor.name} may not {doing}: it needs the permission {permission}.", extra={"permission": permission}
    )
