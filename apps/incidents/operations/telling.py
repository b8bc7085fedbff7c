"""Events of lower apps as lines of a timeline, in words."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from typing import Any

from apps.engine.models import Event
from apps.incidents.operations.recording import NewEntry, entry_about
from apps.incidents.queries import SUBJECT_KIND
from apps.paging.explaining import failure_text

Payload = Mapping[str, Any]


def _list(words: Iterable[str]) -> str:
    known = [word for word in words if word]
    return known[0] if len(known) == 1 else f"{', '.join(known[:-1])} and {known[-1]}" if known else "nobody"


def _paged(event: Payload) -> str:
    again = " again" if event["repeat"] else ""
    if not event["track"]:
        # The page itself says who asks; here that is the author of the line.
        why = event["reason"].partition(" asks you to join: ")[2]
        return f"Paged in {_list(event['names'])}" + (f": {why}" if why else "")
    roles = _list(event["roles"]) if event["roles"] else ""
    place = ", ".join(part for part in (f"level {event['level']}" if event["level"] else event["name"], roles) if part)
    why = event.get("reason", "")
    return f"Paged {_list(event['names'])}{again} ({place})" + (f": {why}" if why else "")


def _nobody_reachable(event: Payload) -> str:
    wanted = _list(event["roles"] or [event["name"]])
    if not event["track"]:
        return f"Nobody on call for {wanted}"
    place = f"level {event['level']}" if event["level"] else event["name"]
    return f"Nobody on call for {wanted} ({place}): next level taken at once"


def _acknowledged(event: Payload) -> str:
    via = " by the link in the page" if event["via"] == "link" else ""
    return f"Acknowledged by {event['name']}{via}"


def _page_answered(event: Payload) -> str:
    return f"{event['name']} answered the page"


def _exhausted(event: Payload) -> str:
    if event["track"] == "page":
        return "Everybody on the path was paged and nobody acknowledged"
    return "The last level of the escalation path was reached"


def _restarted(event: Payload) -> str:
    return f"Escalation starts anew for {event['severity']}"


def _partly_acknowledged(event: Payload) -> str:
    return f"Acknowledged by {event['name']}: {event['count']} of {event['needed']} who must"


def _unacknowledged(event: Payload) -> str:
    return f"Nobody answers for it any more ({event['reason']}): people are paged again"


def _until(event: Payload) -> str:
    return f"{datetime.fromisoformat(event['until']):%Y-%m-%d %H:%M:%S} UTC"


def _snoozed(event: Payload) -> str:
    return f"Snoozed until {_until(event)}: nobody is paged" + (f" ({event['reason']})" if event["reason"] else "")


def _held(event: Payload) -> str:
    return f"Nobody is paged: {event['of']} until {_until(event)} ({event['reason']})"


def _resumed(event: Payload) -> str:
    return f"The {event['after']} is over and it is still open: escalation starts from its first level"


def _condition_marked(event: Payload) -> str:
    amount = f", {event['amount']:,}" if event["amount"] is not None else ""
    return f"{event['name']}{amount}" + (f": {event['note']}" if event["note"] else "")


def _condition_cleared(event: Payload) -> str:
    return f"No longer so: {event['name']}"


def _message_failed(event: Payload) -> str:
    whom = event.get("recipient") or event.get("address") or "somebody"
    # What the provider said may name an address or hold a secret: those who may see the message read it there.
    how = failure_text(event.get("outcome", ""), event.get("attempts", 1))
    return f"A message by {event.get('channel', 'an unknown channel')} to {whom} {how}"


_TELLERS: dict[str, tuple[str, Callable[[Payload], str]]] = {
    "paging.paged": ("paged", _paged),
    "paging.nobody_reachable": ("nobody_reachable", _nobody_reachable),
    "paging.acknowledged": ("acknowledged", _acknowledged),
    "paging.page_answered": ("page_answered", _page_answered),
    "paging.escalation_exhausted": ("escalation_exhausted", _exhausted),
    "paging.escalation_restarted": ("escalation_restarted", _restarted),
    "paging.partly_acknowledged": ("acknowledged", _partly_acknowledged),
    "paging.unacknowledged": ("unacknowledged", _unacknowledged),
    "paging.snoozed": ("snoozed", _snoozed),
    "paging.held": ("held", _held),
    "paging.resumed": ("resumed", _resumed),
    "paging.condition_marked": ("condition", _condition_marked),
    "paging.condition_cleared": ("condition", _condition_cleared),
    "messaging.message_failed": ("message_failed", _message_failed),
}

TOLD_KINDS: tuple[str, ...] = tuple(_TELLERS)

NO_WORK = frozenset(
    {
        "declared",
        "paged",
        "nobody_reachable",
        "escalation_exhausted",
        "escalation_restarted",
        "message_failed",
        "unacknowledged",
        "snoozed",
        "held",
        "resumed",
        "alert",
        "alert_resolved",
    }
)
"""Kinds of lines that tell of alerts and of who is called: none of them is work on the incident."""


def entry_of(event: Event) -> NewEntry | None:
    """The line that tells of an event about an incident; None for what is not worth one."""
    teller = _TELLERS.get(event.kind)
    if teller is None or event.subject_kind != SUBJECT_KIND or not event.subject_key.isdecimal():
        return None
    kind, words = teller
    return entry_about(event, int(event.subject_key), kind, words(event.payload), _data(event.payload))


def _data(payload: Payload) -> dict[str, Any]:
    """What pages and programs may need of the event besides its words."""
    return {name: payload[name] for name in ("track", "level", "user_ids", "user_id", "via") if name in payload}


def paging_entries(incident_ids: Iterable[int], *, since: datetime) -> list[NewEntry]:
    """Lines for what paging published about these incidents from `since` on, with one query."""
    events = Event.objects.filter(
        subject_kind=SUBJECT_KIND,
        subject_key__in=[str(pk) for pk in incident_ids],
        occurred_at__gte=since,
        kind__in=[kind for kind in TOLD_KINDS if kind.startswith("paging.")],
    ).order_by("pk")
    return [entry for event in events if (entry := entry_of(event)) is not None]
