"""Approving a version of a runbook ahead of time, and executions that go by it."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from django.contrib.auth.models import AnonymousUser

from apps.approvals.models import ApprovalRequest
from apps.approvals.operations import answer_ahead, approve_ahead
from apps.approvals.permissions import require_decision
from apps.approvals.queries import content_hash, standing_ahead, why_not_ahead
from apps.foundation.actor import Actor
from apps.foundation.errors import Invalid, NotFound
from apps.foundation.operations import operation
from apps.people.models import User
from apps.runbooks.documents import document_of
from apps.runbooks.models import Execution, RunbookVersion
from apps.runbooks.nesting import runs_others
from apps.runbooks.operations.checking import locked_runbook
from apps.runbooks.planning import approved_content
from apps.runbooks.queries import execution_subject, version_subject
from apps.runbooks.secrets import Vault


@operation
def approve_version_ahead(
    version_id: int, *, reason: str, until: datetime | None = None, actor: Actor
) -> ApprovalRequest:
    """Let others execute exactly this version, with any parameters that it allows, without an approval each time.

    Until an instant (default 90 days); the same person again replaces what they said. Whoever says it can't go by it.
    Needs `approvals.decide_approvalrequest`, or to lead the owning team. Raises NotFound, Forbidden, Invalid: without a
    reason, for a version that needs no approval, and for one that runs other runbooks, whose texts may change.
    """
    version = RunbookVersion.objects.filter(pk=version_id).first()
    if version is None:
        raise NotFound("There is no such version.")
    runbook = locked_runbook(version.runbook_id, actor)
    require_decision(actor, runbook.owner_id)
    document = document_of(version)
    if document.approval != "required":
        raise Invalid("This version needs no approval: there is nothing to approve ahead.", code="needs_no_approval")
    if runs_others(document):
        raise Invalid(
            "This version runs other runbooks, whose texts may change: each execution is approved by itself.",
            code="runs_other_runbooks",
        )
    if Vault().holds(reason):
        sentence = "It holds the text of a secret: take it out, for many read it."
        raise Invalid(f"reason: {sentence}", code="secret_in_text", fields={"reason": [sentence]})
    return approve_ahead(
        version_subject(version.pk),
        version_content(version),
        title=f"Any execution of {runbook.name}, version {version.number}"[:300],
        reason=reason,
        team_id=runbook.owner_id,
        until=until,
        actor=actor,
    )


def version_content(version: RunbookVersion) -> dict[str, Any]:
    """What is approved ahead: the version's document, by its checksum."""
    return {"version": version.checksum}


def goes_ahead(versions: Iterable[RunbookVersion], user: User | AnonymousUser) -> set[int]:
    """The ids of those versions that `user` could execute now without an approval of their own.

    Only looks. One query where none is approved ahead, and a few more for each that is.
    """
    hashes = {str(version.pk): content_hash(version_content(version)) for version in versions}
    if not hashes or not isinstance(user, User):
        return set()
    kind = version_subject(0).kind
    rows = standing_ahead().filter(subject_kind=kind, subject_key__in=hashes).select_related("decided_by")
    same = (row for row in rows if row.content_hash == hashes[row.subject_key])
    return {int(row.subject_key) for row in same if not why_not_ahead(row, user)}


def answered_ahead(execution: Execution, actor: Actor) -> ApprovalRequest | None:
    """The approval of an execution of which nothing has been asked yet, where its version is approved ahead."""
    version = execution.runbook_version
    content = approved_content(version, execution.parameters, execution.targets, execution.incident_names)
    return answer_ahead(
        execution_subject(execution.pk),
        content,
        by=version_subject(version.pk),
        by_hash=content_hash(version_content(version)),
        title=f"Execute {execution.runbook.name}"[:300],
        reason=execution.reason,
        team_id=execution.runbook.owner_id,
        actor=actor,
    )
