"""Twilio: what became of a text message, and replies to one."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime, timedelta

from django.conf import settings
from django.db import transaction
from django.db.models import Q
from django.http import HttpRequest, HttpResponse
from django.utils.html import escape
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_POST

from apps.foundation.actor import Actor
from apps.foundation.clock import now
from apps.foundation.errors import DomainError
from apps.foundation.subjects import Subject
from apps.messaging.hooks.presses import connection_of, opened, person_behind, press
from apps.messaging.models import Connection, Message
from apps.messaging.queries import still_guarded
from apps.messaging.sending.reports import note_delivered, note_undelivered
from apps.people.models import ContactPoint, User
from apps.people.operations import prove_contact_point
from apps.people.queries import contact_code

_KIND = ContactPoint.Kind.SMS
_REPLY = re.compile(
    r"\s*(?P<word>ack|acknowledge|acknowledged|ok|okay|yes|res|resolve|resolved)?[\s#:.!]*(?P<number>[0-9]{1,12})?[\s.!]*",
    re.IGNORECASE,
)
_RESOLVES = frozenset({"res", "resolve", "resolved"})
# Words that Twilio answers itself.
_TWILIOS = frozenset({"stop", "stopall", "unsubscribe", "cancel", "end", "quit", "start", "unstop", "help", "info"})
_ANSWERABLE_FOR = timedelta(days=7)
_MOST_LISTED = 3
_GONE = frozenset({"failed", "undelivered"})


def _checked(request: HttpRequest, key: str) -> HttpResponse | None:
    """None when it is Twilio who calls; the refusal otherwise."""
    connection = connection_of(Connection.Kind.SMS, key)
    if connection is None:
        return HttpResponse("There is no such hook.", status=404)
    token = opened(connection.token_encrypted)
    from twilio.request_validator import RequestValidator  # slow to import

    # Twilio signs the address that it was given; a proxy in front may have changed what arrives here.
    url = f"{settings.PUBLIC_URL}{request.get_full_path()}"
    signature = request.headers.get("X-Twilio-Signature", "")
    if not token or not RequestValidator(token).validate(url, request.POST.dict(), signature):
        return HttpResponse("The signature is wrong.", status=403)
    return None


@csrf_exempt  # Twilio signs its requests
@require_POST
def status(request: HttpRequest, key: str) -> HttpResponse:
    """Note that a text message was delivered, or was not: then the person's other ways are used."""
    if (refusal := _checked(request, key)) is not None:
        return refusal
    message_id, state = request.GET.get("m", ""), request.POST.get("MessageStatus", "")
    if message_id.isascii() and message_id.isdecimal() and len(message_id) < 19:  # noqa: PLR2004  # fits a bigint
        if state == "delivered":
            note_delivered(int(message_id))
        elif state in _GONE:
            detail = f"Twilio: {state} {request.POST.get('ErrorCode', '')}".strip()
            number = request.GET.get("n", "")
            attempt = int(number) if number.isascii() and number.isdecimal() and len(number) < 6 else None  # noqa: PLR2004  # a small number
            note_undelivered(int(message_id), detail, attempt=attempt)
    return HttpResponse(status=204)


@csrf_exempt  # the same
@require_POST
def reply(request: HttpRequest, key: str) -> HttpResponse:
    """ "ACK", "OK" or a page's number acknowledges as the person with this number; a code verifies it."""
    if (refusal := _checked(request, key)) is not None:
        return refusal
    sender, text = request.POST.get("From", ""), request.POST.get("Body", "")
    if text.strip().lower() in _TWILIOS:
        return _twiml("")
    return _twiml(_answer(sender, text))


def _twiml(text: str) -> HttpResponse:
    inner = f"<Message>{escape(text)}</Message>" if text else ""
    xml = f'<?xml version="1.0" encoding="UTF-8"?><Response>{inner}</Response>'
    return HttpResponse(xml, content_type="text/xml")


def _answer(sender: str, text: str) -> str:
    if _verified_by(sender, text):
        return "Thank you: pages reach you here."
    try:
        user = person_behind(_KIND, address=sender)
    except DomainError as error:
        return error.message
    said = _REPLY.fullmatch(text)
    if said is None or not (said["word"] or said["number"]):
        return 'Reply "ACK" to acknowledge, or "ACK" with the number of the page.'
    action = "resolve" if (said["word"] or "").lower() in _RESOLVES else "acknowledge"
    return _press(user, sender, action, int(said["number"]) if said["number"] else None)


def _verified_by(sender: str, text: str) -> bool:
    """Whether the text is the code that was sent to this number, which proves it."""
    code = text.strip().lower()
    for point in ContactPoint.objects.filter(kind=_KIND, address=sender).exclude(state=ContactPoint.State.DISABLED):
        if code == contact_code(point):
            prove_contact_point(point.pk, external_id=sender, actor=Actor.system("twilio"))
            return True
    return False


def _press(user: User, sender: str, action: str, number: int | None) -> str:
    """Answer the page with this number; without one, the only page that still waits, or all of the message that came
    last, where that named several: it says that a bare ACK is for all of them."""
    rows = Message.objects.filter(
        channel=_KIND,
        recipient=user,
        address=sender,
        created_at__gt=now() - _ANSWERABLE_FOR,
        state=Message.State.SENT,
    )
    # Several pages that came in one message are answered as one, without a number.
    rows = rows.filter(Q(payload__page_id__isnull=False) | Q(payload__bundle_id__isnull=False)).order_by("-id")[:50]
    if number is not None:
        found = [row for row in rows if row.payload.get("page_id") == number]
        if not found:
            return f"There is no page {number} for you."
    else:
        with transaction.atomic():
            found = still_guarded(list(rows))
    waiting = {Subject(row.subject_kind, row.subject_key): row for row in reversed(found)}
    if not waiting:
        return "Nothing waits for your answer."
    if number is None and action == "acknowledge" and _names_several(last := max(found, key=_arrived)):
        return _press_together(user, last, found)
    if len(waiting) > 1:
        listed = [_choice(row) for row in list(waiting.values())[:_MOST_LISTED]]
        return "\n".join([f"{len(waiting)} pages wait. Reply with a number:", *listed])
    return press(user, action, next(iter(waiting)), "sms")


def _arrived(row: Message) -> tuple[datetime, int]:
    return row.sent_at or row.created_at, row.pk


def _names_several(row: Message) -> bool:
    return "bundle_id" in row.payload and "page_id" not in row.payload


def _press_together(user: User, last: Message, found: Sequence[Message]) -> str:
    """Acknowledge all that one message named, and say how to answer what waits besides."""
    said = press(user, "acknowledge", Subject(last.subject_kind, last.subject_key), "sms")
    with transaction.atomic():
        besides = still_guarded([row for row in found if row.pk != last.pk])
    listed = [_choice(row) for row in besides[:_MOST_LISTED]]
    return "\n".join([said, "Still waiting:", *listed]) if listed else said


def _choice(row: Message) -> str:
    """How to answer one of several: by its number, or, where it names several itself, by its link."""
    page = row.payload.get("page_id")
    return f"ACK {page}: {row.title[:60]}" if page else f"{row.payload.get('ack_url', '')} {row.title[:60]}"
