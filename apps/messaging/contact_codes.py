"""A new contact point is sent a code, which proves that it reaches its person; an old proof is asked for again."""

from __future__ import annotations

from datetime import datetime, timedelta

from django.conf import settings
from django.db import transaction
from django.db.models import QuerySet
from django.urls import reverse

from apps.engine.models import Event
from apps.foundation.actor import Actor
from apps.foundation.clock import now
from apps.foundation.subjects import Subject
from apps.messaging.drafts import NewMessage
from apps.messaging.models import Message
from apps.messaging.operations import enqueue_many
from apps.people.events import ContactCodeWanted, ContactPointAdded
from apps.people.models import ContactPoint
from apps.people.operations import note_reminder
from apps.people.queries import contact_code

SUBSCRIBER = "messaging.contact_codes"
KINDS = [ContactPointAdded.kind, ContactCodeWanted.kind]
BATCH = 100


def send_code(event: Event) -> None:
    """Queue the code for the address that was added; nothing when it is gone or verified. A repeat changes nothing.

    When somebody wants it once more, a verified address gets it too: that is a test. The message has no recipient on
    purpose: one's own messages can be read in the portal, where the code would prove nothing.
    """
    point = ContactPoint.objects.filter(pk=event.payload["contact_point_id"]).first()
    if point is None or point.state == ContactPoint.State.DISABLED:
        return
    if event.kind == ContactCodeWanted.kind:
        enqueue_many([_code(point, f"contact-code:{point.pk}:event:{event.pk}")])
    elif point.state == ContactPoint.State.UNVERIFIED:
        enqueue_many([_code(point, f"contact-code:{point.pk}:{contact_code(point)}")])


def _code(point: ContactPoint, key: str) -> NewMessage:
    how = {
        ContactPoint.Kind.SLACK: " Or press the button.",
        ContactPoint.Kind.SMS: " Or reply with the code.",
        ContactPoint.Kind.PAGERDUTY: " Or acknowledge this in PagerDuty.",
    }.get(ContactPoint.Kind(point.kind), "")
    code = contact_code(point)
    return _to(
        point,
        key,
        "Confirm that pages reach you here",
        f"The code is {code}. Open your contact points in the portal, choose this address, and verify it.{how}",
    )


def _to(point: ContactPoint, key: str, title: str, body: str, recipient_id: int | None = None) -> NewMessage:
    return NewMessage(
        dedupe_key=key,
        channel=point.kind,
        recipient_id=recipient_id,
        endpoint_id=None,
        contact_point_id=point.pk,
        address=point.address,
        subject=Subject("", ""),
        title=title,
        body=body,
        # The button's press is proved by the provider; the link needs a log-in.
        payload={"contact_point_id": point.pk, "url": _page_of(point), "event_severity": "info"},
    )


def _page_of(point: ContactPoint) -> str:
    return f"{settings.PUBLIC_URL}{reverse('admin:people_contactpoint_change', args=[point.pk])}"


# --- when the proof is old ---


def stale(at: datetime) -> QuerySet[ContactPoint]:
    """Verified addresses that nobody confirmed for CONTACT_CONFIRM_DAYS before `at`, and nobody was asked about yet."""
    return ContactPoint.objects.filter(
        state=ContactPoint.State.VERIFIED,
        reminded_at__isnull=True,
        confirmed_at__lte=at - timedelta(days=settings.CONTACT_CONFIRM_DAYS),
        user__is_active=True,
    )


def is_any_stale(at: datetime) -> bool:
    """One cheap query: is there somebody to ask?"""
    return stale(at).exists()


def remind() -> int:
    """Ask the people of up to 100 stale addresses, there and in their inboxes, each once until they answer."""
    with transaction.atomic():
        points = list(stale(now()).select_for_update(skip_locked=True, of=("self",)).order_by("confirmed_at")[:BATCH])
        for point in points:
            note_reminder(point.pk, actor=Actor.system("messaging"))
        enqueue_many([draft for point in points for draft in _reminders(point)])
    return len(points)


def _reminders(point: ContactPoint) -> list[NewMessage]:
    """One there, which only reaches somebody who still reads it, and one in the inbox, in case nobody does."""
    since = point.confirmed_at.date().isoformat() if point.confirmed_at else "long ago"
    key = f"contact-reminder:{point.pk}:{since}"
    title = "Do pages still reach you here?"
    body = (
        f"{point.get_kind_display()} {point.address} was last confirmed on {since}. Confirm it in the portal "
        "if it still reaches you, or remove it."
    )
    there = _to(point, key, title, body, recipient_id=point.user_id)
    inbox = NewMessage(
        dedupe_key=f"{key}:inbox",
        channel=Message.Channel.INBOX,
        recipient_id=point.user_id,
        endpoint_id=None,
        address="",
        subject=Subject("", ""),
        title=f"Do pages still reach you by {point.get_kind_display()}?",
        body=body,
        payload={"url": _page_of(point)},
    )
    return [there, inbox]
