"""`health_check`: a service answers as it should, within some attempts and the step's time."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import Field

from apps.foundation.egress import EgressError, call
from apps.policies.durations import Duration
from apps.runbooks.steps.base import Effect, Options, Outcome, Preview, StepContext, StepKind, written_options
from apps.runbooks.steps.reaching import (
    LOOK_SECONDS,
    Expectation,
    Headers,
    Url,
    kept,
    place,
    refusal,
    told_answer,
    told_place,
)

_SHORTEST_ATTEMPT = 0.05


class HealthCheckOptions(Options):
    """`with` of a `health_check`: `attempts` at most, `every` apart, each up to `wait` seconds long."""

    url: Url
    headers: Headers = {}
    expect: Expectation = Expectation()
    attempts: Annotated[int, Field(ge=1, le=1000)] = 5
    every: Annotated[Duration, Field(le=600)] = 2
    wait: Annotated[Duration, Field(ge=1, le=600)] = 10


class HealthCheck(StepKind):
    """Asks until the answer is the expected one."""

    name = "health_check"
    title = "Health check"
    options = HealthCheckOptions
    url_fields = ("url",)
    outcome_fields = ("status", "text", "json", "elapsed_ms", "attempts")

    def effect(self, options: HealthCheckOptions) -> Effect:
        return "none"

    def preview(self, options: HealthCheckOptions, context: StepContext) -> Preview:
        problem = refusal(options.url)
        said = "" if problem else f" {self._now(options, context)}"
        return Preview(
            text=f"GET {place(options.url)}, up to {options.attempts} times; {options.expect.told()}.{said}",
            request={"method": "GET", "url": options.url, "headers": options.headers, "expect": options.expect.told()},
            problems=[problem] if problem else [],
            estimate_seconds=1,
        )

    def _now(self, options: HealthCheckOptions, context: StepContext) -> str:
        """What it says at this moment, which is no problem: it may be broken, hence the runbook."""
        seconds = min(LOOK_SECONDS, context.timeout_seconds)
        try:
            answer = call("GET", options.url, headers=options.headers, timeout_seconds=seconds)
        except EgressError as error:
            return f"Now: {error.message}"
        fault = options.expect.fault(answer)
        return f"Now: {fault}" if fault else f"Now it answers {answer.status}, as it should."

    def perform(self, options: HealthCheckOptions, context: StepContext) -> Outcome:
        ends = time.monotonic() + context.timeout_seconds
        error = "There was no time to ask."
        data: dict[str, Any] = {}
        for attempt in range(1, options.attempts + 1):
            left = ends - time.monotonic()
            if left < _SHORTEST_ATTEMPT:
                break
            error, data = self._attempt(options, min(left, options.wait))
            data["attempts"] = attempt
            if not error:
                count = f"{attempt} attempt{'s' if attempt > 1 else ''}"
                context.log(f"{place(options.url)} is well after {count}.")
                return Outcome("succeeded", data=data)
            context.log(f"Attempt {attempt} of {options.attempts}: {error}")
            context.progress(min(99, 100 * attempt // options.attempts))
            if attempt == options.attempts or ends - time.monotonic() <= options.every:
                break
            time.sleep(options.every)
        return Outcome("failed", data=data, error=error)

    def _attempt(self, options: HealthCheckOptions, seconds: float) -> tuple[str, dict[str, Any]]:
        try:
            answer = call("GET", options.url, headers=options.headers, timeout_seconds=seconds)
        except EgressError as error:
            return error.message, {}
        return options.expect.fault(answer), kept(answer)

    def told(self, intent: Mapping[str, Any], data: Mapping[str, Any]) -> list[tuple[str, str]]:
        url = written_options(intent).get("url")
        asked = [("Request", f"GET {told_place(url)}")] if url else []
        attempts = [("Attempts", str(data["attempts"]))] if "attempts" in data else []
        return [*asked, *told_answer(data), *attempts]

    def readable(self, options: Mapping[str, Any]) -> str:
        return f"GET {options.get('url', '')}"
