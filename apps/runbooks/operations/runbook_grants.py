"""The permission to look at, execute or write one runbook, beyond what groups give."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from django.contrib.auth.models import Group
from guardian.shortcuts import assign_perm, remove_perm

from apps.engine.events import DomainEvent
from apps.engine.operations import publish
from apps.foundation.actor import Actor
from apps.foundation.errors import Invalid
from apps.foundation.operations import operation
from apps.foundation.subjects import Subject
from apps.people.models import User
from apps.people.permissions import require
from apps.runbooks.models import Runbook, RunbookGroupPermission, RunbookUserPermission
from apps.runbooks.operations.checking import locked_runbook
from apps.runbooks.queries import RUNBOOK

RUNBOOK_PERMISSIONS = ("view_runbook", "dry_run_runbook", "execute_runbook", "change_runbook")


@dataclass(frozen=True)
class RunbookGrantGiven(DomainEvent):
    """A person or a group got a permission for one runbook."""

    kind: ClassVar[str] = "runbooks.runbook_grant_given"

    runbook_id: int
    permission: str
    user_id: int | None
    group: str | None
    reason: str


@dataclass(frozen=True)
class RunbookGrantTaken(DomainEvent):
    """A person or a group lost a permission for one runbook."""

    kind: ClassVar[str] = "runbooks.runbook_grant_taken"

    runbook_id: int
    permission: str
    user_id: int | None
    group: str | None
    reason: str


@operation
def grant_runbook(
    runbook_id: int,
    permission: str,
    *,
    user_id: int | None = None,
    group: str | None = None,
    reason: str = "",
    actor: Actor,
) -> None:
    """Give a person or a group one of `RUNBOOK_PERMISSIONS` for one runbook; given again, it changes nothing.

    Needs `runbooks.add_runbookuserpermission` (or `…runbookgrouppermission`). Raises NotFound, Invalid, Forbidden.
    """
    runbook = locked_runbook(runbook_id, actor)
    require(actor, _needed("add", user_id))
    holder = _holder(permission, user_id, group)
    if _holds(runbook, permission, holder):
        return
    assign_perm(permission, holder, runbook)
    event = RunbookGrantGiven(runbook_id, permission, user_id, group, reason)
    publish(event, subject=Subject(RUNBOOK, str(runbook_id)), actor=actor)


@operation
def revoke_runbook(
    runbook_id: int,
    permission: str,
    *,
    user_id: int | None = None,
    group: str | None = None,
    reason: str = "",
    actor: Actor,
) -> None:
    """Take it back; not there, it changes nothing. Needs `runbooks.delete_runbookuserpermission` or the group's."""
    runbook = locked_runbook(runbook_id, actor)
    require(actor, _needed("delete", user_id))
    holder = _holder(permission, user_id, group)
    if not _holds(runbook, permission, holder):
        return
    remove_perm(permission, holder, runbook)
    event = RunbookGrantTaken(runbook_id, permission, user_id, group, reason)
    publish(event, subject=Subject(RUNBOOK, str(runbook_id)), actor=actor)


def _needed(way: str, user_id: int | None) -> str:
    return f"runbooks.{way}_runbook{'group' if user_id is None else 'user'}permission"


def _holder(permission: str, user_id: int | None, group: str | None) -> User | Group:
    if permission not in RUNBOOK_PERMISSIONS:
        raise Invalid(f"Unknown permission {permission!r}; known are {', '.join(RUNBOOK_PERMISSIONS)}.")
    if (user_id is None) == (group is None):
        raise Invalid("A grant goes to one person or to one group.")
    found: User | Group | None
    if user_id is not None:
        found = User.objects.filter(pk=user_id, is_active=True).first()
    else:
        found = Group.objects.filter(name=group).first()
    if found is None:
        raise Invalid("There is no such active account." if user_id is not None else "There is no such group.")
    return found


def _holds(runbook: Runbook, permission: str, holder: User | Group) -> bool:
    """Whether there is this very grant; what the holder may do otherwise does not count."""
    wanted = {"content_object": runbook, "permission__codename": permission}
    if isinstance(holder, User):
        return RunbookUserPermission._default_manager.filter(user=holder, **wanted).exists()
    return RunbookGroupPermission._default_manager.filter(group=holder, **wanted).exists()
