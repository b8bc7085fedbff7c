"""Asking for an execution, and starting it: the preflight again, the approval, the locks on what it changes."""

from __future__ import annotations

from datetime import timedelta

from django.conf import settings
from django.db import IntegrityError, transaction

from apps.approvals.models import ApprovalRequest
from apps.approvals.operations import bypass, no_longer_ahead, request_approval, void_for
from apps.approvals.queries import require_approved
from apps.foundation.actor import Actor
from apps.foundation.checking import checked_text
from apps.foundation.clock import now
from apps.foundation.errors import Conflict, Invalid, NotFound, PreconditionFailed
from apps.foundation.operations import operation
from apps.people.queries import user_of
from apps.runbooks.documents import document_of
from apps.runbooks.events import Requested, Started
from apps.runbooks.models import DryRun, Execution, Runbook, StepRun, TargetLock
from apps.runbooks.operations.ahead import answered_ahead
from apps.runbooks.operations.attempts import FORWARD, step_key
from apps.runbooks.operations.claiming import keep, locked
from apps.runbooks.operations.outcomes import ring_workers
from apps.runbooks.operations.telling import log, tell
from apps.runbooks.permissions import no_such_execution, require_execute, require_steer
from apps.runbooks.planning import Plan, approved_content, look
from apps.runbooks.queries import execution_subject, visible_dry_runs
from apps.runbooks.secrets import Vault

MAX_REASON = 2000
_BEFORE_START = (Execution.State.AWAITING_APPROVAL, Execution.State.READY)


@operation
def start(dry_run_id: int, *, reason: str = "", actor: Actor) -> Execution:
    """Ask for what a dry run showed; where the runbook wants an approval, a second person is asked for it.

    The same dry run again by the same person is the same execution. Nothing runs yet: that is `execute`. Raises
    NotFound, Forbidden without `execute_runbook`, Conflict for a dry run with problems, one that is older than
    DRY_RUN_MINUTES, one of a version that is no longer active, and dry_run_used for one whose execution was cancelled.
    """
    dry_run = _dry_run(dry_run_id, actor)
    require_execute(actor, dry_run.runbook)
    return ask_for(dry_run, checked_reason(reason), actor)


def ask_for(dry_run: DryRun, reason: str, actor: Actor) -> Execution:
    """`start` for callers that have checked the actor's permission in their own way, with the dry run locked."""
    mine = Execution.objects.filter(dry_run=dry_run, requested_by_id=actor.user_id)
    there = mine.filter(requested_by_name=actor.name[:120]).first() if actor.user_id is None else mine.first()
    if there is not None and there.state == Execution.State.CANCELLED:
        text = f"Execution {there.pk} of this dry run was cancelled ({there.state_detail}): make a new dry run."
        raise Conflict(text, code="dry_run_used", extra={"execution_id": there.pk})
    if there is not None:
        return there
    _check_dry_run(dry_run)
    wanted = document_of(dry_run.runbook_version).approval == "required"
    execution = Execution.objects.create(
        runbook=dry_run.runbook,
        runbook_version=dry_run.runbook_version,
        incident_id=dry_run.incident_id,
        dry_run=dry_run,
        parameters=dry_run.parameters,
        incident_names=dry_run.incident_names,
        targets=dry_run.targets,
        content_hash=dry_run.content_hash,
        state=Execution.State.AWAITING_APPROVAL if wanted else Execution.State.READY,
        state_detail="Somebody else has to allow it." if wanted else "",
        reason=reason,
        requested_by_id=actor.user_id,
        requested_by_name=actor.name[:120],
    )
    if wanted:
        # The row comes first: approvals speak of it by its number, and show it to who may see it.
        _have_answered(execution, actor)
    log(execution, f"{actor.name} asks for it." + (f" {reason}" if reason else ""))
    waits_for = execution.approval_id if execution.state == Execution.State.AWAITING_APPROVAL else None
    event = Requested(execution_id=execution.pk, runbook=execution.runbook.name, approval_id=waits_for, reason=reason)
    tell(execution, event, actor)
    return execution


def _have_answered(execution: Execution, actor: Actor) -> None:
    """Have it approved by what stands ahead about its version; else ask a second person."""
    ahead = answered_ahead(execution, actor)
    if ahead is None:
        keep(execution, approval=_ask(execution, actor))
        return
    detail = f"{ahead.decided_by_name}: {ahead.decision_reason}"
    keep(execution, approval=ahead, state=Execution.State.READY, state_detail=detail)
    log(execution, f"Needs no approval of its own. {detail}")


