"""What the page of an approval shows of an execution: its steps and the whole difference."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest
from django.urls import reverse

from apps.approvals.models import ApprovalRequest
from apps.runbooks.admin.dry_run_page import targets_of
from apps.runbooks.admin.showing import chip_of_execution, parameter_pairs, planned_steps
from apps.runbooks.models import Execution
from apps.runbooks.queries import visible_executions


def execution_display(approval: ApprovalRequest, request: HttpRequest) -> dict[str, Any]:
    """The dry run behind what is asked for. Nothing for an execution that the reader may not see."""
    key = approval.subject_key
    if not (key.isascii() and key.isdecimal()):
        return {"execution": None}
    rows = visible_executions(request.user).select_related("runbook", "runbook_version__runbook", "dry_run", "incident")
    execution: Execution | None = rows.filter(pk=int(key)).first()
    if execution is None:
        return {"execution": None}
    steps = planned_steps(execution.dry_run.steps)
    return {
        "execution": execution,
        "chip": chip_of_execution(execution),
        "execution_url": reverse("admin:runbooks_execution_change", args=[execution.pk]),
        "dry_run_url": reverse("admin:runbooks_dryrun_change", args=[execution.dry_run_id]),
        "steps": steps,
        "change_count": sum(len(step.changes) for step in steps),
        "targets": targets_of(execution.targets),
        "parameters": parameter_pairs(execution.parameters),
        "version": str(execution.runbook_version),
        "incident": execution.incident,
    }
