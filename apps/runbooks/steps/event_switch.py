"""`event_pause` and `event_resume`: a live event of a game stops and goes on again, with a message to its players.

Any game can speak it: see "Live events over HTTP" in docs/runbooks.md.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Annotated, Any, ClassVar
from urllib.parse import quote

from pydantic import StringConstraints

from apps.foundation.egress import EgressError, call
from apps.runbooks.steps.base import (
    Effect,
    Options,
    Outcome,
    Preview,
    StepContext,
    StepKind,
    approved,
    written_options,
)
from apps.runbooks.steps.reaching import LOOK_SECONDS, Headers, Url, place, refusal

TARGET = "event"
_UNDECIDED = {502, 504}
_Asked = tuple[dict[str, Any] | None, str]


class EventOptions(Options):
    """`with` of an `event_pause` or `event_resume`. `undo_message` is what players read when it is undone."""

    url: Url
    event: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$")]
    message: Annotated[str, StringConstraints(max_length=500)] = ""
    undo_message: Annotated[str, StringConstraints(max_length=500)] = ""
    headers: Headers = {}

    @property
    def address(self) -> str:
        return f"{self.url.rstrip('/')}/events/{quote(self.event, safe='')}"

    @property
    def key(self) -> str:
        """The event as targets name it."""
        return f"{self.event} at {place(self.url)}"[:180]


class EventPause(StepKind):
    """The same key is the same deed at the game; a paused event that is paused again stays as it is."""

    name = "event_pause"
    title = "Pause an event"
    options = EventOptions
    url_fields = ("url",)
    outcome_fields = ("event", "state", "before", "changed", "message")
    verb: ClassVar[str] = "pause"
    wanted: ClassVar[str] = "paused"
    back: ClassVar[str] = "event_resume"

    def effect(self, options: EventOptions) -> Effect:
        return "external"

    def preview(self, options: EventOptions, context: StepContext) -> Preview:
        found, problem = None, refusal(options.url)
        if not problem:
            found, problem = _asked(options, min(LOOK_SECONDS, context.timeout_seconds))
        live = str(found["state"]) if found else ""
        state = str(context.planned.get(f"events.{options.event}.state", live))
        if found and state not in {"active", "paused"}:
            problem = f"{options.event} is {state}: only an active or paused event can be paused or resumed."
        changes = bool(found) and not problem and state != self.wanted
        path = f"events.{options.event}"
        diff = [{"path": f"{path}.state", "op": "changed", "before": state, "after": self.wanted}] if changes else []
        if changes and options.message:
            before = str((found or {}).get("message", ""))
            diff.append({"path": f"{path}.message", "op": "changed", "before": before, "after": options.message})
        return Preview(
            text=problem or self._told(options, found or {}, changes=changes),
            request=self._request(options, "set when it is executed" if context.looking else context.idempotency_key),
            diff=diff,
            problems=[problem] if problem else [],
            targets=[{"kind": TARGET, "key": options.key, "before": live, "after": self.wanted, "version": ""}],
            estimate_seconds=2,
        )

    def intent(self, options: EventOptions, context: StepContext) -> dict[str, Any]:
        shown = {"event": options.event, "message": options.message}
        return {"kind": self.name, "with": shown, **self._request(options, context.idempotency_key)}

    def perform(self, options: EventOptions, context: StepContext) -> Outcome:
        context.log(f"{self.verb.capitalize()} {options.event} at {place(options.url)}.")
        body = json.dumps({"message": options.message, "reason": f"execution {context.execution_id}"}).encode()
        headers = {**options.headers, "Content-Type": "application/json", "Idempotency-Key": context.idempotency_key}
        try:
            answer = call(
                "POST",
                f"{options.address}/{self.verb}",
                headers=headers,
                body=body,
                timeout_seconds=context.timeout_seconds,
            )
        except EgressError as error:
            return Outcome("failed", error=error.message, maybe_done=error.maybe_sent)
        if not answer.is_ok:
            return Outcome(
                "failed", error=f"The game answered {answer.status}.", maybe_done=answer.status in _UNDECIDED
            )
        try:
            said = answer.json()
        except ValueError:
            said = None
        if not isinstance(said, dict) or said.get("state") != self.wanted:
            return Outcome("failed", error=f"The game took it, but does not say that {options.event} is {self.wanted}.")
        return Outcome("succeeded", data=self._data(options, changed=bool(said.get("changed", True))))

    def probe(self, options: EventOptions, context: StepContext) -> Outcome | None:
        found, _ = _asked(options, context.timeout_seconds)
        if found is None or found.get("state") != self.wanted:
            return None
        changed = approved(context, TARGET, options.key) != self.wanted
        return Outcome("succeeded", data=self._data(options, changed=changed))

    def undo(
        self, options: EventOptions, context: StepContext, data: Mapping[str, Any]
    ) -> tuple[str, dict[str, Any]] | None:
        if not data.get("changed"):
            return None
        message = options.undo_message
        return self.back, {"url": options.url, "event": options.event, "message": message, "headers": options.headers}

    def undo_told(self, options: EventOptions) -> str:
        return f"{options.event} is {'resumed' if self.wanted == 'paused' else 'paused'} again."

    def told(self, intent: Mapping[str, Any], data: Mapping[str, Any]) -> list[tuple[str, str]]:
        options = written_options(intent)
        rows = [("Event", str(data.get("event") or options.get("event", "")))]
        if "state" in data:
            said = f"{data.get('before', '')} → {data['state']}" if data.get("changed") else "as before"
            rows.append(("State", said))
        return [*rows, *([("Players read", str(options["message"]))] if options.get("message") else [])]

    def readable(self, options: Mapping[str, Any]) -> str:
        said = f": “{options['message']}”" if options.get("message") else ""
        return f"{options.get('event', '')}{said}"

    def _request(self, options: EventOptions, key: str) -> dict[str, Any]:
        headers = {**options.headers, "Content-Type": "application/json", "Idempotency-Key": key}
        address = f"{options.address}/{self.verb}"
        return {"method": "POST", "url": address, "headers": headers, "json": {"message": options.message}}

    def _told(self, options: EventOptions, found: Mapping[str, Any], *, changes: bool) -> str:
        name = str(found.get("name") or options.event)
        if not changes:
            return f"{name} is {self.wanted} already: nothing to do."
        read = f" Players read: “{options.message}”" if options.message else ""
        return f"{self.verb.capitalize()}s {name}.{read}"

    def _data(self, options: EventOptions, *, changed: bool) -> dict[str, Any]:
        before = ("active" if self.wanted == "paused" else "paused") if changed else self.wanted
        known = {"event": options.event, "state": self.wanted, "before": before, "changed": changed}
        return {**known, "message": options.message}


class EventResume(EventPause):
    """The way back."""

    name = "event_resume"
    title = "Resume an event"
    verb = "resume"
    wanted = "active"
    back = "event_pause"


def _asked(options: EventOptions, seconds: float) -> _Asked:
    """The event as the game tells it; or why it is not known."""
    try:
        answer = call("GET", options.address, headers=options.headers, timeout_seconds=seconds)
    except EgressError as error:
        return None, error.message
    if answer.status == 404:  # noqa: PLR2004  # the game knows of no such event
        return None, f"There is no event `{options.event}` at {place(options.url)}."
    try:
        found = answer.json() if answer.is_ok else None
    except ValueError:
        found = None
    if not isinstance(found, dict) or not isinstance(found.get("state"), str):
        return None, f"{place(options.url)} does not tell of events as it should: it answered {answer.status}."
    return found, ""
