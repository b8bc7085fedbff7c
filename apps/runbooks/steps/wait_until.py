"""`wait_until`: nothing happens before an instant, or before a service answers or measures as it should."""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Literal

from pydantic import Field, StringConstraints, model_validator

from apps.foundation.clock import now
from apps.foundation.egress import EgressError, call
from apps.policies.durations import Duration, duration_text
from apps.runbooks.steps.base import Effect, Options, Outcome, Preview, StepContext, StepKind, written_options
from apps.runbooks.steps.metric_check import MetricCheckOptions, Unmeasured, measured
from apps.runbooks.steps.reaching import LOOK_SECONDS, Expectation, Headers, Url, kept, place, refusal, told_answer

LONGEST_SECONDS = 7 * 86_400
_MEASURING = ("metric", "labels", "query", "comparison", "threshold")


class WaitUntilOptions(Options):
    """`with` of a `wait_until`: `at`, or what is asked `every` so often for `most` long.

    `url` alone expects an answer; with `metric`, or with `prometheus` and `query`, it is a number as in `metric_check`.
    """

    at: Annotated[str, StringConstraints(min_length=1, max_length=40)] | None = None
    url: Url | None = None
    headers: Headers = {}
    expect: Expectation = Expectation()
    metric: str | None = None
    labels: dict[str, str] = {}
    prometheus: Url | None = None
    query: Annotated[str, StringConstraints(min_length=1, max_length=2000)] | None = None
    comparison: Literal["<", "<=", ">", ">=", "==", "!="] | None = None
    threshold: float | None = None
    every: Annotated[Duration, Field(ge=1, le=3600)] = 10
    most: Annotated[Duration, Field(ge=1, le=LONGEST_SECONDS)] = 3600

    @model_validator(mode="after")
    def _one_condition(self) -> WaitUntilOptions:
        asks = self.url is not None or self.prometheus is not None
        if (self.at is not None) == asks:
            raise ValueError("Give either `at`, an instant, or what to ask: `url` or `prometheus`.")
        if self.at is not None:
            _instant(self.at)
            self._nothing_else("`at` waits for an instant", "headers", "expect", *_MEASURING)
        elif self.metric is None and self.prometheus is None:
            self._nothing_else("`url` alone expects an answer; a number needs `metric`", *_MEASURING)
        elif self.measure is not None:
            self._nothing_else("a number is compared", "expect")
        return self

    def _nothing_else(self, why: str, *names: str) -> None:
        """What would be left unread is a mistake: whoever wrote it believes that it counts."""
        if beside := sorted(self.model_fields_set.intersection(names)):
            raise ValueError(f"{', '.join(f'`{name}`' for name in beside)} would count for nothing: {why}.")

    @property
    def measure(self) -> MetricCheckOptions | None:
        """The number that is asked for; None where it is an answer."""
        if self.metric is None and self.prometheus is None:
            return None
        written = {"metric": self.metric, "labels": self.labels, "prometheus": self.prometheus, "query": self.query}
        bound = {"comparison": self.comparison, "threshold": self.threshold, "headers": self.headers}
        return MetricCheckOptions.model_validate({"url": self.url, **written, **bound})

    @property
    def address(self) -> str:
        """What is asked."""
        return self.measure.address if self.measure is not None else str(self.url)

    def told(self) -> str:
        """The condition for people."""
        if self.at is not None:
            return f"{_instant(self.at).astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"
        if self.measure is not None:
            return f"{self.measure.told()}, at {place(self.address)}"
        return f"{place(self.address)} answers as it should ({self.expect.told()})"


class WaitUntil(StepKind):
    """Each call looks once and says when to look again, so no worker is busy with it."""

    name = "wait_until"
    title = "Wait until"
    options = WaitUntilOptions
    url_fields = ("url", "prometheus")
    outcome_fields = ("value", "status", "text", "json", "elapsed_ms")

    def effect(self, options: WaitUntilOptions) -> Effect:
        return "none"

    def preview(self, options: WaitUntilOptions, context: StepContext) -> Preview:
        if options.at is not None:
            left = max(0, round((_instant(options.at) - now()).total_seconds()))
            problem = f"That is more than {duration_text(LONGEST_SECONDS)} away." if left > LONGEST_SECONDS else ""
            over = "" if left else ", which is over already"
            text = f"Waits until {options.told()}{over}."
            return Preview(text=text, problems=[problem] if problem else [], estimate_seconds=left)
        problem = refusal(options.address)
        fault = "" if problem else _look(options, min(LOOK_SECONDS, context.timeout_seconds))[0]
        said = "" if problem else f" Now: {fault or 'it holds.'}"
        return Preview(
            text=f"Waits until {options.told()}, for at most {duration_text(options.most)}.{said}",
            request={"method": "GET", "url": options.address, "headers": options.headers},
            problems=[problem] if problem else [],
            estimate_seconds=options.every,
        )

    def perform(self, options: WaitUntilOptions, context: StepContext) -> Outcome:
        """With `context.started_at` of its first call: the end of its patience is counted from there."""
        at = now()
        if options.at is not None:
            due = _instant(options.at)
            return Outcome("succeeded") if at >= due else Outcome("waiting", due_at=due)
        ends = (context.started_at or at) + timedelta(seconds=options.most)
        fault, data = _look(options, context.timeout_seconds)
        if not fault:
            context.log(f"{options.told()}: it holds.")
            return Outcome("succeeded", data=data)
        if at >= ends:
            return Outcome("failed", data=data, error=f"Not within {duration_text(options.most)}: {fault}")
        if context.started_at is None or at <= context.started_at:
            context.log(f"Not yet: {fault}")
        spent = 1 - (ends - at).total_seconds() / options.most
        context.progress(min(99, int(100 * spent)))
        return Outcome("waiting", due_at=min(at + timedelta(seconds=options.every), ends))

    def probe(self, options: WaitUntilOptions, context: StepContext) -> Outcome | None:
        return self.perform(options, context)

    def told(self, intent: Mapping[str, Any], data: Mapping[str, Any]) -> list[tuple[str, str]]:
        rows = [("Waits until", self.readable(written_options(intent)))] if written_options(intent) else []
        rows += [("Measured", f"{data['value']}")] if "value" in data else []
        return [*rows, *told_answer(data)]

    def readable(self, options: Mapping[str, Any]) -> str:
        if options.get("at"):
            return str(options["at"])
        what = options.get("query") or options.get("metric")
        if what:
            return f"{what} {options.get('comparison', '')} {options.get('threshold', '')}"
        return f"GET {options.get('url', '')} is well"


def _look(options: WaitUntilOptions, seconds: float) -> tuple[str, dict[str, Any]]:
    """Why it does not hold now, empty when it does; and what was seen."""
    measure = options.measure
    if measure is not None:
        try:
            values = measured(measure, seconds)
        except Unmeasured as error:
            return str(error), {}
        shown = values[0] if math.isfinite(values[0]) else str(values[0])
        return "" if measure.holds(values) else f"{measure.told()} does not hold: {shown}.", {"value": shown}
    try:
        answer = call("GET", options.address, headers=options.headers, timeout_seconds=seconds)
    except EgressError as error:
        return error.message, {}
    return options.expect.fault(answer), kept(answer)


def _instant(text: str) -> datetime:
    """ValueError, with a sentence, for what is no instant with its zone."""
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise ValueError(f"{text!r} is no instant: write 2026-11-22T18:00:00Z.") from None
    if found.tzinfo is None:
        raise ValueError(f"{text!r} has no zone: write it with Z or an offset, as 2026-11-22T18:00:00Z.")
    return found
