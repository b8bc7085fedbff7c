"""What happens to flags and segments. The subject of each is `Subject("flag", "<id>")` or `Subject("segment", …)`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from apps.engine.events import DomainEvent


@dataclass(frozen=True)
class FlagEvent(DomainEvent):
    """What all of them tell; `environment` is a slug, `about_…` the subject on whose account it was done, if any."""

    flag_id: int
    key: str
    environment: str
    name: str
    reason: str
    about_kind: str
    about_key: str


@dataclass(frozen=True)
class FlagCreated(FlagEvent):
    kind: ClassVar[str] = "flags.created"


@dataclass(frozen=True)
class FlagEdited(FlagEvent):
    """What describes it or what it answers changed; its state did not."""

    kind: ClassVar[str] = "flags.edited"


@dataclass(frozen=True)
class FlagKilled(FlagEvent):
    """From now on it answers its `off` variant; a switch, false."""

    kind: ClassVar[str] = "flags.killed"


@dataclass(frozen=True)
class FlagBroughtBack(FlagEvent):
    """It answers by its definition again; `about_…` is still what it had been killed for."""

    kind: ClassVar[str] = "flags.brought_back"


@dataclass(frozen=True)
class FlagDisabled(FlagEvent):
    """From now on callers use their own default."""

    kind: ClassVar[str] = "flags.disabled"


@dataclass(frozen=True)
class FlagEnabled(FlagEvent):
    """It answers by its definition, where callers used their own default before."""

    kind: ClassVar[str] = "flags.enabled"


@dataclass(frozen=True)
class FlagChangeEvent(FlagEvent):
    """What all events of scheduled changes tell; `due_at` in ISO 8601, UTC."""

    due_at: str


@dataclass(frozen=True)
class FlagChangeScheduled(FlagChangeEvent):
    kind: ClassVar[str] = "flags.change_scheduled"


@dataclass(frozen=True)
class FlagChangeWithdrawn(FlagChangeEvent):
    kind: ClassVar[str] = "flags.change_withdrawn"


@dataclass(frozen=True)
class FlagChangeFailed(FlagChangeEvent):
    """It was due and could not be done; `reason` says why. The flag answers as before."""

    kind: ClassVar[str] = "flags.change_failed"


@dataclass(frozen=True)
class StaleFlagsFound(DomainEvent):
    """Once a day, where there are any: of up to 100 flags `key`, `environment`, `team` and `why` they are stale."""

    kind: ClassVar[str] = "flags.stale_found"

    count: int
    flags: list[dict[str, Any]]


@dataclass(frozen=True)
class FlagGrantGiven(DomainEvent):
    """A person or a group got a permission for one flag."""

    kind: ClassVar[str] = "flags.grant_given"

    permission: str
    user_id: int | None
    group: str | None
    reason: str


@dataclass(frozen=True)
class FlagGrantTaken(DomainEvent):
    """A person or a group lost a permission for one flag."""

    kind: ClassVar[str] = "flags.grant_taken"

    permission: str
    user_id: int | None
    group: str | None
    reason: str


@dataclass(frozen=True)
class SegmentEvent(DomainEvent):
    """What all events of segments tell."""

    segment_id: int
    key: str
    name: str
    reason: str


@dataclass(frozen=True)
class SegmentCreated(SegmentEvent):
    kind: ClassVar[str] = "flags.segment_created"


@dataclass(frozen=True)
class SegmentEdited(SegmentEvent):
    """Others belong to it now, or it is called otherwise."""

    kind: ClassVar[str] = "flags.segment_edited"


@dataclass(frozen=True)
class SegmentDeleted(SegmentEvent):
    kind: ClassVar[str] = "flags.segment_deleted"


@dataclass(frozen=True)
class ExperimentEvent(FlagEvent):
    """What all events of experiments tell; `key` and `name` are those of its flag."""

    experiment_id: int
    experiment: str
    title: str
    epoch: int


@dataclass(frozen=True)
class ExperimentCreated(ExperimentEvent):
    kind: ClassVar[str] = "flags.experiment_created"


@dataclass(frozen=True)
class ExperimentEdited(ExperimentEvent):
    """What describes it or what guards it changed; who gets what did not."""

    kind: ClassVar[str] = "flags.experiment_edited"


@dataclass(frozen=True)
class ExperimentStarted(ExperimentEvent):
    """From now on the flag answers by its slots."""

    kind: ClassVar[str] = "flags.experiment_started"


@dataclass(frozen=True)
class ExperimentReallocated(ExperimentEvent):
    """Newcomers are split otherwise; who is enrolled stays."""

    kind: ClassVar[str] = "flags.experiment_reallocated"


@dataclass(frozen=True)
class ExperimentEnded(ExperimentEvent):
    """The flag answers by its definition again."""

    kind: ClassVar[str] = "flags.experiment_ended"


@dataclass(frozen=True)
class VariantKilled(ExperimentEvent):
    """Nobody gets the variant any more. `moved` were enrolled with it and went to `moved_to`, or evenly to the others.

    `shares` are what newcomers get, in percent of all.
    """

    kind: ClassVar[str] = "flags.variant_killed"

    variant: str
    moved: int
    moved_to: str
    shares: dict[str, float]


@dataclass(frozen=True)
class GuardrailBreached(ExperimentEvent):
    """A variant does harm by a guardrail; `reason` is the sentence. `response` says what was done about it."""

    kind: ClassVar[str] = "flags.guardrail_breached"

    variant: str
    metric: str
    p_value: float
    response: str


@dataclass(frozen=True)
class SampleRatioMismatch(ExperimentEvent):
    """The variants have been seen in other proportions than their slots: what it finds out can't be trusted."""

    kind: ClassVar[str] = "flags.sample_ratio_mismatch"

    p_value: float
