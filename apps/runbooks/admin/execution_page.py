"""An execution as its page shows it, as frozen values: the state, who did what, the steps, the end of its log."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from django.http import HttpRequest
from django.urls import reverse

from apps.approvals.models import ApprovalRequest
from apps.foundation.clock import now
from apps.incidents.admin.showing import Clock, Moment, Tone, admin_url, clock_text, moment, span_text
from apps.people.models import User
from apps.people.zones import zone_of
from apps.runbooks import steps as registry
from apps.runbooks.admin.next_deed import Buttons, NextDeed, buttons_of, next_deed
from apps.runbooks.admin.powers import may_bypass
from apps.runbooks.admin.showing import (
    PlannedStep,
    Progress,
    StateChip,
    chip_of_execution,
    chip_of_step,
    kind_name,
    parameter_pairs,
    planned_steps,
    progress_of,
)
from apps.runbooks.documents import InvalidRunbook, document_of
from apps.runbooks.models import Execution, LogLine, StepRun
from apps.runbooks.permissions import user_may_steer
from apps.runbooks.timing import running_seconds, target_text
from apps.runbooks.timing import span_text as step_span

MOST_LINES = 200
MOST_RAW = 4000
_CHECKSUM = re.compile("[0-9a-f]{32,}")
_TOLD_ELSEWHERE = {"error", "instructions"}
_SAID_ANYWAY = {
    Execution.State.AWAITING_APPROVAL,
    Execution.State.READY,
    Execution.State.WAITING,
    Execution.State.UNKNOWN,
}


@dataclass(frozen=True, slots=True)
class StepRow:
    """One step at work or over. `settle_url` and `finish_url` are empty where this person may not, or need not."""

    id: int
    place: str
    name: str
    kind: str
    chip: StateChip
    is_undo: bool
    is_current: bool
    progress: int
    attempts: int
    took: str
    target: str
    pace: str
    error: str
    outcome: str
    told: tuple[tuple[str, str], ...]
    raw: str
    instructions: str
    settle_url: str
    finish_url: str


@dataclass(frozen=True, slots=True)
class LogRow:
    id: int
    at: Moment
    level: str
    text: str


@dataclass(frozen=True, slots=True)
class ApprovalView:
    state: str
    text: str
    tone: str
    url: str


@dataclass(frozen=True, slots=True)
class ExecutionView:
    id: int
    title: str
    url: str
    live_url: str
    poll_seconds: int
    chip: StateChip
    detail: str
    next: NextDeed
    buttons: Buttons
    asks: StepRow | None
    clocks: tuple[Clock, ...]
    progress: Progress
    steps: tuple[StepRow, ...]
    undo: tuple[StepRow, ...]
    plan: tuple[PlannedStep, ...]
    log: tuple[LogRow, ...]
    log_is_cut: bool
    facts: tuple[tuple[str, str, Moment | None], ...]
    parameters: tuple[tuple[str, str], ...]
    approval: ApprovalView | None
    incident_number: str
    incident_title: str
    incident_url: str
    runbook_url: str
    version: str
    dry_run_url: str
    reason: str
    history_url: str


def execution_view(execution: Execution, request: HttpRequest) -> ExecutionView:
    """Everything of one execution; a constant number of queries."""
    user, at = request.user, now()
    zone = zone_of(user)
    assert isinstance(user, User)
    runs = list(execution.steps.order_by("order"))
    lines = list(LogLine.objects.filter(execution=execution).order_by("-id")[: MOST_LINES + 1])
    steers = user_may_steer(user, execution)
    rows = [_step(run, execution, at, steers=steers) for run in runs]
    incident = execution.incident
    key = [execution.pk]
    return ExecutionView(
        id=execution.pk,
        title=str(execution),
        url=reverse("admin:runbooks_execution_change", args=key),
        live_url=reverse("admin:runbooks_execution_live", args=key),
        poll_seconds=_poll_seconds(execution),
        chip=chip_of_execution(execution),
        detail="" if execution.state in _SAID_ANYWAY else execution.state_detail,
        next=next_deed(execution, runs, steers=steers),
        asks=next((row for row in rows if row.settle_url or row.finish_url), None),
        buttons=buttons_of(execution, steers=steers, bypasses=steers and may_bypass(user)),
        clocks=_clocks(execution, at),
        progress=progress_of(runs),
        steps=tuple(row for row in rows if not row.is_undo),
        undo=tuple(row for row in rows if row.is_undo),
        plan=planned_steps(execution.dry_run.steps),
        log=tuple(_line(line, zone, at) for line in reversed(lines[:MOST_LINES])),
        log_is_cut=len(lines) > MOST_LINES,
        facts=_facts(execution, zone, at),
        parameters=parameter_pairs(execution.parameters),
        approval=_approval(execution.approval),
        incident_number=incident.number if incident else "",
        incident_title=incident.title if incident else "",
        incident_url=reverse("admin:incidents_incident_command", args=[incident.pk]) if incident else "",
        runbook_url=admin_url("runbooks_runbook_change", execution.runbook_id),
        version=str(execution.runbook_version),
        dry_run_url=reverse("admin:runbooks_dryrun_change", args=[execution.dry_run_id]),
        reason=execution.reason,
        history_url=reverse("admin:runbooks_execution_history", args=key),
    )


def _poll_seconds(execution: Execution) -> int:
    """Each second while it is at work, seldom while people decide, not at all once it is over."""
    if execution.state in Execution.FINAL:
        return 0
    return 1 if execution.state in Execution.AT_WORK else 5


def took_text(run: StepRun, running: float | None) -> str:
    """How long it took, or is at work by now."""
    if run.state == StepRun.State.SKIPPED:
        return ""
    if running is not None:
        return f"{span_text(running)} so far"
    return "" if run.took_seconds is None else f"took {step_span(run.took_seconds)}"


def _step(run: StepRun, execution: Execution, at: datetime, *, steers: bool) -> StepRow:
    settles = steers and run.state == StepRun.State.UNKNOWN
    finishes = steers and run.state == StepRun.State.WAITING and run.kind == "manual"
    running = running_seconds(run, at)
    late = running is not None and run.target_seconds is not None and running > run.target_seconds
    is_undo = run.direction == StepRun.Direction.COMPENSATE
    key = [execution.pk, run.pk]
    return StepRow(
        id=run.pk,
        place=f"↩ {run.position}" if is_undo else str(run.position),
        name=run.name,
        kind=kind_name(run.kind),
        chip=chip_of_step(run),
        is_undo=is_undo,
        is_current=run.state in {StepRun.State.RUNNING, StepRun.State.WAITING, StepRun.State.UNKNOWN},
        progress=run.progress if run.state in {StepRun.State.RUNNING, StepRun.State.WAITING} else 0,
        attempts=run.attempts,
        took=took_text(run, running),
        target=target_text(run),
        pace="late" if late else run.pace.value,
        error=run.error,
        outcome="" if (told := _told(run)) else _outcome(run),
        told=told,
        raw=_raw(run),
        instructions=instructions_of(run) if run.state == StepRun.State.WAITING else "",
        settle_url=reverse("admin:runbooks_execution_settle", args=key) if settles else "",
        finish_url=reverse("admin:runbooks_execution_finish", args=key) if finishes else "",
    )


def _told(run: StepRun) -> tuple[tuple[str, str], ...]:
    """What came of a step that is over, as its kind tells it."""
    if not _is_over(run) or not registry.known(run.kind):
        return ()
    kept = [part if isinstance(part, dict) else {} for part in (run.intent, run.outcome)]
    return tuple((name, value) for name, value in registry.kind(run.kind).told(*kept) if value)


def _is_over(run: StepRun) -> bool:
    """Whether there is something to tell of it, be it that nobody knows."""
    return run.finished_at is not None or run.state == StepRun.State.UNKNOWN


def _raw(run: StepRun) -> str:
    """What was recorded, as it was recorded; the beginning of much, for the API has all of it."""
    if run.outcome is None or not _is_over(run):
        return ""
    text = json.dumps({"intent": run.intent, "outcome": run.outcome}, indent=2, ensure_ascii=False)
    return text if len(text) <= MOST_RAW else f"{text[:MOST_RAW]}\n…"


def _outcome(run: StepRun) -> str:
    """The same of a kind that tells nothing, in one line: its plain values but checksums."""
    found = run.outcome if isinstance(run.outcome, dict) else {}
    plain = {name: value for name, value in found.items() if isinstance(value, str | int | float)}
    told = {
        name.replace("_", " "): value
        for name, value in plain.items()
        if value != "" and name not in _TOLD_ELSEWHERE and not (isinstance(value, str) and _CHECKSUM.fullmatch(value))
    }
    return " · ".join(f"{name} {_short(value)}" for name, value in list(told.items())[:6])


def instructions_of(run: StepRun) -> str:
    """What a manual step asks for, as its intent kept it."""
    intent = run.intent if isinstance(run.intent, dict) else {}
    options = intent.get("with")
    return str(options.get("instructions", "")) if isinstance(options, dict) else ""


def _short(value: object) -> str:
    text = "yes" if value is True else "no" if value is False else str(value)
    return text if len(text) <= 60 else f"{text[:57]}…"  # noqa: PLR2004  # about one line


def _line(line: LogLine, zone: ZoneInfo, at: datetime) -> LogRow:
    return LogRow(line.pk, moment(line.at, zone, at), line.level, line.text)


def _approval(request: ApprovalRequest | None) -> ApprovalView | None:
    if request is None:
        return None
    tones = {"approved": "ok", "bypassed": "danger", "pending": "warn"}
    by = f" by {request.decided_by_name}" if request.decided_by_name else ""
    why = f": {request.decision_reason}" if request.decision_reason else ""
    return ApprovalView(
        state=request.state,
        text=f"{request.get_state_display()}{by}{why}",
        tone=tones.get(request.state, "danger"),
        url=admin_url("approvals_approvalrequest_change", request.pk),
    )


def target_seconds(execution: Execution) -> int:
    """The time limit that the runbook promises; 0 without one."""
    try:
        return int(document_of(execution.runbook_version).target or 0)
    except InvalidRunbook:
        return 0


def _clocks(execution: Execution, at: datetime) -> tuple[Clock, ...]:
    """Elapsed since the start, and what is left of the target; what it took, once it is over."""
    started, ended, target = execution.started_at, execution.finished_at, target_seconds(execution)
    if started is None:
        return (Clock("target", span_text(target)),) if target else ()
    took = ((ended or at) - started).total_seconds()
    late = bool(target) and took > target
    tone: Tone = "danger" if late else ""
    if ended is not None:
        judged = Clock("over target" if late else "within target", clock_text(target - took), tone=tone or "ok")
        return (Clock("took", clock_text(took), tone=tone), *([judged] if target else []))
    elapsed = Clock("elapsed", clock_text(took), "up", _iso(started), tone)
    name = "over target" if late else f"left of {span_text(target)}"
    left = Clock(name, clock_text(target - took), "down", _iso(started + timedelta(seconds=target)), tone)
    return (elapsed, *([left] if target else []))


def _iso(at: datetime) -> str:
    return at.isoformat(timespec="seconds").replace("+00:00", "Z")


def _facts(execution: Execution, zone: ZoneInfo, at: datetime) -> tuple[tuple[str, str, Moment | None], ...]:
    """Who did what, when."""
    rows: list[tuple[str, str, Moment | None]] = [
        ("Asked for by", execution.requested_by_name, moment(execution.requested_at, zone, at))
    ]
    approval = execution.approval
    if approval is not None and approval.decided_at is not None and approval.decided_by_name:
        verb = {"approved": "Approved by", "refused": "Refused by", "bypassed": "Bypassed by"}.get(approval.state)
        if verb:
            rows.append((verb, approval.decided_by_name, moment(approval.decided_at, zone, at)))
    if execution.started_at is not None:
        starter = execution.started_by.name if execution.started_by else "the portal"
        rows.append(("Started by", starter, moment(execution.started_at, zone, at)))
    if execution.cancel_requested_at is not None:
        rows.append(("Cancel asked for", "", moment(execution.cancel_requested_at, zone, at)))
    if execution.finished_at is not None:
        rows.append(("Ended", "", moment(execution.finished_at, zone, at)))
    return tuple(rows)
