"""`webhook`: a signed message to another system, in the form of the portal's own outgoing webhooks."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import Field, StringConstraints

from apps.foundation.clock import now
from apps.foundation.egress import EgressError, call
from apps.messaging.providers.webhook import portal_signing_key, signature
from apps.runbooks.steps.base import Effect, Options, Outcome, Preview, StepContext, StepKind
from apps.runbooks.steps.reaching import Expectation, Url, kept, place, refusal, told_answer, told_place

# A gateway says with these that it does not know what became of the request behind it.
_UNDECIDED = {502, 504}


class WebhookOptions(Options):
    """`with` of a `webhook`. Without `secret` it is signed with the portal's own key."""

    url: Url
    type: Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_.]{0,99}$")] = "runbook.step"
    data: Annotated[dict[str, Any], Field(max_length=100)] = {}
    secret: Annotated[str, StringConstraints(min_length=8, max_length=500)] | None = None
    expect: Expectation = Expectation()

    def content(self, key: str) -> bytes:
        """The bytes to send, the same for every attempt."""
        body = {"id": key, "type": self.type, "data": self.data}
        return json.dumps(body, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


class Webhook(StepKind):
    """Signed as outgoing webhooks are; receivers tell repeats by `Idempotency-Key`, so it may be sent again."""

    name = "webhook"
    title = "Webhook"
    options = WebhookOptions
    url_fields = ("url",)
    outcome_fields = ("status", "text", "json", "elapsed_ms")

    def effect(self, options: WebhookOptions) -> Effect:
        return "external"

    def preview(self, options: WebhookOptions, context: StepContext) -> Preview:
        problem = refusal(options.url)
        target = {"kind": "http", "key": f"POST {place(options.url)}"[:180], "before": "", "after": "", "version": ""}
        return Preview(
            text=f"Tells {place(options.url)} of {options.type}, signed; {options.expect.told()}.",
            request=self._request(options, "set when it is executed" if context.looking else context.idempotency_key),
            problems=[problem] if problem else [],
            targets=[target],
            estimate_seconds=1,
        )

    def intent(self, options: WebhookOptions, context: StepContext) -> dict[str, Any]:
        return {"kind": self.name, **self._request(options, context.idempotency_key)}

    def _request(self, options: WebhookOptions, key: str) -> dict[str, Any]:
        headers = {"Content-Type": "application/json", "Portal-Event": options.type, "Idempotency-Key": key}
        return {"method": "POST", "url": options.url, "headers": headers, "json": {"id": key, "data": options.data}}

    def perform(self, options: WebhookOptions, context: StepContext) -> Outcome:
        body, timestamp = options.content(context.idempotency_key), int(now().timestamp())
        headers = {
            "Content-Type": "application/json",
            "Portal-Signature": signature(options.secret or portal_signing_key(), timestamp, body),
            "Portal-Event": options.type,
            "Portal-Attempt": str(context.attempt),
            "Idempotency-Key": context.idempotency_key,
        }
        context.log(f"Tells {place(options.url)} of {options.type}.")
        try:
            answer = call("POST", options.url, headers=headers, body=body, timeout_seconds=context.timeout_seconds)
        except EgressError as error:
            return Outcome("failed", error=error.message, maybe_done=error.maybe_sent)
        data = kept(answer)
        context.log(f"It answered {answer.status} after {data['elapsed_ms']} ms.")
        if fault := options.expect.fault(answer):
            return Outcome("failed", data=data, error=fault, maybe_done=answer.status in _UNDECIDED)
        return Outcome("succeeded", data=data)

    def beyond(self, options: Mapping[str, Any], owner_id: int) -> str:
        return "" if options.get("secret") else "it signs with the portal's own key"

    def told(self, intent: Mapping[str, Any], data: Mapping[str, Any]) -> list[tuple[str, str]]:
        asked = [("Request", f"POST {told_place(intent['url'])}, signed")] if "url" in intent else []
        return [*asked, *told_answer(data)]

    def readable(self, options: Mapping[str, Any]) -> str:
        return f"{options.get('type', 'runbook.step')} to {options.get('url', '')}"
