"""A new contact point is sent a code, so that its person can prove that it reaches them."""

from __future__ import annotations

from apps.engine.models import Event
from apps.foundation.subjects import Subject
from apps.messaging.drafts import NewMessage
from apps.messaging.operations import enqueue_many
from apps.people.events import ContactPointAdded
from apps.people.models import ContactPoint
from apps.people.queries import contact_code

SUBSCRIBER = "messaging.contact_codes"
KINDS = [ContactPointAdded.kind]


def send_code(event: Event) -> None:
    """Queue the code for the address that was added; nothing when it is gone or verified. A repeat changes nothing.

    The message has no recipient on purpose: one's own messages can be read in the portal, where the code would
    prove nothing.
    """
    point = ContactPoint.objects.filter(
        pk=event.payload["contact_point_id"], state=ContactPoint.State.UNVERIFIED
    ).first()
    if point is None:
        return
    code = contact_code(point)
    message = NewMessage(
        dedupe_key=f"contact-code:{point.pk}:{code}",
        channel=point.kind,
        recipient_id=None,
        endpoint_id=None,
        address=point.address,
        subject=Subject("", ""),
        title="Confirm that pages reach you here",
        body=f"The code is {code}. Open your contact points in the portal, choose this address, and verify it.",
    )
    enqueue_many([message])