def execute(execution_id: int, *, expected_version: int | None = None, actor: Actor) -> Execution:
    """Start it: a worker does the first step at once.

    First the preflight runs again, outside any transaction. When it would not do any more what was asked for, the
    approval is void and nothing starts (Conflict plan_changed). Raises NotFound, Forbidden, PreconditionFailed, and
    Conflict: already_started, not_ready, preflight_failed, target_locked, or why the approval does not hold.
    """
    plan = preflight(execution_id, actor=actor)
    return begin(execution_id, plan, expected_version=expected_version, actor=actor)


def bypass_and_execute(execution_id: int, *, reason: str, actor: Actor) -> Execution:
    """Start it in an emergency without its approval: needs `approvals.bypass_approvalrequest` and a reason as well.

    Everybody who might have decided is told. Otherwise as `execute`.
    """
    plan = preflight(execution_id, actor=actor)
    return begin(execution_id, plan, bypass_reason=checked_reason(reason, required=True), actor=actor)


def preflight(execution_id: int, *, actor: Actor) -> Plan:
    """Look again at what it would do now: reads, and asks the network. Raises what `execute` raises before that."""
    rows = Execution.objects.select_related("runbook", "runbook_version__runbook", "approval")
    execution = rows.filter(pk=execution_id).first()
    if execution is None:
        raise no_such_execution()
    require_steer(actor, execution)
    _check_state(execution)
    return look(execution.runbook_version, execution.parameters, incident_id=execution.incident_id, actor=actor)


def begin(
    execution_id: int,
    plan: Plan,
    *,
    expected_version: int | None = None,
    bypass_reason: str | None = None,
    actor: Actor,
) -> Execution:
    """The rest of `execute`, once the preflight has been made. A plan that no longer fits voids the approval."""
    execution = _begin(execution_id, plan, expected_version=expected_version, bypass_reason=bypass_reason, actor=actor)
    if execution is None:
        raise Conflict(
            "It would not do any more what was asked for: something changed since the dry run. Make a new one.",
            code="plan_changed",
        )
    if execution.started_at is None:
        raise Conflict(execution.state_detail, code="approval_pending", extra={"approval_id": execution.approval_id})
    return execution


@operation
def _begin(
    execution_id: int, plan: Plan, *, expected_version: int | None, bypass_reason: str | None, actor: Actor
) -> Execution | None:
    """None, with its approval void, when the plan is not the one that was asked for.

    Where it went by what was approved ahead and that no longer stands, a second person is asked and it has not begun.
    """
    execution = locked(execution_id)
    if execution is None:
        raise no_such_execution()
    require_steer(actor, execution)
    if expected_version is not None and expected_version != execution.version:
        raise PreconditionFailed("It has changed since you looked: look again.", extra={"version": execution.version})
    _check_state(execution)
    if plan.content_hash != execution.content_hash and not plan.problems:
        what = _what_changed(execution, plan)
        void_for(execution_subject(execution.pk), reason=f"What it would do has changed{what}.", actor=actor)
        drop(execution, f"What it would do has changed since the dry run{what}: make a new one.")
        return None
    if plan.problems:
        raise Conflict(
            f"The preflight failed: {plan.problems[0]}", code="preflight_failed", extra={"problems": plan.problems}
        )
    fell = _fallen_back(execution, actor)
    asked = execution.approval
    if bypass_reason is not None and asked is not None and asked.answered_by_id is None:
        bypass(asked.pk, reason=bypass_reason, actor=actor)
    elif fell and bypass_reason is None:
        return execution
    _check_approval(execution)
    _take_targets(execution)
    set_off(execution, actor)
    return execution


def _fallen_back(execution: Execution, actor: Actor) -> bool:
    """Ask a second person after all, where the answer given ahead no longer holds for who starts it."""
    answer = execution.approval
    why = no_longer_ahead(answer, actor=actor) if answer is not None else ""
    if not why:
        return False
    void_for(execution_subject(execution.pk), reason=why, actor=actor)
    detail = f"{why} Somebody else has to allow it."
    keep(execution, approval=_ask(execution, actor), state=Execution.State.AWAITING_APPROVAL, state_detail=detail)
    log(execution, detail, level="warning")
    return True


def _what_changed(execution: Execution, plan: Plan) -> str:
    """Which targets are not as they were looked at, for people; empty where something else differs."""
    found = [target for target in plan.targets if target not in execution.targets]
    found += [target for target in execution.targets if target not in plan.targets]
    names = dict.fromkeys(f"{target['kind']} {target['key']}" for target in found)
    return f" ({', '.join(names)[:300]})" if names else ""


