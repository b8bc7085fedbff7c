"""What every kind of step can do: say what it would do, do it, find out whether it did, and name what undoes it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict

from apps.foundation.actor import Actor

Effect = Literal["none", "internal", "external"]


class Options(BaseModel):
    """Base of what stands under `with`: unknown keys and wrong types are refused, nothing changes after reading."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, str_strip_whitespace=True)


def written_options(intent: Mapping[str, Any]) -> Mapping[str, Any]:
    """The options that a kept intent holds; none where it holds something else."""
    found = intent.get("with")
    return found if isinstance(found, Mapping) else {}


def acting(context: StepContext) -> Actor:
    """The portal, on behalf of who started it: that the runbook may be executed has been decided before."""
    return context.actor if context.actor.is_system else Actor.system(f"{context.actor.name}, by a runbook")


def approved(context: StepContext, kind: str, key: str) -> str | None:
    """What the approved plan saw there before; None for a target that it does not know."""
    for target in context.targets:
        if target.get("kind") == kind and target.get("key") == key:
            return str(target.get("before", ""))
    return None


def _quiet(_: Any) -> None:
    """Nobody listens."""


@dataclass(frozen=True, slots=True)
class StepContext:
    """All that a step may know. `outcomes` maps the slugs of earlier steps to the data of their outcomes.

    `idempotency_key` is the same for every attempt of this step in this direction. `targets` are those of the
    approved plan, with the checksums that held when it was approved. `started_at` is when this step first began,
    across attempts and calls. `team_id` is the runbook's owner. `looking` is true in a dry run: outcomes of earlier
    steps are then only marks. `results` maps the slugs of all steps that are over to succeeded, failed or skipped;
    `trail` are the slugs of the runbooks that run this one, the uppermost first, and its own. In a dry run `planned`
    are the values, by the paths of their diffs, that earlier steps will have changed by then. `waited` is what the
    same attempt left with its last outcome `waiting`; None where it can't wait, as in a probe.
    """

    parameters: Mapping[str, Any]
    incident: Mapping[str, Any]
    execution_key: str
    idempotency_key: str
    outcomes: Mapping[str, Mapping[str, Any]]
    actor: Actor
    attempt: int = 1
    timeout_seconds: float = 30.0
    reason: str = ""
    incident_id: int | None = None
    execution_id: int | None = None
    log: Callable[[str], None] = _quiet
    progress: Callable[[int], None] = _quiet
    targets: Sequence[Mapping[str, Any]] = ()
    started_at: datetime | None = None
    team_id: int | None = None
    looking: bool = False
    results: Mapping[str, str] = field(default_factory=dict)
    trail: Sequence[str] = ()
    planned: Mapping[str, Any] = field(default_factory=dict)
    waited: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Preview:
    """What a step would do. A target is `{"kind", "key", "before", "after", "version"}`; a diff is of
    `{"path", "op", "before", "after"}`. With `problems` it can't be executed."""

    text: str
    request: dict[str, Any] | None = None
    diff: list[dict[str, Any]] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    targets: list[dict[str, Any]] = field(default_factory=list)
    estimate_seconds: int = 0


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of an attempt.

    `waiting` with `due_at`: call `perform` again then; without: a person finishes the step. `maybe_done` on a
    failure says that the effect may have happened all the same, for example after a time-out of an answer.
    """

    state: Literal["succeeded", "failed", "waiting"]
    data: dict[str, Any] = field(default_factory=dict)
    error: str = ""
    due_at: datetime | None = None
    maybe_done: bool = False


class StepKind(ABC):
    """One kind of step. It has no state of its own; everything comes with the options and the context.

    `url_fields` are options in which values are quoted as in an address; `outcome_fields` are what later steps may
    name as `{{ steps.<slug>.<field> }}` (a name also opens what lies below it). `written_fields` are options that
    end in rows which others read, so that no secret may stand in them. With `undo_waiting` a wait that is given up is
    undone as a success is; with `undo_failed` so is a failure whose outcome has data.
    """

    name: ClassVar[str]
    title: ClassVar[str]
    options: ClassVar[type[BaseModel]]
    url_fields: ClassVar[tuple[str, ...]] = ()
    outcome_fields: ClassVar[tuple[str, ...]] = ()
    written_fields: ClassVar[tuple[str, ...]] = ()
    undo_waiting: ClassVar[bool] = False
    undo_failed: ClassVar[bool] = False

    @abstractmethod
    def effect(self, options: Any) -> Effect:
        """`none`: it only looks or waits; `internal`: rows of this database; `external`: something outside."""

    def idempotent(self, options: Any) -> bool:
        """Whether doing it twice with the same key is as good as once, unless the runbook says otherwise."""
        return True

    @abstractmethod
    def preview(self, options: Any, context: StepContext) -> Preview:
        """What it would do. Reads only: no row is written, nothing but GET or HEAD is sent."""

    def intent(self, options: Any, context: StepContext) -> dict[str, Any]:
        """What is about to be done, for the record; the caller masks secrets before it stores this."""
        return {"kind": self.name, "with": options.model_dump(mode="json", by_alias=True)}

    @abstractmethod
    def perform(self, options: Any, context: StepContext) -> Outcome:
        """Do it. An `internal` effect runs inside the caller's transaction, everything else outside any."""

    def probe(self, options: Any, context: StepContext) -> Outcome | None:
        """After an attempt of which no outcome is known: did it happen? None when that can't be told."""
        return None

    def undo(self, options: Any, context: StepContext, data: Mapping[str, Any]) -> tuple[str, dict[str, Any]] | None:
        """The kind and the options that undo it, given the data of its outcome; None when there is nothing to undo."""
        return None

    def undo_told(self, options: Any) -> str:
        """What `undo` will do after a success, in a sentence for the dry run; empty when it never does anything."""
        return ""

    def beyond(self, options: Mapping[str, Any], owner_id: int) -> str:
        """Why a lead of the owning team alone may not activate these options, as written; empty where they may.

        It reaches for what belongs to another team, for example.
        """
        return ""

    def told(self, intent: Mapping[str, Any], data: Mapping[str, Any]) -> list[tuple[str, str]]:
        """What came of it in names and words, for pages: from a kept intent and the data of a kept outcome.

        Both are masked, may be of an older release, and may lack anything. Nothing: the page shows plain values.
        """
        return []

    def readable(self, options: Mapping[str, Any]) -> str:
        """The step in one line, for pages, from its options as they were written (placeholders and all)."""
        return ", ".join(f"{name} {value}" for name, value in options.items() if not isinstance(value, dict | list))
