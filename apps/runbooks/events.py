"""What happens to executions, whose subject is the incident where there is one, else the execution; and to grants."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from apps.engine.events import DomainEvent


@dataclass(frozen=True)
class ExecutionEvent(DomainEvent):
    """`runbook` is its name."""

    execution_id: int
    runbook: str


@dataclass(frozen=True)
class Requested(ExecutionEvent):
    """Somebody asks for an execution; without `approval_id` nobody need allow it."""

    kind: ClassVar[str] = "runbooks.requested"
    approval_id: int | None
    reason: str


@dataclass(frozen=True)
class Started(ExecutionEvent):
    kind: ClassVar[str] = "runbooks.started"
    steps: int
    target_seconds: int


@dataclass(frozen=True)
class StepFinished(ExecutionEvent):
    """A step, or the undoing of one (`direction` compensate), succeeded or failed for good.

    `pace` is how it kept its target: met, missed, or empty where it has none.
    """

    kind: ClassVar[str] = "runbooks.step_finished"
    step_id: int
    position: int
    steps: int
    name: str
    direction: str
    state: str
    error: str
    attempts: int
    took_milliseconds: int
    target_seconds: int
    pace: str


@dataclass(frozen=True)
class WaitsForPerson(ExecutionEvent):
    """A manual step is to be done."""

    kind: ClassVar[str] = "runbooks.waiting"
    step_id: int
    position: int
    name: str


@dataclass(frozen=True)
class OutcomeUnknown(ExecutionEvent):
    """Nobody knows whether a step that must not happen twice has happened: a person decides."""

    kind: ClassVar[str] = "runbooks.unknown"
    step_id: int
    position: int
    name: str
    error: str


@dataclass(frozen=True)
class Settled(ExecutionEvent):
    """A person said whether a step of unknown outcome has happened."""

    kind: ClassVar[str] = "runbooks.settled"
    step_id: int
    position: int
    name: str
    happened: bool
    reason: str


@dataclass(frozen=True)
class CancelRequested(ExecutionEvent):
    """Somebody wants it stopped; what is done will be undone after the running step."""

    kind: ClassVar[str] = "runbooks.cancel_requested"
    reason: str


@dataclass(frozen=True)
class Undoing(ExecutionEvent):
    """What was done is being undone, in reverse order."""

    kind: ClassVar[str] = "runbooks.undoing"
    steps: int
    reason: str


@dataclass(frozen=True)
class Finished(ExecutionEvent):
    """`took_seconds` from its start; `target_seconds` is what the runbook promises, 0 without a promise."""

    kind: ClassVar[str] = "runbooks.finished"
    state: str
    detail: str
    took_seconds: int
    target_seconds: int


@dataclass(frozen=True)
class RunbookGrantGiven(DomainEvent):
    """A person or a group got a permission for one runbook."""

    kind: ClassVar[str] = "runbooks.runbook_grant_given"

    runbook_id: int
    permission: str
    user_id: int | None
    group: str | None
    reason: str


@dataclass(frozen=True)
class RunbookGrantTaken(DomainEvent):
    """A person or a group lost a permission for one runbook."""

    kind: ClassVar[str] = "runbooks.runbook_grant_taken"

    runbook_id: int
    permission: str
    user_id: int | None
    group: str | None
    reason: str


@dataclass(frozen=True)
class MitigationGrantGiven(DomainEvent):
    """A person or a group got a permission for one mitigation."""

    kind: ClassVar[str] = "runbooks.mitigation_grant_given"

    mitigation_id: int
    permission: str
    user_id: int | None
    group: str | None
    reason: str


@dataclass(frozen=True)
class MitigationGrantTaken(DomainEvent):
    """A person or a group lost a permission for one mitigation."""

    kind: ClassVar[str] = "runbooks.mitigation_grant_taken"

    mitigation_id: int
    permission: str
    user_id: int | None
    group: str | None
    reason: str
