"""Events of executions, approvals, flags and restored configs as lines on the timeline of the linked incident."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from apps.approvals.events import KINDS as APPROVAL_KINDS
from apps.engine.models import Event
from apps.engine.registry import subscribe, subscribe_batch
from apps.foundation.actor import Actor
from apps.foundation.errors import Conflict
from apps.incidents.operations import NewEntry, append_entries, entry_about, mark_condition
from apps.incidents.queries import SUBJECT_KIND as INCIDENT
from apps.policies.durations import duration_text
from apps.runbooks.events import Finished
from apps.runbooks.models import Execution, StepRun
from apps.runbooks.operations.deciding import note_decision
from apps.runbooks.queries import EXECUTION
from apps.runbooks.timing import span_text
from apps.state.events import ConfigRestored
from apps.state.models import ConfigVersion

TELLER = "runbooks.timeline"
DECIDER = "runbooks.decisions"
ESCALATOR = "runbooks.escalation"
LINE_KIND = "runbook"
RESTORED = ConfigRestored.kind
_LINE_KINDS = {"flags": "flag", "state": "config"}

Payload = Mapping[str, Any]


def _because(text: str) -> str:
    return f": {text}" if text else ""


def _called(event: Payload) -> str:
    return f"{event['runbook']} #{event['execution_id']}"


def _requested(event: Payload) -> str:
    waits = ", which needs an approval" if event["approval_id"] else ""
    return f"Asks for {_called(event)}{waits}{_because(event['reason'])}"


def _started(event: Payload) -> str:
    return f"Started {_called(event)}: {event['steps']} steps"


def _step_finished(event: Payload) -> str:
    place, name = f"{_called(event)}, step {event['position']}/{event['steps']}", event["name"]
    if event["direction"] == "compensate":
        done = event["state"] == "succeeded"
        return f"{place} undone: {name}" if done else f"{place} could not be undone: {name}{_because(event['error'])}"
    return (
        f"{place}: {name}{_paced(event)}"
        if event["state"] == "succeeded"
        else f"{place} failed: {name}{_because(event['error'])}"
    )


def _paced(event: Payload) -> str:
    """Events from before steps had targets lack these fields."""
    if not event.get("pace"):
        return ""
    took, target = span_text(event["took_milliseconds"] / 1000), span_text(event["target_seconds"])
    return f" (took {took} · target {target}: {event['pace']})"


def _waiting(event: Payload) -> str:
    return f"{_called(event)} waits for a person: {event['name']}"


def _unknown(event: Payload) -> str:
    return (
        f"{_called(event)}: nobody knows whether step {event['position']} happened, a person decides: {event['name']}"
    )


def _settled(event: Payload) -> str:
    word = "has happened" if event["happened"] else "has not happened"
    return f"{_called(event)}: step {event['position']} {word}{_because(event['reason'])}"


def _cancel_requested(event: Payload) -> str:
    return f"Cancelled {_called(event)}{_because(event['reason'])}"


def _undoing(event: Payload) -> str:
    return f"{_called(event)} undoes {event['steps']} steps. {event['reason']}"


def took_text(event: Payload) -> str:
    """How long it took, and whether that was within its target."""
    took, target = event["took_seconds"], event["target_seconds"]
    text = f"{took // 60} min {took % 60} s" if took >= 60 else f"{took} s"  # noqa: PLR2004  # a minute
    if not target:
        return text
    return f"{text}, {'within' if took < target else 'over'} its target of {duration_text(target)}"


def _finished(event: Payload) -> str:
    label = Execution.State(event["state"]).label.lower()
    detail = f". {event['detail']}" if event["detail"] else ""
    return f"{_called(event)} {label} in {took_text(event)}{detail}"


def _approval(word: str) -> Callable[[Payload], str]:
    return lambda event: f"{word}: {event['title']}" + (f" ({event['reason']})" if event["reason"] else "")


def _decision(word: str) -> Callable[[Payload], str]:
    """The same with who decided, which is what the others on the incident want to know."""
    return lambda event: _approval(f"{word} by {event['name']}" if event["name"] else word)(event)


def _flag(word: str) -> Callable[[Payload], str]:
    return lambda event: f"{word} {event['name']} in {event['environment']}{_because(event.get('reason', ''))}"


def _variant(event: Payload) -> str:
    where = f"{event['moved']:,} people went to {event['moved_to'] or 'the others'}"
    return f"Killed variant {event['variant']} of {event['title']}: {where}{_because(event.get('reason', ''))}"


def _restored(event: Payload) -> str:
    if not event["changed"]:
        return f"{event['name']} was at version {event['restores_number']} already"
    kept = f"; what was live is kept as version {event['backup_number']}"
    return f"{event['name']} is back at version {event['restores_number']}, verified{kept}"


_TELLERS: dict[str, Callable[[Payload], str]] = {
    "runbooks.requested": _requested,
    "runbooks.started": _started,
    "runbooks.step_finished": _step_finished,
    "runbooks.waiting": _waiting,
    "runbooks.unknown": _unknown,
    "runbooks.settled": _settled,
    "runbooks.cancel_requested": _cancel_requested,
    "runbooks.undoing": _undoing,
    "runbooks.finished": _finished,
    "approvals.approved": _decision("Approved"),
    "approvals.refused": _decision("Refused"),
    "approvals.expired": _approval("Nobody decided in time"),
    "approvals.voided": _approval("No longer asked for, since it has changed"),
    "approvals.withdrawn": _approval("No longer asked for"),
    "approvals.bypassed": _approval("Emergency bypass of the approval"),
    "flags.killed": _flag("Killed the flag"),
    "flags.brought_back": _flag("Brought back the flag"),
    "flags.variant_killed": _variant,
    RESTORED: _restored,
}


def tell(events: Sequence[Event]) -> None:
    """One line for each event, once for ever."""
    ordered = sorted(events, key=lambda event: event.pk)
    incidents = _incidents_of(ordered)
    append_entries([_entry(event, incidents[event.pk]) for event in ordered if event.pk in incidents])


def _entry(event: Event, incident_id: int) -> NewEntry:
    kind = _LINE_KINDS.get(event.kind.partition(".")[0], LINE_KIND)
    names = ("execution_id", "step_id", "flag_id", "document_id")
    shown = {name: event.payload[name] for name in names if name in event.payload}
    if event.subject_kind == EXECUTION:
        shown["execution_id"] = int(event.subject_key)
    text = _TELLERS[event.kind](event.payload)[:4000]
    return entry_about(event, incident_id, kind, text, {"event": event.kind, **shown})


def _incidents_of(events: Iterable[Event]) -> dict[int, int]:
    """The incident that each event is about, by the event's id; one query for all executions, one for all configs."""
    events = list(events)
    found = _incidents_of_restores([event for event in events if event.kind == RESTORED])
    of_executions: dict[int, int] = {}
    for event in events:
        kind, key = event.subject_kind, event.subject_key
        if event.kind.startswith("flags."):
            kind, key = event.payload.get("about_kind", ""), str(event.payload.get("about_key", ""))
        if kind == INCIDENT and key.isdecimal():
            found[event.pk] = int(key)
        elif kind == EXECUTION and key.isdecimal():
            of_executions[event.pk] = int(key)
    rows = Execution.objects.filter(pk__in=set(of_executions.values()), incident__isnull=False)
    linked = dict(rows.values_list("pk", "incident_id"))
    for event_id, execution_id in of_executions.items():
        if (incident_id := linked.get(execution_id)) is not None:
            found[event_id] = incident_id
    return found


