"""`approval`: another person is asked in the middle of a runbook; it goes on once they said yes."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Annotated, Any

from pydantic import Field, StringConstraints

from apps.approvals.models import ApprovalRequest
from apps.approvals.operations import request_approval
from apps.approvals.queries import content_hash, require_approved
from apps.catalog.queries import teams_by_slug
from apps.foundation.clock import now
from apps.foundation.errors import Conflict
from apps.policies.durations import Duration, duration_text
from apps.runbooks.models import Execution
from apps.runbooks.queries import execution_subject
from apps.runbooks.secrets import Vault
from apps.runbooks.steps.base import (
    Effect,
    Options,
    Outcome,
    Preview,
    StepContext,
    StepKind,
    acting,
    written_options,
)


class ApprovalOptions(Options):
    """`with` of an `approval`. `team` is whose leads may decide too, the owner's unless given; `within` how long."""

    asks: Annotated[str, StringConstraints(min_length=1, max_length=300)]
    team: Annotated[str, StringConstraints(max_length=60)] = ""
    within: Annotated[Duration, Field(ge=60, le=86_400)] = 1800


class Approval(StepKind):
    """Asks once for an execution and a step; whoever started the execution can't decide. A no is a failed step."""

    name = "approval"
    title = "Approval"
    options = ApprovalOptions
    outcome_fields = ("by", "note")

    def effect(self, options: ApprovalOptions) -> Effect:
        return "internal"

    def preview(self, options: ApprovalOptions, context: StepContext) -> Preview:
        team = teams_by_slug([options.team]).get(options.team) if options.team else None
        problem = f"There is no team `{options.team}`." if options.team and team is None else ""
        whom = f"the leads of {team.name}, or " if team else ""
        text = f"Asks {whom}somebody else who may decide: “{options.asks}” Waits {duration_text(options.within)}."
        return Preview(text=text, problems=[problem] if problem else [], estimate_seconds=min(options.within, 300))

    def perform(self, options: ApprovalOptions, context: StepContext) -> Outcome:
        assert context.execution_id is not None, "only an execution asks"
        # A request is stored, and many read it: no place for a secret, whatever the runbook says.
        asks = Vault().mask_text(options.asks)
        content: dict[str, Any] = {"step": context.idempotency_key, "asks": asks}
        content |= {"parameters": dict(context.parameters), "targets": list(context.targets)}
        digest, subject = content_hash(content), execution_subject(context.execution_id)
        rows = ApprovalRequest.objects.filter(subject_kind=subject.kind, subject_key=subject.key, content_hash=digest)
        row = rows.order_by("-pk").first()
        if row is None:
            row = request_approval(
                subject,
                content,
                title=asks,
                reason=context.reason,
                team_id=_team_id(options, context.execution_id),
                minutes=options.within // 60,
                actor=acting(context),
            )
            context.log(f"Asks for an approval: {asks}")
        return _outcome(row, digest)

    def probe(self, options: ApprovalOptions, context: StepContext) -> Outcome | None:
        return self.perform(options, context)

    def told(self, intent: Mapping[str, Any], data: Mapping[str, Any]) -> list[tuple[str, str]]:
        asks = written_options(intent).get("asks")
        rows = [("Asks", str(asks))] if asks else []
        rows += [("Approved by", str(data["by"]))] if data.get("by") else []
        return [*rows, *([("Note", str(data["note"]))] if data.get("note") else [])]

    def readable(self, options: Mapping[str, Any]) -> str:
        return str(options.get("asks", ""))


def _team_id(options: ApprovalOptions, execution_id: int) -> int | None:
    if options.team and (team := teams_by_slug([options.team]).get(options.team)) is not None:
        return team.pk
    return Execution.objects.values_list("runbook__owner_id", flat=True).filter(pk=execution_id).first()


def _outcome(row: ApprovalRequest, digest: str) -> Outcome:
    known = {"request_id": row.pk}
    if row.state == ApprovalRequest.State.PENDING and row.expires_at > now():
        # A decision wakes it at once; this is for when nobody decides.
        return Outcome("waiting", data=known, due_at=row.expires_at + timedelta(seconds=1))
    try:
        require_approved(row, digest)
    except Conflict as error:
        said = f" {row.decided_by_name}: {row.decision_reason}" if row.decision_reason else ""
        return Outcome("failed", data=known, error=f"{error.message}{said}")
    return Outcome("succeeded", data={**known, "by": row.decided_by_name, "note": row.decision_reason})
