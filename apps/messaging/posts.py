"""Posts to the places of teams, and what follows when somebody answers: messages changed, alerts closed there."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from django.db.models import Q

from apps.foundation.subjects import Subject
from apps.messaging.drafts import NewMessage, idempotency_key
from apps.messaging.models import Destination, Message
from apps.messaging.operations import enqueue_many
from apps.messaging.sending.outcomes import FOLLOWED

_PRIORITY = 1
_MOST_FOLLOWED = 500
_SLACK_NAME_MARK = "#"
_POST_MARK = "post:"


@dataclass(frozen=True, slots=True)
class Post:
    """What a team's places are told about one thing, once: the same `key` again changes nothing.

    `opens` says that PagerDuty opens an alert for it; else it is told as a change, which pages nobody.
    """

    key: str
    subject: Subject
    title: str
    body: str
    url: str
    severity: str = "critical"
    opens: bool = True


def post(what: Post, places: Iterable[tuple[str, str]]) -> list[str]:
    """Queue `what` for each (kind, name), in the caller's transaction; returns the names that nobody set up.

    A Slack channel needs no destination: its own name will do. Two queries.
    """
    wanted = list(dict.fromkeys(places))
    known = {
        (place.kind, place.name): place for place in Destination.objects.filter(name__in=[name for _, name in wanted])
    }
    drafts: list[NewMessage] = []
    unknown: list[str] = []
    for kind, name in wanted:
        place = known.get((kind, name))
        if place is None and not (kind == Message.Channel.SLACK and name.startswith(_SLACK_NAME_MARK)):
            unknown.append(name)
            continue
        drafts.append(_draft(what, kind, name, place))
    enqueue_many(drafts)
    return unknown


def _draft(what: Post, kind: str, name: str, place: Destination | None) -> NewMessage:
    return NewMessage(
        dedupe_key=f"{_POST_MARK}{what.key}:{kind}:{name}"[:200],
        channel=kind,
        recipient_id=None,
        endpoint_id=None,
        destination_id=place.pk if place else None,
        address=place.target if place else name,
        subject=what.subject,
        title=what.title,
        body=what.body,
        payload=_payload(what),
        priority=_PRIORITY,
    )


def _payload(what: Post) -> dict[str, Any]:
    found = {"url": what.url, "can_respond": what.opens, "event_severity": what.severity}
    return found if what.opens else {**found, "event_action": "change"}


@dataclass(frozen=True, slots=True)
class News:
    """What happened to a subject: `action` is "acknowledge" or "resolve"; `key` names the event, `text` tells it."""

    key: str
    subject: Subject
    action: str
    text: str


def follow_up(news: Sequence[News], *, only: Collection[str] = FOLLOWED) -> None:
    """Change what was posted in Slack and Discord about these subjects, and tell PagerDuty, each once for each `key`.

    `only` limits it to these channels.

    PagerDuty is also told of what it may have taken though it counts as not sent. What is on its way meanwhile tells by
    `MessageTaken` that it is there, so that this can be called again.

    One query to find what was sent, one to store what follows. Pages that were not sent yet become void by their
    guard; posts that were not, when it is resolved. Only the newest 500 are followed.
    """
    if not news:
        return
    of: dict[Subject, list[News]] = defaultdict(list)
    about = Q()
    for item in news:
        of[item.subject].append(item)
    for subject in of:
        about |= Q(subject_kind=subject.kind, subject_key=subject.key)
    _void_unsent([item.subject for item in news if item.action == "resolve"], only)
    sent = Q(state=Message.State.SENT, channel__in=FOLLOWED) & ~Q(provider_id="")
    maybe = Q(state__in=_OVER, channel=_C.PAGERDUTY, maybe_sent_at__isnull=False)
    there = Message.objects.filter(about, sent | maybe, channel__in=only, payload__update_of__isnull=True)
    drafts = [
        draft
        for message in there.order_by("-id")[:_MOST_FOLLOWED]
        for item in of[Subject(message.subject_kind, message.subject_key)]
        if (draft := _following(message, item)) is not None
    ]
    enqueue_many(drafts)


def _void_unsent(resolved: Sequence[Subject], only: Collection[str]) -> None:
    """A post that is sent after the end would open in PagerDuty what nobody closes again."""
    if not resolved:
        return
    about = Q()
    for subject in resolved:
        about |= Q(subject_kind=subject.kind, subject_key=subject.key)
    waiting = Message.objects.filter(about, state=Message.State.QUEUED, dedupe_key__startswith=_POST_MARK)
    if only is not FOLLOWED:
        waiting = waiting.filter(channel__in=only)
    waiting.update(state=Message.State.VOID, last_error="It was resolved before this was sent.")


_C = Message.Channel
_OVER = (Message.State.FAILED, Message.State.VOID)


def _following(message: Message, news: News) -> NewMessage | None:
    payload: dict[str, Any] = {"url": message.payload.get("url", ""), "can_respond": False}
    if message.channel == _C.PAGERDUTY:
        if message.payload.get("event_action", "trigger") != "trigger":
            return None
        # The key of what it may have taken follows from the message, as the transport makes it.
        known = message.provider_id or message.payload.get("dedup_key") or idempotency_key(message.dedupe_key)
        payload |= {"event_action": news.action, "dedup_key": known, "update_of": ""}
    else:
        payload |= {"update_of": message.provider_id, "state_text": news.text}
        payload["can_resolve"] = news.action == "acknowledge"
    return NewMessage(
        dedupe_key=f"follow:{message.pk}:{news.key}"[:200],
        channel=message.channel,
        # To nobody: it is no page, and must neither call a fallback nor stand in anybody's list of pages.
        recipient_id=None,
        endpoint_id=None,
        destination_id=message.destination_id,
        contact_point_id=message.contact_point_id,
        address=message.address,
        subject=news.subject,
        title=message.title,
        body="",
        payload=payload,
        priority=3,
    )