def set_off(execution: Execution, actor: Actor) -> None:
    """Begin with the first step of an execution that may begin; for `execute` and sub-runbooks."""
    at, document = now(), document_of(execution.runbook_version)
    for place, step in enumerate(document.steps, start=1):
        StepRun.objects.create(
            execution=execution, position=place, order=place, direction=FORWARD,
            slug=step.slug, name=step.name, kind=step.kind,
            idempotency_key=step_key(execution, place, step.slug), target_seconds=step.target,
        )  # fmt: skip
    keep(
        execution, state=Execution.State.RUNNING, state_detail="",
        started_by_id=actor.user_id, started_at=at, due_at=at,
    )  # fmt: skip
    log(execution, f"{actor.name} starts it: {len(document.steps)} steps.")
    event = Started(
        execution_id=execution.pk, runbook=execution.runbook.name,
        steps=len(document.steps), target_seconds=document.target or 0,
    )  # fmt: skip
    tell(execution, event, actor)
    ring_workers()


def _take_targets(execution: Execution) -> None:
    """One execution at a time on each target. Raises Conflict target_locked."""
    keys = sorted({f"{item['kind']}:{item['key']}"[:200] for item in execution.targets})
    held = TargetLock.objects.filter(target__in=keys).values_list("target", flat=True)
    try:
        if not held:
            with transaction.atomic():
                TargetLock.objects.bulk_create([TargetLock(target=key, execution=execution) for key in keys])
            return
    except IntegrityError:
        held = TargetLock.objects.filter(target__in=keys).values_list("target", flat=True)
    names = ", ".join(sorted(held)) or ", ".join(keys)
    raise Conflict(
        f"Another execution is at work on {names}: wait until it is over.",
        code="target_locked",
        extra={"targets": sorted(held)},
    )


def _check_state(execution: Execution) -> None:
    if execution.state in _BEFORE_START:
        return
    if execution.started_at is not None:
        raise Conflict("It has been started already.", code="already_started")
    _check_approval(execution)
    raise Conflict(f"It can't be started: {execution.state_detail or 'it was cancelled.'}", code="not_ready")


def _check_approval(execution: Execution) -> None:
    if document_of(execution.runbook_version).approval != "required":
        return
    approval = ApprovalRequest.objects.filter(pk=execution.approval_id).first() if execution.approval_id else None
    require_approved(approval, execution.content_hash)


def _ask(execution: Execution, actor: Actor) -> ApprovalRequest:
    content = approved_content(
        execution.runbook_version, execution.parameters, execution.targets, execution.incident_names
    )
    return request_approval(
        execution_subject(execution.pk),
        content,
        title=f"Execute {execution.runbook.name}"[:300],
        reason=execution.reason,
        team_id=execution.runbook.owner_id,
        actor=actor,
    )


def drop(execution: Execution, detail: str) -> None:
    """It will never start: the final state, with the reason."""
    keep(execution, state=Execution.State.CANCELLED, state_detail=detail, finished_at=now(), due_at=None)
    log(execution, detail, level="warning")


def _dry_run(dry_run_id: int, actor: Actor) -> DryRun:
    user = user_of(actor)
    seen = DryRun.objects.all() if actor.is_system else visible_dry_runs(user) if user else DryRun.objects.none()
    rows = DryRun.objects.select_for_update(of=("self",)).select_related("runbook", "runbook_version")
    found = rows.filter(pk=dry_run_id).first() if seen.filter(pk=dry_run_id).exists() else None
    if found is None:
        raise NotFound("There is no such dry run, or you may not see it.")
    return found


def _check_dry_run(dry_run: DryRun) -> None:
    if dry_run.problems:
        raise Conflict(
            f"The dry run found a problem: {dry_run.problems[0]}",
            code="dry_run_has_problems",
            extra={"problems": dry_run.problems},
        )
    if dry_run.made_at < now() - timedelta(minutes=settings.DRY_RUN_MINUTES):
        raise Conflict(
            f"The dry run is older than {settings.DRY_RUN_MINUTES} minutes: make a new one.", code="dry_run_too_old"
        )
    runbook = dry_run.runbook
    if runbook.state != Runbook.State.ACTIVE or runbook.active_version_id != dry_run.runbook_version_id:
        raise Conflict("The runbook has changed since the dry run: make a new one.", code="dry_run_outdated")


def checked_reason(reason: str, *, required: bool = False) -> str:
    """`reason` without blanks around it. Invalid when it is missing though required, too long, or has a NUL, and for
    one with the text of a secret: it is stored, and many read it."""
    found = checked_text(reason, "reason", most=MAX_REASON, required=required)
    if found and Vault().holds(found):
        sentence = "It holds the text of a secret: take it out, for many read it."
        raise Invalid(f"reason: {sentence}", code="secret_in_text", fields={"reason": [sentence]})
    return found
