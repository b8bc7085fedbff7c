"""`metric_check`: a number from a metrics page or from a Prometheus server holds, for as long as it must."""

from __future__ import annotations

import math
import operator
import time
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Annotated, Any, Literal
from urllib.parse import quote

from prometheus_client.parser import text_string_to_metric_families
from pydantic import Field, StringConstraints, model_validator

from apps.foundation.clock import now
from apps.foundation.egress import EgressError, call
from apps.policies.durations import Duration, duration_text
from apps.runbooks.steps.base import Effect, Options, Outcome, Preview, StepContext, StepKind, written_options
from apps.runbooks.steps.reaching import LOOK_SECONDS, Headers, Url, place, refusal

_SHORTEST_ATTEMPT = 0.05
BUSY_SECONDS = 5.0
"""For so long a worker stays with a value that is wrong; after that it is free for others between two looks."""
_COMPARISONS: dict[str, Callable[[float, float], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
    "==": operator.eq,
    "!=": operator.ne,
}


class Unmeasured(Exception):
    """There is no number; the message says why."""


class MetricCheckOptions(Options):
    """`with` of a `metric_check`: `url`, `metric` and `labels` of a metrics page, or `prometheus` and `query`."""

    url: Url | None = None
    metric: Annotated[str, StringConstraints(pattern=r"^[a-zA-Z_:][a-zA-Z0-9_:]{0,200}$")] | None = None
    labels: dict[str, str] = {}
    prometheus: Url | None = None
    query: Annotated[str, StringConstraints(min_length=1, max_length=2000)] | None = None
    headers: Headers = {}
    comparison: Literal["<", "<=", ">", ">=", "==", "!="]
    threshold: float
    for_: Annotated[Duration, Field(alias="for", le=3600)] = 0
    every: Annotated[Duration, Field(ge=1, le=600)] = 2

    @model_validator(mode="after")
    def _one_source(self) -> MetricCheckOptions:
        page, server = self.url is not None, self.prometheus is not None
        if page == server:
            raise ValueError("Give either `url` of a metrics page or `prometheus`, the address of a server.")
        if page and (self.metric is None or self.query is not None):
            raise ValueError("A metrics page needs `metric`, and no `query`.")
        if server and (self.query is None or self.metric is not None or self.labels):
            raise ValueError("A Prometheus server needs `query`, and no `metric` or `labels`.")
        if not math.isfinite(self.threshold):
            raise ValueError("The threshold must be a finite number.")
        return self

    @property
    def address(self) -> str:
        """What is asked."""
        if self.prometheus is None:
            return str(self.url)
        return f"{self.prometheus.rstrip('/')}/api/v1/query?query={quote(str(self.query), safe='')}"

    def told(self) -> str:
        """The condition for people: `world_error_ratio < 0.05`."""
        named = "".join(f'{name}="{value}"' for name, value in sorted(self.labels.items()))
        what = self.query or f"{self.metric}{f'{{{named}}}' if named else ''}"
        return f"{what} {self.comparison} {self.threshold:g}"

    def holds(self, values: list[float]) -> bool:
        """Whether every series satisfies the comparison; NaN satisfies none."""
        compared = _COMPARISONS[self.comparison]
        return all(not math.isnan(value) and compared(value, self.threshold) for value in values)


class MetricCheck(StepKind):
    """Polls until the condition has held for `for`; every series that fits must satisfy it."""

    name = "metric_check"
    title = "Metric check"
    options = MetricCheckOptions
    url_fields = ("url", "prometheus")
    outcome_fields = ("value", "held_seconds")

    def effect(self, options: MetricCheckOptions) -> Effect:
        return "none"

    def preview(self, options: MetricCheckOptions, context: StepContext) -> Preview:
        problem = refusal(options.address)
        problems = [problem] if problem else []
        if options.for_ >= context.timeout_seconds:
            problems.append(
                f"It must hold for {duration_text(options.for_)}, but the step has only "
                f"{context.timeout_seconds:g} s: raise its `timeout`."
            )
        held = f" for {duration_text(options.for_)}" if options.for_ else ""
        said = "" if problem else f" {self._now(options, context)}"
        return Preview(
            text=f"Waits until {options.told()}{held}, at {place(options.address)}.{said}",
            request={"method": "GET", "url": options.address, "headers": options.headers},
            problems=problems,
            estimate_seconds=options.for_ + 1,
        )

    def _now(self, options: MetricCheckOptions, context: StepContext) -> str:
        """What is measured at this moment; a bad value is no problem, for mending it is why the runbook runs."""
        try:
            values = measured(options, min(LOOK_SECONDS, context.timeout_seconds))
        except Unmeasured as error:
            return f"Now: {error}"
        return f"Now: {_shown(values)}{', which holds' if options.holds(values) else ''}."

    def perform(self, options: MetricCheckOptions, context: StepContext) -> Outcome:
        """A value that stays wrong is waited for without a worker, to the end that the attempt had from its start."""
        known = (context.waited or {}).get("until")
        until = datetime.fromisoformat(known) if known else now() + timedelta(seconds=context.timeout_seconds)
        ends = time.monotonic() + max((until - now()).total_seconds(), 2 * _SHORTEST_ATTEMPT)
        free = time.monotonic() + (0.0 if known else BUSY_SECONDS)
        since: float | None = None
        said, values = "There was no time to ask.", [math.nan]
        while (left := ends - time.monotonic()) > _SHORTEST_ATTEMPT:
            try:
                values = measured(options, left)
                good, said = options.holds(values), f"{options.told()} does not hold: {_shown(values)}."
            except Unmeasured as error:
                good, said = False, str(error)
            at = time.monotonic()
            since = (at if since is None else since) if good else None
            if since is not None:
                held = at - since
                context.log(f"{options.told()} holds: {_shown(values)}.")
                if held >= options.for_:
                    return Outcome("succeeded", data={"value": _plain(values[0]), "held_seconds": round(held, 1)})
                context.progress(min(99, int(100 * held / options.for_)))
            else:
                context.log(said)
                if context.waited is not None and at > free and ends - at > options.every:
                    data = {"value": _plain(values[0]), "until": until.isoformat()}
                    return Outcome("waiting", data=data, due_at=now() + timedelta(seconds=options.every))
            time.sleep(max(0.0, min(self._pause(options, since, at), ends - time.monotonic())))
        why = said if since is None else f"It held for less than {duration_text(options.for_)}."
        return Outcome("failed", data={"value": _plain(values[0])}, error=why)

    @staticmethod
    def _pause(options: MetricCheckOptions, since: float | None, at: float) -> float:
        """Until the next look: `every`, or what is left of `for` where that is less."""
        return options.every if since is None else min(options.every, max(0.05, options.for_ - (at - since)))

    def told(self, intent: Mapping[str, Any], data: Mapping[str, Any]) -> list[tuple[str, str]]:
        options = written_options(intent)
        bound = f"{options.get('comparison', '')} {options.get('threshold', '')}"
        rows = [("Measured", f"{_rounded(data['value'])}, wanted {bound}")] if "value" in data else []
        rows += [("Metric", str(options.get("query") or options.get("metric") or ""))] if options else []
        return [*rows, *([("Held", f"{data['held_seconds']:g} s")] if "held_seconds" in data else [])]

    def readable(self, options: Mapping[str, Any]) -> str:
        what = options.get("query") or options.get("metric", "")
        return f"{what} {options.get('comparison', '')} {options.get('threshold', '')}"


def measured(options: MetricCheckOptions, timeout_seconds: float) -> list[float]:
    """The values now, one for each series. Raises Unmeasured."""
    try:
        answer = call("GET", options.address, headers=options.headers, timeout_seconds=timeout_seconds)
    except EgressError as error:
        raise Unmeasured(error.message) from error
    if not answer.is_ok:
        raise Unmeasured(f"{place(options.address)} answered {answer.status}.")
    if options.prometheus is not None:
        try:
            values = list(_of_query(answer.json()))
        except (ValueError, KeyError, TypeError, IndexError, AttributeError) as error:
            raise Unmeasured(f"{place(options.address)} did not answer as Prometheus does.") from error
    else:
        values = list(_of_page(answer.text(), str(options.metric), options.labels))
    if not values:
        raise Unmeasured(f"There is no series for {options.told()}.")
    return values


def _of_page(text: str, metric: str, labels: Mapping[str, str]) -> list[float]:
    try:
        families = list(text_string_to_metric_families(text))
    except (ValueError, IndexError, KeyError) as error:
        raise Unmeasured(f"The page is no metrics text: {str(error)[:100]}.") from error
    return [
        float(sample.value)
        for family in families
        for sample in family.samples
        if sample.name == metric and labels.items() <= sample.labels.items()
    ]


def _of_query(body: dict[str, Any]) -> list[float]:
    if body["status"] != "success":
        raise ValueError(str(body.get("error")))
    data = body["data"]
    if data["resultType"] == "scalar":
        return [float(data["result"][1])]
    if data["resultType"] != "vector":
        raise ValueError(f"a {data['resultType']} is no instant value")
    return [float(series["value"][1]) for series in data["result"]]


def _plain(value: float) -> float | str:
    return value if math.isfinite(value) else str(value)


def _rounded(value: Any) -> str:
    """A kept value for people: a number in four digits, NaN and the like as they were written."""
    return f"{value:.4g}" if isinstance(value, int | float) else str(value)


def _shown(values: list[float]) -> str:
    text = ", ".join(f"{value:g}" for value in values[:5])
    return f"{text} and {len(values) - 5} more" if len(values) > 5 else text  # noqa: PLR2004  # enough to see
