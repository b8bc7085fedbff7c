"""Reading runbooks, dry runs and executions, and who may see which."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from django.contrib.auth.models import AnonymousUser
from django.db.models import CharField, Q, QuerySet
from django.db.models.functions import Cast

from apps.catalog.models import Membership
from apps.foundation.clock import now
from apps.foundation.subjects import Subject
from apps.incidents.queries import seen_ids
from apps.incidents.queries import subject_of as incident_subject
from apps.people.models import User
from apps.runbooks.models import (
    DryRun,
    Execution,
    Runbook,
    RunbookGroupPermission,
    RunbookUserPermission,
    RunbookVersion,
)

EXECUTION, RUNBOOK, VERSION = "execution", "runbook", "runbook_version"


# --- who sees what ----------------------------------------------------------------------------------------------------


def visible_runbooks(user: User | AnonymousUser) -> QuerySet[Runbook]:
    """The runbooks that `user` may see: all with `runbooks.view_runbook`, else those granted or of their teams."""
    if not isinstance(user, User) or not user.is_active:
        return Runbook.objects.none()
    if user.has_perm("runbooks.view_runbook"):
        return Runbook.objects.all()
    return Runbook.objects.filter(_concerned(user))


def visible_dry_runs(user: User | AnonymousUser) -> QuerySet[DryRun]:
    """The dry runs that `user` may see; of those made for an incident only where they see the incident."""
    rows = DryRun.objects.all()
    return _of_seen_incidents(rows, user, everything="runbooks.view_dryrun")


def visible_executions(user: User | AnonymousUser) -> QuerySet[Execution]:
    """The executions that `user` may see; of those made for an incident only where they see the incident."""
    rows = Execution.objects.all()
    return _of_seen_incidents(rows, user, everything="runbooks.view_execution")


def _of_seen_incidents(rows: QuerySet[Any], user: User | AnonymousUser, *, everything: str) -> QuerySet[Any]:
    if not isinstance(user, User) or not user.is_active:
        return rows.none()
    if not user.has_perm(everything):
        rows = rows.filter(Q(runbook__in=Runbook.objects.filter(_concerned(user)).values("pk")) | Q(requested_by=user))
    if user.is_superuser:
        return rows
    return rows.filter(Q(incident__isnull=True) | Q(incident__in=seen_ids(user)))


def _concerned(user: User) -> Q:
    """Runbooks of one's teams, and those granted to the person or one of their groups, in whatever way."""
    groups = user.groups.values("pk")
    return (
        Q(owner__in=Membership.objects.filter(user=user).values("team_id"))
        | Q(pk__in=RunbookUserPermission.objects.filter(user=user).values("content_object_id"))
        | Q(pk__in=RunbookGroupPermission.objects.filter(group__in=groups).values("content_object_id"))
    )


# --- what is at work --------------------------------------------------------------------------------------------------

CLAIMED = (Execution.State.RUNNING, Execution.State.COMPENSATING)
"""States in which a worker has something to do, now or at `due_at`."""


def due_executions(at: datetime) -> QuerySet[Execution]:
    """Those of which a step may be claimed at `at`, the longest due first."""
    return Execution.objects.filter(state__in=CLAIMED, due_at__lte=at).order_by("due_at", "id")


def executions_due(at: datetime) -> bool:
    """Whether a worker has something to do."""
    return due_executions(at).exists()


def at_work_by_state() -> dict[str, float]:
    """How many executions are at work, by state."""
    found = dict.fromkeys(sorted(Execution.AT_WORK), 0.0)
    for state in Execution.objects.filter(state__in=Execution.AT_WORK).values_list("state", flat=True):
        found[state] += 1.0
    return found


def oldest_due_seconds() -> float:
    """For how long the execution that waited longest has been due, in seconds; 0 when none is."""
    at = now()
    oldest = due_executions(at).values_list("due_at", flat=True).first()
    return max((at - oldest).total_seconds(), 0.0) if oldest else 0.0


# --- for `Subject("execution", …)` and `Subject("runbook", …)` ------------------------------------------------------


def subject_of(execution: Execution) -> Subject:
    """What events about an execution speak of: its incident where it has one."""
    if execution.incident_id is not None:
        return incident_subject(execution.incident_id)
    return execution_subject(execution.pk)


def execution_subject(execution_id: int) -> Subject:
    """The execution itself, as approvals and messages speak of it."""
    return Subject(EXECUTION, str(execution_id))


def execution_titles(keys: Iterable[str]) -> dict[str, str]:
    """`Economy rollback #7` by text key, with one query."""
    rows = Execution.objects.filter(pk__in=_numbers(keys)).values_list("pk", "runbook__name")
    return {str(pk): f"{name} #{pk}" for pk, name in rows}


def execution_url(key: str) -> str:
    """The page on which an execution is followed."""
    return f"/admin/runbooks/execution/{key}/change/"


def visible_execution_keys(user: Any) -> QuerySet[Any, Any]:
    """Text keys of the executions that `user` may see."""
    return _keys(visible_executions(user))


def runbook_titles(keys: Iterable[str]) -> dict[str, str]:
    """Names of runbooks by text key, with one query."""
    rows = Runbook.objects.filter(pk__in=_numbers(keys)).values_list("pk", "name")
    return {str(pk): name for pk, name in rows}


def runbook_url(key: str) -> str:
    """The page of a runbook."""
    return f"/admin/runbooks/runbook/{key}/change/"


def visible_runbook_keys(user: Any) -> QuerySet[Any, Any]:
    """Text keys of the runbooks that `user` may see."""
    return _keys(visible_runbooks(user))


def version_subject(version_id: int) -> Subject:
    """A version of a runbook, as what is approved ahead speaks of it."""
    return Subject(VERSION, str(version_id))


def version_titles(keys: Iterable[str]) -> dict[str, str]:
    """`Economy rollback v3` by text key, with one query."""
    rows = RunbookVersion.objects.filter(pk__in=_numbers(keys)).values_list("pk", "runbook__name", "number")
    return {str(pk): f"{name} v{number}" for pk, name, number in rows}


def version_url(key: str) -> str:
    """The page of a version."""
    return f"/admin/runbooks/runbookversion/{key}/change/"


def visible_version_keys(user: Any) -> QuerySet[Any, Any]:
    """Text keys of the versions of runbooks that `user` may see."""
    return _keys(RunbookVersion.objects.filter(runbook__in=visible_runbooks(user).order_by().values("pk")))


def _keys(rows: QuerySet[Any]) -> QuerySet[Any, Any]:
    found: QuerySet[Any, Any] = (
        rows.order_by().annotate(text_key=Cast("pk", CharField())).values_list("text_key", flat=True)
    )
    return found


def _numbers(keys: Iterable[str]) -> list[int]:
    return [int(key) for key in keys if key.isdecimal()]
