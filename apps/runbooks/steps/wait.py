"""`wait`: nothing happens for some time, and no worker is busy with it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Annotated, Any

from pydantic import Field

from apps.foundation.clock import now
from apps.policies.durations import Duration, duration_text
from apps.runbooks.steps.base import Effect, Options, Outcome, Preview, StepContext, StepKind, written_options

LONGEST_SECONDS = 86_400


class WaitOptions(Options):
    """`with` of a `wait`."""

    seconds: Annotated[Duration, Field(le=LONGEST_SECONDS)]


class Wait(StepKind):
    """The first call says until when; the call at that instant succeeds."""

    name = "wait"
    title = "Wait"
    options = WaitOptions

    def effect(self, options: WaitOptions) -> Effect:
        return "none"

    def preview(self, options: WaitOptions, context: StepContext) -> Preview:
        return Preview(text=f"Waits {duration_text(options.seconds)}.", estimate_seconds=options.seconds)

    def perform(self, options: WaitOptions, context: StepContext) -> Outcome:
        """With `context.started_at` of its first call: waiting until that and the seconds are over, then succeeded."""
        at = now()
        due_at = (context.started_at or at) + timedelta(seconds=options.seconds)
        if at >= due_at:
            return Outcome("succeeded")
        return Outcome("waiting", due_at=due_at)

    def probe(self, options: WaitOptions, context: StepContext) -> Outcome | None:
        return self.perform(options, context)

    def told(self, intent: Mapping[str, Any], data: Mapping[str, Any]) -> list[tuple[str, str]]:
        seconds = written_options(intent).get("seconds")
        return [("Waits", duration_text(seconds))] if isinstance(seconds, int) else []

    def readable(self, options: Mapping[str, Any]) -> str:
        return (
            f"{options.get('seconds', '')} seconds"
            if isinstance(options.get("seconds"), int)
            else str(options.get("seconds", ""))
        )
