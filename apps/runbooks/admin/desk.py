"""The runbooks, mitigations, executions and kill switches of one incident, as its command page shows them."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from django.db.models import Exists, OuterRef, Prefetch, QuerySet
from django.http import HttpRequest
from django.urls import reverse

from apps.catalog.models import Service
from apps.foundation.clock import now
from apps.incidents.admin.showing import Moment, admin_url, moment, span_text
from apps.incidents.models import Incident
from apps.people.zones import zone_of
from apps.policies.durations import duration_text, parse_duration
from apps.runbooks.admin.powers import dry_runnable, usable
from apps.runbooks.admin.showing import Progress, StateChip, chip_of_execution, progress_of
from apps.runbooks.models import DryRun, Execution, Mitigation, Runbook, RunbookVersion, StepRun
from apps.runbooks.operations.ahead import goes_ahead
from apps.runbooks.queries import visible_dry_runs, visible_executions, visible_runbooks

MOST_RUNBOOKS = 6
MOST_EXECUTIONS = 5
MOST_MITIGATIONS = 12


@dataclass(frozen=True, slots=True)
class RunbookRow:
    id: int
    name: str
    description: str
    estimate: str
    needs_approval: bool
    is_suggested: bool
    url: str
    dry_run_url: str


@dataclass(frozen=True, slots=True)
class MitigationRow:
    id: int
    name: str
    description: str
    needs_approval: bool
    url: str


@dataclass(frozen=True, slots=True)
class ExecutionRow:
    id: int
    title: str
    url: str
    chip: StateChip
    progress: Progress
    detail: str
    by: str
    at: Moment
    took: str
    is_open: bool


@dataclass(frozen=True, slots=True)
class DryRunRow:
    title: str
    url: str
    at: Moment
    by: str
    problems: int


@dataclass(frozen=True, slots=True)
class ResponseView:
    runbooks: tuple[RunbookRow, ...]
    more_runbooks_url: str
    mitigations: tuple[MitigationRow, ...]
    executions: tuple[ExecutionRow, ...]
    all_executions_url: str
    last_dry_run: DryRunRow | None
    is_at_work: bool
    executions_url: str


def response_view(incident: Incident, request: HttpRequest) -> ResponseView:
    """What can be done about the incident and what was; a constant number of queries."""
    zone, at = zone_of(request.user), now()
    executions = execution_rows(incident, request)
    runbooks = _runbooks(incident, request) if incident.is_open else []
    listed = reverse("admin:runbooks_execution_changelist")
    return ResponseView(
        runbooks=tuple(runbooks[:MOST_RUNBOOKS]),
        more_runbooks_url=f"{reverse('admin:runbooks_dryrun_new')}?incident={incident.pk}" if runbooks else "",
        mitigations=_mitigations(incident, request) if incident.is_open else (),
        executions=executions[:MOST_EXECUTIONS],
        all_executions_url=f"{listed}?incident={incident.pk}" if len(executions) > MOST_EXECUTIONS else "",
        last_dry_run=_last_dry_run(incident, request, zone, at),
        is_at_work=any(row.is_open for row in executions[:MOST_EXECUTIONS]),
        executions_url=reverse("admin:runbooks_incident_executions", args=[incident.pk]),
    )


def execution_rows(incident: Incident, request: HttpRequest) -> tuple[ExecutionRow, ...]:
    """The newest executions of the incident, one more than is shown; two queries."""
    zone, at = zone_of(request.user), now()
    steps = Prefetch("steps", queryset=StepRun.objects.defer("intent", "outcome"))
    rows = (
        visible_executions(request.user)
        .filter(incident=incident)
        .select_related("runbook")
        .defer("targets", "parameters")
        .order_by("-requested_at", "-id")
        .prefetch_related(steps)
    )
    return tuple(_execution(row, zone, at) for row in rows[: MOST_EXECUTIONS + 1])


def suggested(incident: Incident | None, user: Any) -> QuerySet[Any]:
    """Active runbooks that `user` sees and may look at, those of the incident's services first."""
    rows = visible_runbooks(user).filter(
        state=Runbook.State.ACTIVE, active_version__isnull=False, pk__in=dry_runnable(user).order_by().values("pk")
    )
    services = incident.services.order_by() if incident is not None else Service.objects.none()
    concerned = Runbook.services.through.objects.filter(runbook_id=OuterRef("pk"), service__in=services)
    return (
        rows.annotate(is_concerned=Exists(concerned))
        .select_related("active_version", "owner")
        .defer("active_version__text")
        .order_by("-is_concerned", "name")
    )


