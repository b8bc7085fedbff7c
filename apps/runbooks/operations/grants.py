"""Permissions for one runbook and for one mitigation, beyond what groups give."""

from __future__ import annotations

from apps.engine.operations import publish
from apps.foundation.actor import Actor
from apps.foundation.errors import NotFound
from apps.foundation.operations import operation
from apps.foundation.subjects import Subject
from apps.people.operations.grants import give_grant, take_grant
from apps.runbooks.events import MitigationGrantGiven, MitigationGrantTaken, RunbookGrantGiven, RunbookGrantTaken
from apps.runbooks.models import Mitigation
from apps.runbooks.operations.checking import locked_runbook
from apps.runbooks.queries import RUNBOOK

RUNBOOK_PERMISSIONS = ("view_runbook", "dry_run_runbook", "execute_runbook", "change_runbook")
MITIGATION_PERMISSIONS = ("use_mitigation", "view_mitigation")


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
    if give_grant(runbook, permission, RUNBOOK_PERMISSIONS, user_id=user_id, group=group, actor=actor):
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
    if take_grant(runbook, permission, RUNBOOK_PERMISSIONS, user_id=user_id, group=group, actor=actor):
        event = RunbookGrantTaken(runbook_id, permission, user_id, group, reason)
        publish(event, subject=Subject(RUNBOOK, str(runbook_id)), actor=actor)


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
    if give_grant(mitigation, permission, MITIGATION_PERMISSIONS, user_id=user_id, group=group, actor=actor):
        event = MitigationGrantGiven(mitigation_id, permission, user_id, group, reason)
        publish(event, subject=Subject(RUNBOOK, str(mitigation.runbook_id)), actor=actor)


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
    if take_grant(mitigation, permission, MITIGATION_PERMISSIONS, user_id=user_id, group=group, actor=actor):
        event = MitigationGrantTaken(mitigation_id, permission, user_id, group, reason)
        publish(event, subject=Subject(RUNBOOK, str(mitigation.runbook_id)), actor=actor)


def _locked(mitigation_id: int) -> Mitigation:
    found = Mitigation.objects.select_for_update().filter(pk=mitigation_id).first()
    if found is None:
        raise NotFound("There is no such mitigation.")
    return found
