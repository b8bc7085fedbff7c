"""What the answer to a question for approval means for the change of a flag that was asked about."""

from __future__ import annotations

from apps.approvals.events import KINDS, Requested
from apps.engine.models import Event
from apps.engine.registry import subscribe
from apps.flags.operations import answer_proposal
from apps.flags.queries import CHANGE
from apps.foundation.actor import Actor

DECIDER = "flags.decisions"


def follow_decision(event: Event) -> None:
    """An answer lets a proposed change wait for its instant, or ends it."""
    if event.subject_kind == CHANGE:
        told = event.payload
        answer_proposal(
            told["request_id"], event.kind, name=told["name"], said=told["reason"], actor=Actor.system(DECIDER)
        )


def register() -> None:
    """Called once from `ready()`."""
    subscribe([kind for kind in KINDS if kind != Requested.kind], DECIDER, follow_decision)
