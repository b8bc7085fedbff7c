"""`http_request`: one request to a service, with an idempotency key, and what a good answer to it is."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import Field, StringConstraints, model_validator

from apps.foundation.egress import EgressError, call
from apps.runbooks.steps.base import Effect, Options, Outcome, Preview, StepContext, StepKind
from apps.runbooks.steps.reaching import Expectation, Headers, Url, kept, place, refusal, told_answer, told_place

_ONLY_READS = {"GET", "HEAD"}
_REPEATABLE = {"GET", "HEAD", "PUT", "DELETE"}
# A gateway says with these that it does not know what became of the request behind it.
_UNDECIDED = {502, 504}


class HttpRequestOptions(Options):
    """`with` of an `http_request`."""

    method: Literal["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"] = "GET"
    url: Url
    headers: Headers = {}
    body: Annotated[str, StringConstraints(max_length=100_000, strip_whitespace=False)] | None = None
    json_: Annotated[Any, Field(alias="json")] = None
    expect: Expectation = Expectation()

    @model_validator(mode="after")
    def _one_body(self) -> HttpRequestOptions:
        if self.body is not None and self.json_ is not None:
            raise ValueError("Give either `body` or `json`, not both.")
        if self.method in _ONLY_READS and (self.body is not None or self.json_ is not None):
            raise ValueError(f"A {self.method} has no body.")
        return self

    def content(self) -> bytes | None:
        """The bytes to send."""
        if self.json_ is not None:
            return json.dumps(self.json_, ensure_ascii=False).encode()
        return self.body.encode() if self.body is not None else None

    def sent_headers(self, key: str) -> dict[str, str]:
        """All headers that the portal decides about."""
        given = {name.lower() for name in self.headers}
        kind = {"Content-Type": "application/json"} if self.json_ is not None and "content-type" not in given else {}
        return {**kind, **self.headers, "Idempotency-Key": key}


class HttpRequest(StepKind):
    """One request. A time-out after sending leaves open whether it was done."""

    name = "http_request"
    title = "HTTP request"
    options = HttpRequestOptions
    url_fields = ("url",)
    outcome_fields = ("status", "text", "json", "elapsed_ms")

    def effect(self, options: HttpRequestOptions) -> Effect:
        return "none" if options.method in _ONLY_READS else "external"

    def idempotent(self, options: HttpRequestOptions) -> bool:
        return options.method in _REPEATABLE

    def preview(self, options: HttpRequestOptions, context: StepContext) -> Preview:
        problem = refusal(options.url)
        return Preview(
            text=f"{options.method} {place(options.url)}; {options.expect.told()}.",
            request=self._request(options, "set when it is executed" if context.looking else context.idempotency_key),
            problems=[problem] if problem else [],
            targets=self._targets(options),
            estimate_seconds=1,
        )

    def intent(self, options: HttpRequestOptions, context: StepContext) -> dict[str, Any]:
        return {"kind": self.name, **self._request(options, context.idempotency_key)}

    def _request(self, options: HttpRequestOptions, key: str) -> dict[str, Any]:
        found: dict[str, Any] = {
            "method": options.method,
            "url": options.url,
            "headers": options.sent_headers(key),
            "expect": options.expect.told(),
        }
        if options.json_ is not None:
            found["json"] = options.json_
        if options.body is not None:
            found["body"] = options.body
        return found

    def _targets(self, options: HttpRequestOptions) -> list[dict[str, Any]]:
        if options.method in _ONLY_READS:
            return []
        key = f"{options.method} {place(options.url)}"[:180]
        return [{"kind": "http", "key": key, "before": "", "after": "", "version": ""}]

    def perform(self, options: HttpRequestOptions, context: StepContext) -> Outcome:
        context.log(f"{options.method} {place(options.url)}")
        try:
            answer = call(
                options.method,
                options.url,
                headers=options.sent_headers(context.idempotency_key),
                body=options.content(),
                timeout_seconds=context.timeout_seconds,
            )
        except EgressError as error:
            maybe = error.maybe_sent and self.effect(options) != "none"
            return Outcome("failed", error=error.message, maybe_done=maybe)
        data = kept(answer)
        context.log(f"It answered {answer.status} after {data['elapsed_ms']} ms.")
        fault = options.expect.fault(answer)
        if fault:
            undecided = answer.status in _UNDECIDED and self.effect(options) != "none"
            return Outcome("failed", data=data, error=fault, maybe_done=undecided)
        return Outcome("succeeded", data=data)

    def told(self, intent: Mapping[str, Any], data: Mapping[str, Any]) -> list[tuple[str, str]]:
        asked = [("Request", f"{intent.get('method', '')} {told_place(intent['url'])}")] if "url" in intent else []
        return [*asked, *told_answer(data)]

    def readable(self, options: Mapping[str, Any]) -> str:
        return f"{options.get('method', 'GET')} {options.get('url', '')}"
