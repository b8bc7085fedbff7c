"""A dry run as its page and the page of an approval show it: problems, steps, the whole difference."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.http import HttpRequest
from django.urls import reverse

from apps.foundation.clock import now
from apps.incidents.admin.showing import Moment, admin_url, moment, span_text
from apps.people.models import User
from apps.people.zones import zone_of
from apps.runbooks.admin.desk import needs_approval
from apps.runbooks.admin.showing import PlannedStep, parameter_pairs, planned_steps
from apps.runbooks.models import DryRun, Execution
from apps.runbooks.operations.ahead import goes_ahead
from apps.runbooks.permissions import user_may_execute, user_may_look
from apps.runbooks.queries import visible_executions


@dataclass(frozen=True, slots=True)
class Target:
    """One thing that would change; `before` and `after` are short forms of its checksums, where it has any."""

    name: str
    before: str
    after: str
    is_same: bool
    is_known: bool


@dataclass(frozen=True, slots=True)
class DryRunView:
    """`start_url` is empty where it can't be asked for, or not by this person; `again_url` where they may not look."""

    id: int
    title: str
    version: str
    steps: tuple[PlannedStep, ...]
    targets: tuple[Target, ...]
    problems: tuple[str, ...]
    change_count: int
    parameters: tuple[tuple[str, str], ...]
    estimate: str
    took: str
    by: str
    at: Moment
    needs_approval: bool
    is_stale: bool
    minutes: int
    start_url: str
    again_url: str
    execution_url: str
    execution_title: str
    incident_number: str
    incident_title: str
    incident_url: str
    runbook_url: str


def dry_run_view(dry_run: DryRun, request: HttpRequest) -> DryRunView:
    """Everything a person decides by; a constant number of queries."""
    user, at = request.user, now()
    zone = zone_of(user)
    steps = planned_steps(dry_run.steps)
    stale = at - dry_run.made_at > timedelta(minutes=settings.DRY_RUN_MINUTES)
    execution: Execution | None = visible_executions(user).filter(dry_run=dry_run).select_related("runbook").first()
    ahead = goes_ahead([dry_run.runbook_version], user)
    executes = isinstance(user, User) and user_may_execute(user, dry_run.runbook)
    may_start = executes and not dry_run.problems and not stale and execution is None
    incident = dry_run.incident
    query = f"?runbook={dry_run.runbook_id}" + (f"&incident={incident.pk}" if incident else "")
    looks = isinstance(user, User) and user_may_look(user, dry_run.runbook)
    return DryRunView(
        id=dry_run.pk,
        title=dry_run.runbook.name,
        version=str(dry_run.runbook_version),
        steps=steps,
        targets=targets_of(dry_run.targets),
        problems=tuple(str(problem) for problem in dry_run.problems),
        change_count=sum(len(step.changes) for step in steps),
        parameters=parameter_pairs(dry_run.parameters),
        estimate=span_text(dry_run.estimate_seconds) if dry_run.estimate_seconds else "",
        took=f"{dry_run.took_milliseconds} ms",
        by=dry_run.requested_by_name,
        at=moment(dry_run.made_at, zone, at),
        needs_approval=needs_approval(dry_run.runbook_version, ahead),
        is_stale=stale,
        minutes=settings.DRY_RUN_MINUTES,
        start_url=reverse("admin:runbooks_dryrun_start", args=[dry_run.pk]) if may_start else "",
        again_url=reverse("admin:runbooks_dryrun_new") + query if looks else "",
        execution_url=reverse("admin:runbooks_execution_change", args=[execution.pk]) if execution else "",
        execution_title=str(execution) if execution else "",
        incident_number=incident.number if incident else "",
        incident_title=incident.title if incident else "",
        incident_url=reverse("admin:incidents_incident_command", args=[incident.pk]) if incident else "",
        runbook_url=admin_url("runbooks_runbook_change", dry_run.runbook_id),
    )


def targets_of(targets: list[dict[str, Any]]) -> tuple[Target, ...]:
    """What would change, by name."""
    return tuple(
        Target(
            name=f"{target.get('kind', '')} {target.get('key', '')}".strip(),
            before=str(target.get("before") or "–")[:12],
            after=str(target.get("after") or "–")[:12],
            is_same=target.get("before") == target.get("after"),
            is_known=bool(target.get("before") or target.get("after")),
        )
        for target in targets
    )
