"""What the person in front of an execution should do next, and which buttons they get."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from django.urls import reverse

from apps.approvals.models import ApprovalRequest
from apps.incidents.admin.showing import Tone
from apps.runbooks.models import Execution, StepRun

_ALLOWED = {ApprovalRequest.State.APPROVED, ApprovalRequest.State.BYPASSED}
_LOST = {
    ApprovalRequest.State.REFUSED,
    ApprovalRequest.State.EXPIRED,
    ApprovalRequest.State.VOID,
    ApprovalRequest.State.WITHDRAWN,
}


@dataclass(frozen=True, slots=True)
class NextDeed:
    """One sentence on where it stands, one on what to do."""

    title: str
    text: str
    icon: str
    tone: Tone | str


@dataclass(frozen=True, slots=True)
class Buttons:
    """Addresses of the questions before each deed; empty where it can't be done, or not by this person."""

    start: str = ""
    bypass: str = ""
    cancel: str = ""


def is_allowed(execution: Execution) -> bool:
    """Whether a second person has allowed it, or need not."""
    return execution.approval is None or execution.approval.state in _ALLOWED


def may_start_now(execution: Execution) -> bool:
    """Whether the start button makes sense: asked for, and allowed."""
    waits = execution.state in {Execution.State.AWAITING_APPROVAL, Execution.State.READY}
    return waits and is_allowed(execution)


def buttons_of(execution: Execution, *, steers: bool, bypasses: bool) -> Buttons:
    """Which buttons stand on the page of somebody who may steer it, and may bypass an approval."""

    def address(verb: str, *, when: bool) -> str:
        return reverse(f"admin:runbooks_execution_{verb}", args=[execution.pk]) if when else ""

    is_open = execution.state not in Execution.FINAL
    waits = execution.state == Execution.State.AWAITING_APPROVAL and not is_allowed(execution)
    stops = execution.state != Execution.State.COMPENSATING and execution.cancel_requested_at is None
    return Buttons(
        start=address("start", when=steers and may_start_now(execution)),
        bypass=address("bypass", when=bypasses and waits),
        cancel=address("cancel", when=steers and is_open and stops),
    )


def next_deed(execution: Execution, steps: Sequence[StepRun], *, steers: bool) -> NextDeed:
    """The sentence for this state; a step that waits for a person is named."""
    state = Execution.State(execution.state)
    if state == Execution.State.AWAITING_APPROVAL and not is_allowed(execution):
        return _awaiting(execution)
    if may_start_now(execution):
        allowed = "Approved" if execution.approval is not None else "No approval is needed"
        who = "Start it when you are ready." if steers else "Whoever may execute this runbook can start it."
        return NextDeed(f"{allowed}: ready to start", f"Nothing has been changed yet. {who}", "play_circle", "accent")
    if state in {Execution.State.WAITING, Execution.State.UNKNOWN}:
        return _for_a_person(state, steps, steers=steers)
    if state == Execution.State.CANCELLED and execution.started_at is not None:
        return NextDeed("Cancelled", "What had been done was taken back: see the steps.", "block", "calm")
    if state == Execution.State.FAILED and all(step.direction == StepRun.Direction.FORWARD for step in steps):
        # As after a kill: what the runbook does not undo stands on purpose, and wants no repair.
        text = "The runbook undoes none of it: read below what stands."
        return NextDeed("It failed, and what had been done stays", text, "error", "danger")
    title, text, icon, tone = _SENTENCES[state]
    return NextDeed(title, text, icon, tone)


def _awaiting(execution: Execution) -> NextDeed:
    if execution.approval is not None and execution.approval.state in _LOST:
        return NextDeed(
            "It can't start: no valid approval",
            "What was asked for was refused, ran out or has changed. Cancel this one and make a new dry run.",
            "block",
            "danger",
        )
    return NextDeed(
        "A second person must approve it",
        "Nothing has been changed yet. The approvers have been told; this page notices when one decides.",
        "hourglass_top",
        "calm",
    )


def _for_a_person(state: Execution.State, steps: Sequence[StepRun], *, steers: bool) -> NextDeed:
    wanted = StepRun.State.UNKNOWN if state == Execution.State.UNKNOWN else StepRun.State.WAITING
    names = ", ".join(step.name for step in steps if step.state == wanted)
    if state == Execution.State.UNKNOWN:
        who = "Look at the other system, then say what you found." if steers else "Whoever may execute it must decide."
        return NextDeed(
            f"Nobody knows whether this happened: {names}",
            f"The portal will not send it again by itself, because twice might do harm. {who}",
            "help",
            "danger",
        )
    who = "Do it, then say so." if steers else "Whoever may execute it finishes the step."
    return NextDeed(f"Waits for a person: {names}", who, "front_hand", "accent")


_SENTENCES: dict[Execution.State, tuple[str, str, str, str]] = {
    Execution.State.RUNNING: (
        "At work",
        "Each step says what it did. Cancelling ends the running step and undoes the ones before.",
        "autorenew",
        "accent",
    ),
    Execution.State.COMPENSATING: (
        "Undoing what was done",
        "The steps that succeeded are taken back, the last one first.",
        "undo",
        "accent",
    ),
    Execution.State.SUCCEEDED: ("Done: every step succeeded", "Check that players see it too.", "task_alt", "ok"),
    Execution.State.UNDONE: (
        "It failed, and everything was taken back",
        "The world is as it was before the start. Read why below, then look again or choose another way.",
        "undo",
        "calm",
    ),
    Execution.State.FAILED: (
        "It failed, and not everything could be taken back",
        "Read below which steps were done and not undone: they need a person now.",
        "error",
        "danger",
    ),
    Execution.State.CANCELLED: ("Cancelled before it started", "Nothing was changed.", "block", "calm"),
    Execution.State.AWAITING_APPROVAL: ("Waits", "", "hourglass_top", "calm"),
    Execution.State.READY: ("Ready", "", "play_circle", "accent"),
}
