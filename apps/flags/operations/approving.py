"""Changes that a second person must approve: proposing them, and what an answer means."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from django.conf import settings

from apps.approvals.models import ApprovalRequest
from apps.approvals.operations import request_approval, void_for
from apps.approvals.queries import content_hash
from apps.engine.timers import NewTimer, schedule_many
from apps.flags.models import Flag, FlagChange
from apps.flags.queries import change_in_words, proposal_subject
from apps.foundation.actor import Actor
from apps.foundation.clock import now
from apps.foundation.errors import Conflict

CHANGE_TIMER = "flags.change"
_ALLOWING = (ApprovalRequest.State.APPROVED, ApprovalRequest.State.BYPASSED)
_STATE = FlagChange.State


def demands_approval(flag: Flag) -> bool:
    """Whether a second person must approve what changes its answers: it says so itself, or its environment does."""
    return flag.needs_approval or flag.environment.slug in settings.FLAG_APPROVAL_ENVIRONMENTS


def is_free(change: Any) -> bool:
    """A kill waits for nobody."""
    return bool(change == {"state": Flag.State.KILLED.value})


def content_of(flag: Flag, changes: Sequence[FlagChange], *, at_once: bool) -> dict[str, Any]:
    """What exactly is approved: these changes, at these instants, of this version of the flag."""
    return {
        "flag": flag.key,
        "environment": flag.environment.slug,
        "version": changes[0].base_version,
        "changes": [{"change": each.change, "at": None if at_once else each.due_at.isoformat()} for each in changes],
    }


def ask_for(flag: Flag, changes: Sequence[FlagChange], *, at_once: bool, actor: Actor) -> None:
    """Ask a second person about all of these together; what was proposed of the flag before is void."""
    drop_proposals(flag, "Something else is proposed now.", actor=actor, but=changes)
    first, more = changes[0], len(changes) - 1
    words = change_in_words(first) + (f" And {more} more." if more else "")
    request = request_approval(
        proposal_subject(first),
        content_of(flag, changes, at_once=at_once),
        title=f"Flag {flag.key} in {flag.environment.name}: {words}"[:300],
        reason=first.reason,
        team_id=flag.owner_id,
        actor=actor,
    )
    for each in changes:
        each.approval = request
        each.save(update_fields=["approval"])


def drop_proposals(
    flag: Flag, why: str, *, actor: Actor, but: Sequence[FlagChange] = (), start_of: str | None = None
) -> None:
    """Void what waits for an approval: it was asked for another version of the flag. One query where there is none.

    With `start_of` only the start of the experiment of this key.
    """
    found = FlagChange.objects.filter(flag=flag, state=_STATE.PROPOSED).exclude(pk__in=[each.pk for each in but])
    if start_of is not None:
        found = found.filter(change__start__experiment=start_of)
    rows = list(found.order_by("pk"))
    for row in rows:
        row.state, row.finished_at, row.detail = _STATE.FAILED, now(), why[:300]
        row.save(update_fields=["state", "finished_at", "detail"])
    for row in rows:
        void_for(proposal_subject(row), reason=why, actor=actor)


def follow_answer(request_id: int, *, is_yes: bool, words: str) -> list[FlagChange]:
    """Take over an answer: what was proposed waits for its instant, or is over; what changed. A repeat finds nothing.

    What is done at once is due now: the timer does it on behalf of whoever proposed it.
    """
    rows = FlagChange.objects.select_for_update(of=("self",)).select_related("flag__environment", "approval")
    found = list(rows.filter(approval_id=request_id, state=_STATE.PROPOSED).order_by("pk"))
    for row in found:
        if is_yes:
            row.state, row.due_at = _STATE.WAITING, max(row.due_at, now())
        else:
            row.state, row.finished_at, row.detail = _STATE.FAILED, now(), words[:300]
        row.save(update_fields=["state", "due_at", "finished_at", "detail"])
    if is_yes:
        schedule_many([NewTimer(CHANGE_TIMER, str(row.pk), 1, 1, row.due_at) for row in found])
    return found


def require_approval(flag: Flag, change: Any, change_id: int | None) -> None:
    """Pass where nobody need approve, or somebody approved exactly this change of this version of the locked flag.

    Conflict `approval_needed` for what must be proposed, `changed_since_approval` where the flag is another one now.
    """
    if not demands_approval(flag) or is_free(change):
        return
    row = FlagChange.objects.select_related("approval").filter(pk=change_id or 0, flag=flag).first()
    approval = row.approval if row is not None else None
    is_start = row is not None and is_start_of_same(row.change, change)
    if row is None or approval is None or approval.state not in _ALLOWING or (row.change != change and not is_start):
        raise Conflict(
            f"A second person must approve changes of what {flag.key} answers in {flag.environment.name}: propose it.",
            code="approval_needed",
        )
    if row.change != change:
        raise Conflict(
            f"{change['start']['experiment']} would not start as it was approved: what guards it has changed. "
            "Propose it anew.",
            code="changed_since_approval",
        )
    if row.base_version != flag.version:
        raise Conflict(
            f"{flag.key} has changed since this was approved: it has version {flag.version} now. Propose it anew.",
            code="changed_since_approval",
        )
    stored = approval.content
    if content_hash(stored) != approval.content_hash or not any(each["change"] == change for each in stored["changes"]):
        raise Conflict("What was approved is not what would be done now: propose it anew.", code="approval_changed")


def is_start_of_same(one: Any, other: Any) -> bool:
    """Whether both changes start the same experiment, if perhaps not in the same way."""
    return "start" in one and "start" in other and bool(one["start"]["experiment"] == other["start"]["experiment"])


def asked_for(flag: Flag, definition: Any, change_id: int | None) -> Any:
    """The change that another definition is: that of `change_id`, where this is what comes of it."""
    row = FlagChange.objects.filter(pk=change_id, flag=flag).only("change").first() if change_id else None
    if row is not None and "serve" in row.change and definition == {**flag.definition, "serve": row.change["serve"]}:
        return row.change
    return {"definition": definition}


def due_or_now(at: datetime | None) -> datetime:
    """When a proposal is to be done once it is approved."""
    return now() if at is None else at