def runbook_rows(rows: Iterable[Any], incident: Incident | None, user: Any) -> list[RunbookRow]:
    """Runbooks as `user` may choose them; `rows` come from `suggested`. One query more than theirs."""
    found = list(rows)
    ahead = goes_ahead([row.active_version for row in found], user)
    return [_runbook_row(row, incident, ahead) for row in found]


def _runbook_row(runbook: Any, incident: Incident | None, ahead: Collection[int]) -> RunbookRow:
    version = runbook.active_version
    query = f"?runbook={runbook.pk}" + (f"&incident={incident.pk}" if incident is not None else "")
    return RunbookRow(
        id=runbook.pk,
        name=runbook.name,
        description=runbook.description,
        estimate=_estimate(version.content),
        needs_approval=needs_approval(version, ahead),
        is_suggested=runbook.is_concerned,
        url=admin_url("runbooks_runbook_change", runbook.pk),
        dry_run_url=reverse("admin:runbooks_dryrun_new") + query,
    )


def needs_approval(version: RunbookVersion, ahead: Collection[int]) -> bool:
    """Whether a second person must yet allow an execution; `ahead` are the versions that are approved ahead of time."""
    return version.content.get("approval", "required") != "none" and version.pk not in ahead


def _estimate(content: Any) -> str:
    """The estimate as its author wrote it; nothing without one."""
    try:
        return duration_text(parse_duration(content["estimate"]))
    except (KeyError, ValueError):
        return ""


def _runbooks(incident: Incident, request: HttpRequest) -> list[RunbookRow]:
    return runbook_rows(suggested(incident, request.user)[: MOST_RUNBOOKS + 1], incident, request.user)


def _mitigations(incident: Incident, request: HttpRequest) -> tuple[MitigationRow, ...]:
    concerned = Runbook.services.through.objects.filter(
        runbook_id=OuterRef("runbook_id"), service__in=incident.services.order_by().values("pk")
    )
    found = (
        Mitigation.objects.filter(
            pk__in=usable(request.user).order_by().values("pk"),
            runbook__state=Runbook.State.ACTIVE,
            runbook__active_version__isnull=False,
        )
        .annotate(is_concerned=Exists(concerned))
        .select_related("runbook__active_version")
        .defer("runbook__active_version__text")
        .order_by("-is_concerned", "position", "name")
    )
    rows = [(row, row.runbook.active_version) for row in found[:MOST_MITIGATIONS]]
    ahead = goes_ahead([version for _, version in rows if version is not None], request.user)
    return tuple(
        MitigationRow(
            id=row.pk,
            name=row.name,
            description=row.description,
            needs_approval=version is not None and needs_approval(version, ahead),
            url=reverse("admin:runbooks_incident_use", args=[incident.pk, row.pk]),
        )
        for row, version in rows
    )


def _execution(row: Execution, zone: ZoneInfo, at: datetime) -> ExecutionRow:
    ended = row.finished_at
    took = span_text((ended - row.started_at).total_seconds()) if ended and row.started_at else ""
    return ExecutionRow(
        id=row.pk,
        title=str(row),
        url=reverse("admin:runbooks_execution_change", args=[row.pk]),
        chip=chip_of_execution(row),
        progress=progress_of(row.steps.all()),
        detail=row.state_detail,
        by=row.requested_by_name,
        at=moment(row.requested_at, zone, at),
        took=took,
        is_open=row.state not in Execution.FINAL,
    )


def _last_dry_run(incident: Incident, request: HttpRequest, zone: ZoneInfo, at: datetime) -> DryRunRow | None:
    rows: QuerySet[DryRun] = visible_dry_runs(request.user).filter(incident=incident).select_related("runbook")
    found = rows.defer("steps", "targets").order_by("-made_at", "-id").first()
    if found is None:
        return None
    return DryRunRow(
        title=found.runbook.name,
        url=reverse("admin:runbooks_dryrun_change", args=[found.pk]),
        at=moment(found.made_at, zone, at),
        by=found.requested_by_name,
        problems=len(found.problems),
    )


def names(rows: Iterable[Any]) -> tuple[str, ...]:
    """The names of rows, in their order."""
    return tuple(str(row.name) for row in rows)