def _incidents_of_restores(events: Sequence[Event]) -> dict[int, int]:
    """Whose step restored a config: the version that it made bears the step's key."""
    if not events:
        return {}
    made = ConfigVersion.objects.filter(pk__in={event.payload["version_id"] for event in events}).exclude(effect_key="")
    keys = dict(made.values_list("pk", "effect_key"))
    runs = StepRun.objects.filter(idempotency_key__in=set(keys.values()), execution__incident__isnull=False)
    linked = dict(runs.values_list("idempotency_key", "execution__incident_id"))
    found = {event.pk: linked.get(keys.get(event.payload["version_id"], "")) for event in events}
    return {event_id: incident_id for event_id, incident_id in found.items() if incident_id is not None}


def follow_decision(event: Event) -> None:
    """An answer to a question about an execution makes it ready, or ends it."""
    if event.subject_kind != EXECUTION or not event.subject_key.isdecimal():
        return
    note_decision(
        int(event.subject_key),
        event.payload["request_id"],
        event.kind,
        name=event.payload["name"],
        said=event.payload["reason"],
        actor=Actor.system(DECIDER),
    )


def escalate_failure(event: Event) -> None:
    """An execution for an incident that failed is one of the things on which a pack may escalate.

    What a person cancelled has not failed, and what is resolved needs nobody.
    """
    if event.payload["state"] not in {Execution.State.FAILED, Execution.State.UNDONE}:
        return
    execution = Execution.objects.filter(pk=event.payload["execution_id"], incident__isnull=False).first()
    if execution is None or execution.incident_id is None or execution.cancel_requested_at is not None:
        return
    note = f"{_called(event.payload)}: {event.payload['detail'] or 'it failed'}"
    try:
        mark_condition(execution.incident_id, "auto_remediation_failed", note=note[:300], actor=Actor.system(ESCALATOR))
    except Conflict:
        return


def register() -> None:
    """Called once from `ready()`."""
    subscribe([Finished.kind], ESCALATOR, escalate_failure)
    subscribe_batch(list(_TELLERS), TELLER, tell)
    subscribe([kind for kind in APPROVAL_KINDS if kind != "approvals.requested"], DECIDER, follow_decision)
