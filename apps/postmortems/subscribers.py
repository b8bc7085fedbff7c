"""Reactions: resolving opens the review that the pack demands, and what happens to reviews is told on the timeline."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from typing import Any

from django.db.models import CharField, Exists, F, OuterRef, Q
from django.db.models.functions import Cast

from apps.engine.models import Delivery, Event
from apps.engine.registry import subscribe, subscribe_batch
from apps.foundation.actor import Actor
from apps.foundation.clock import now
from apps.incidents.models import Incident
from apps.incidents.operations import NewEntry, append_entries, entry_about
from apps.incidents.queries import SUBJECT_KIND
from apps.policies.models import PolicyVersion
from apps.postmortems.operations import open_review
from apps.postmortems.policy import SECTION, rules, why_required

OPENER, TELLER = "postmortems.reviews", "postmortems.timeline"
GRACE = timedelta(minutes=1)
"""A resolved incident may lack its review for so long: the event is on its way."""

_MOST_AT_ONCE = 200
Payload = Mapping[str, Any]


def open_when_resolved(event: Event) -> None:
    """Open the review of a resolved incident where its pack demands one. A repeat changes nothing; one that was
    reopened since, a drill, and one that needs none get none."""
    incident = Incident.objects.filter(pk=event.payload.get("incident_id")).first()
    if incident is not None and why_required(incident):
        open_review(incident.pk, actor=Actor.system(OPENER))


def missing() -> list[Incident]:
    """Resolved incidents whose pinned pack demands a review that is not there, a minute after the resolution and
    without the word of it still being on its way."""
    demanded = Q(pk__in=[])
    for version_id in PolicyVersion.objects.filter(document__has_key=SECTION).values_list("pk", flat=True):
        found = rules(version_id)
        for rule in found.required if found else ():
            this = Q(policy_version_id=version_id, severity__in=list(rule.severities))
            if rule.over_seconds is not None:
                this &= Q(resolved_at__gt=F("detected_at") + timedelta(seconds=rule.over_seconds))
            demanded |= this
    on_its_way = Delivery.objects.filter(
        subscriber=OPENER,
        state=Delivery.State.PENDING,
        event__subject_kind=SUBJECT_KIND,
        event__subject_key=Cast(OuterRef("pk"), CharField()),
    )
    rows = Incident.objects.filter(demanded, ~Exists(on_its_way), kind=Incident.Kind.REAL, review__isnull=True)
    return list(rows.filter(resolved_at__lte=now() - GRACE).order_by("resolved_at", "pk")[:_MOST_AT_ONCE])


def open_missing() -> list[str]:
    """The invariant: open what is missing, and say so, a sentence for each."""
    sentences = []
    for incident in missing():
        open_review(incident.pk, actor=Actor.system(OPENER))
        sentences.append(f"{incident.number} was resolved without the review that its pack demands; it is open now.")
    return sentences


# --- the timeline -------------------------------------------------------------------------------------------------


def _opened(event: Payload) -> str:
    owner = f", {event['owner']} writes it" if event["owner"] else ""
    due = f", due {event['due_at'][:16].replace('T', ' ')} UTC" if event["due_at"] else ""
    return f"Review opened{owner}{due}"


def _submitted(event: Payload) -> str:
    return "Review submitted" + (f"; {event['reviewer']} is asked to review it" if event["reviewer"] else "")


def _closed(event: Payload) -> str:
    left = event["open_items"]
    return "Review closed" + (f", {left} action item{'s' if left > 1 else ''} still to do" if left else "")


def _item_added(event: Payload) -> str:
    whose = event["owner"] or "nobody"
    return f"Action item for {whose}, {event['priority']}, due {event['due_at'][:10]}: {event['title']}"


def _item_finished(event: Payload) -> str:
    what = "done" if event["state"] == "done" else "dropped"
    return f"Action item {what}: {event['title']}" + (f" ({event['outcome']})" if event["outcome"] else "")


def _item_escalated(event: Payload) -> str:
    names = event["names"]
    told = f"{' and '.join(names)} told" if names else "there is nobody to tell"
    return f"Action item still overdue, {told}: {event['title']}"


_TELLERS: dict[str, tuple[str, Callable[[Payload], str]]] = {
    "postmortems.opened": ("review_opened", _opened),
    "postmortems.submitted": ("review_submitted", _submitted),
    "postmortems.sent_back": ("review_sent_back", lambda event: f"Review sent back: {event['reason']}"),
    "postmortems.reviewed": ("review_reviewed", lambda _: "Review reviewed"),
    "postmortems.closed": ("review_closed", _closed),
    "postmortems.reopened": ("review_reopened", lambda event: f"Review reopened: {event['reason']}"),
    "postmortems.overdue": ("review_overdue", lambda event: "Review overdue" + (
        ", the manager was told" if event["escalated"] and event["user_ids"] else ""
    )),
    "postmortems.item_added": ("item_added", _item_added),
    "postmortems.item_finished": ("item_finished", _item_finished),
    "postmortems.item_overdue": ("item_overdue", lambda event: f"Action item overdue: {event['title']}"),
    "postmortems.item_escalated": ("item_escalated", _item_escalated),
}  # fmt: skip

TOLD_KINDS = tuple(_TELLERS)


def tell(events: Sequence[Event]) -> None:
    """Write one line for each event on its incident's timeline, once for ever."""
    append_entries([_entry(event) for event in sorted(events, key=lambda event: event.pk) if _is_told(event)])


def _is_told(event: Event) -> bool:
    return event.kind in _TELLERS and event.subject_kind == SUBJECT_KIND and event.subject_key.isdecimal()


def _entry(event: Event) -> NewEntry:
    kind, words = _TELLERS[event.kind]
    shown = {name: event.payload[name] for name in ("review_id", "item_id") if name in event.payload}
    return entry_about(event, int(event.subject_key), kind, words(event.payload), shown)


def register() -> None:
    """Called once from `ready()`."""
    subscribe(["incidents.resolved"], OPENER, open_when_resolved)
    subscribe_batch(TOLD_KINDS, TELLER, tell)
