"""The permission to press one button, beyond what groups give."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from django.contrib.auth.models import Group
from guardian.shortcuts import assign_perm, remove_perm

from apps.engine.events import DomainEvent
from apps.engine.operations import publish
from apps.foundation.actor import Actor
from apps.foundation.errors import Invalid, NotFound
from apps.foundation.operations import operation
from apps.foundation.subjects import Subject
from apps.people.models import User
from apps.people.permissions import require
from apps.runbooks.models import Mitigation, MitigationGroupPermission, MitigationUserPermission
from apps.runbooks.queries import RUNBOOK

MITIGATION_PERMISSIONS = ("use_mitigation", "view_mitigation")


@dataclass(frozen=True)
class MitigationGrantGiven(DomainEvent):
    """A person or a group got a permission for one mitigation."""

    kind: ClassVar[str] = "runbooks.mitigation_grant_given"

    mitigation_id: int
    permission: str
    user_id: int | None
    group: str | None
    reason: str


@dataclass(frozen=True)
class MitigationGrantTaken(DomainEvent):
    """A person or a group lost a permission for one mitigation."""

    kind: ClassVar[str] = "runbooks.mitigation_grant_taken"

    mitigation_id: int
    permission: str
    user_id: int | None
    group: str | None
    reason: str


@operation
def grant_mitigation(
    mitigation_id: int,
    permission: str,
    *,
    user_id: int | None = None,
    group: str | None = None,
    reason: str = "",
    actor: Actor,
) -> None:
    """Give a person or a group one of `MITIGATION_PERMISSIONS` for one mitigation; given again, it changes nothing.

    Needs `runbooks.add_mitigationuserpermission` (or that of groups). Raises NotFound, Invalid, Forbidden.
    """
    mitigation = _locked(mitigation_id)
    require(actor, _needed("add", user_id))
    holder = _holder(permission, user_id, group)
    if _holds(mitigation, permission, holder):
        return
    assign_perm(permission, holder, mitigation)
    event = MitigationGrantGiven(mitigation_id, permission, user_id, group, reason)
    publish(event, subject=_subject(mitigation), actor=actor)


@operation
def revoke_mitigation(
    mitigation_id: int,
    permission: str,
    *,
    user_id: int | None = None,
    group: str | None = None,
    reason: str = "",
    actor: Actor,
) -> None:
    """Take it back; not there, it changes nothing. Needs `runbooks.delete_mitigationuserpermission` or the group's."""
    mitigation = _locked(mitigation_id)
    require(actor, _needed("delete", user_id))
    holder = _holder(permission, user_id, group)
    if not _holds(mitigation, permission, holder):
        return
    remove_perm(permission, holder, mitigation)
    event = MitigationGrantTaken(mitigation_id, permission, user_id, group, reason)
    publish(event, subject=_subject(mitigation), actor=actor)


def _locked(mitigation_id: int) -> Mitigation:
    found = Mitigation.objects.select_for_update().filter(pk=mitigation_id).first()
    if found is None:
        raise NotFound("There is no such mitigation.")
    return found


def _subject(mitigation: Mitigation) -> Subject:
    return Subject(RUNBOOK, str(mitigation.runbook_id))


def _needed(way: str, user_id: int | None) -> str:
    return f"runbooks.{way}_mitigation{'group' if user_id is None else 'user'}permission"


def _holder(permission: str, user_id: int | None, group: str | None) -> User | Group:
    if permission not in MITIGATION_PERMISSIONS:
        raise Invalid(f"Unknown permission {permission!r}; known are {', '.join(MITIGATION_PERMISSIONS)}.")
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


def _holds(mitigation: Mitigation, permission: str, holder: User | Group) -> bool:
    """Whether there is this very grant; what the holder may do otherwise does not count."""
    wanted = {"content_object": mitigation, "permission__codename": permission}
    if isinstance(holder, User):
        return MitigationUserPermission._default_manager.filter(user=holder, **wanted).exists()
    return MitigationGroupPermission._default_manager.filter(group=holder, **wanted).exists()
