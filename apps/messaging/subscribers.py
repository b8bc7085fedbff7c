"""What messaging does about events: it tells the webhook endpoints."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from django.conf import settings

from apps.engine.models import Event
from apps.engine.showing import payload_shown_to
from apps.foundation.subjects import Subject, subject_titles, subject_url, visible_subjects
from apps.messaging.drafts import NewMessage
from apps.messaging.events import MessageTaken
from apps.messaging.models import Message, WebhookEndpoint
from apps.messaging.operations import enqueue_many

SUBSCRIBER = "messaging.webhooks"
PRIORITY = 6
# The portal's own troubles are for those who run it.
INTERNAL = ("engine.", MessageTaken.kind)


def fan_out(events: Sequence[Event]) -> None:
    """Queue a message for each active endpoint that wants an event and whose owner may see what it is about.

    Queries: one for the endpoints, one to store, and a few for each owner; the number of events and
    endpoints does not matter. A repeat changes nothing.
    """
    wanted = [event for event in events if not event.kind.startswith(INTERNAL)]
    if not wanted:
        return
    endpoints = WebhookEndpoint.objects.filter(
        state=WebhookEndpoint.State.ACTIVE, owner__is_active=True
    ).select_related("owner")
    by_owner: dict[int, list[WebhookEndpoint]] = defaultdict(list)
    for endpoint in endpoints:
        if any(endpoint.wants(event.kind) for event in wanted):
            by_owner[endpoint.owner_id].append(endpoint)
    pairs: list[tuple[WebhookEndpoint, Event]] = []
    for theirs in by_owner.values():
        visible = _visible(wanted, theirs[0].owner)
        pairs += [(it, event) for it in theirs for event in wanted if event.pk in visible and it.wants(event.kind)]
    if pairs:
        titles = subject_titles({_subject(event) for _, event in pairs if event.subject_kind})
        enqueue_many([_draft(endpoint, event, titles) for endpoint, event in pairs])


def _visible(events: Sequence[Event], owner: Any) -> set[int]:
    rows = Event.objects.filter(visible_subjects(owner), pk__in=[event.pk for event in events])
    return set(rows.values_list("pk", flat=True))


def _subject(event: Event) -> Subject:
    return Subject(event.subject_kind, event.subject_key)


def _draft(endpoint: WebhookEndpoint, event: Event, titles: dict[Subject, str]) -> NewMessage:
    subject = _subject(event)
    path = subject_url(subject) if subject.kind else ""
    content = {
        "id": f"event:{event.pk}",
        "type": event.kind,
        "occurred_at": event.occurred_at.isoformat(),
        "subject": {
            "kind": subject.kind,
            "key": subject.key,
            "title": titles.get(subject, ""),
            "url": f"{settings.PUBLIC_URL}{path}" if path else "",
        },
        "actor": {name: event.actor.get(name) for name in ("kind", "name", "via")},
        "data": payload_shown_to(event, endpoint.owner),
    }
    return NewMessage(
        dedupe_key=f"event:{event.pk}:endpoint:{endpoint.pk}",
        channel=Message.Channel.WEBHOOK,
        recipient_id=None,
        endpoint_id=endpoint.pk,
        address=endpoint.url,
        subject=subject,
        title=event.kind,
        body="",
        payload=content,
        priority=PRIORITY,
    )
