"""`pagerduty_resolve`: alerts that stand open in PagerDuty for the incident, or one by its key, are closed."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import StringConstraints, model_validator

from apps.foundation.egress import EgressError, call
from apps.incidents.queries import subject_of as incident_subject
from apps.messaging.models import Message
from apps.messaging.posts import News, follow_up
from apps.messaging.providers.pagerduty import OWN_ADDRESS
from apps.runbooks.steps.base import Effect, Options, Outcome, Preview, StepContext, StepKind
from apps.runbooks.steps.reaching import Url, place, refusal

_PAGERDUTY = Message.Channel.PAGERDUTY


class PagerDutyResolveOptions(Options):
    """`with` of a `pagerduty_resolve`: nothing, or the `routing_key` of a service and the `dedup_key` of its alert."""

    routing_key: Annotated[str, StringConstraints(min_length=8, max_length=200)] | None = None
    dedup_key: Annotated[str, StringConstraints(min_length=1, max_length=255)] | None = None
    url: Url = OWN_ADDRESS

    @model_validator(mode="after")
    def _both(self) -> PagerDutyResolveOptions:
        if (self.routing_key is None) != (self.dedup_key is None):
            raise ValueError("Give both `routing_key` and `dedup_key`, or neither for what the portal itself opened.")
        return self


class PagerDutyResolve(StepKind):
    """Resolving twice is resolving once. What the portal opened is closed by messages that the sender delivers."""

    name = "pagerduty_resolve"
    title = "Resolve in PagerDuty"
    options = PagerDutyResolveOptions
    url_fields = ("url",)
    outcome_fields = ("resolved",)

    def effect(self, options: PagerDutyResolveOptions) -> Effect:
        return "external" if options.dedup_key else "internal"

    def preview(self, options: PagerDutyResolveOptions, context: StepContext) -> Preview:
        if options.dedup_key:
            problem = refusal(options.url)
            text = f"Resolves the alert {options.dedup_key} at {place(options.url)}."
            request = {"method": "POST", "url": self._address(options), "json": {"dedup_key": options.dedup_key}}
            return Preview(text, request, problems=[problem] if problem else [], estimate_seconds=1)
        if context.incident_id is None:
            problem = "Without an incident there is nothing to resolve: give `routing_key` and `dedup_key`."
            return Preview(text=problem, problems=[problem])
        count = self._open(context.incident_id)
        return Preview(text=f"Resolves what the portal opened in PagerDuty for the incident: {count} now.")

    def perform(self, options: PagerDutyResolveOptions, context: StepContext) -> Outcome:
        if options.dedup_key is None:
            return self._follow(context)
        body = {"routing_key": options.routing_key, "event_action": "resolve", "dedup_key": options.dedup_key}
        headers = {"Content-Type": "application/json", "Idempotency-Key": context.idempotency_key}
        content = json.dumps(body).encode()
        try:
            answer = call(
                "POST",
                self._address(options),
                headers=headers,
                body=content,
                timeout_seconds=context.timeout_seconds,
            )
        except EgressError as error:
            return Outcome("failed", error=error.message, maybe_done=error.maybe_sent)
        if not answer.is_ok:
            return Outcome("failed", error=f"{place(options.url)} answered {answer.status}.")
        context.log(f"Resolved the alert {options.dedup_key}.")
        return Outcome("succeeded", data={"resolved": 1})

    def intent(self, options: PagerDutyResolveOptions, context: StepContext) -> dict[str, Any]:
        return {"kind": self.name, "with": {"dedup_key": options.dedup_key, "url": options.url}}

    def _follow(self, context: StepContext) -> Outcome:
        if context.incident_id is None:
            return Outcome("failed", error="Without an incident there is nothing to resolve.")
        count = self._open(context.incident_id)
        text = f"Resolved by execution {context.execution_id} of a runbook"
        news = News(f"runbook:{context.idempotency_key}", incident_subject(context.incident_id), "resolve", text)
        follow_up([news], only=[_PAGERDUTY])
        context.log(f"{count} alerts in PagerDuty are being resolved.")
        return Outcome("succeeded", data={"resolved": count})

    def told(self, intent: Mapping[str, Any], data: Mapping[str, Any]) -> list[tuple[str, str]]:
        return [("Resolved", str(data["resolved"]))] if "resolved" in data else []

    def readable(self, options: Mapping[str, Any]) -> str:
        return str(options.get("dedup_key") or "what the portal opened for the incident")

    @staticmethod
    def _address(options: PagerDutyResolveOptions) -> str:
        return f"{options.url.rstrip('/')}/v2/enqueue"

    @staticmethod
    def _open(incident_id: int) -> int:
        about = incident_subject(incident_id)
        rows = Message.objects.filter(subject_kind=about.kind, subject_key=about.key, channel=_PAGERDUTY)
        return rows.filter(state=Message.State.SENT, payload__update_of__isnull=True).count()
