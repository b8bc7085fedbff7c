"""Slack's interactivity: somebody pressed a button of a message."""

from __future__ import annotations

import json
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_POST

from apps.foundation.actor import Actor
from apps.foundation.errors import DomainError
from apps.foundation.subjects import Subject
from apps.messaging.hooks.presses import answer_later, connection_of, opened, person_behind, press, text_at
from apps.messaging.models import Connection
from apps.messaging.providers.slack import ACKNOWLEDGE, CONFIRM, RESOLVE
from apps.people.models import ContactPoint
from apps.people.operations import prove_contact_point

_KIND = ContactPoint.Kind.SLACK
_LONGEST_TIMESTAMP = 12
_ACTIONS = {ACKNOWLEDGE: "acknowledge", RESOLVE: "resolve"}


@csrf_exempt  # Slack signs its requests
@require_POST
def interactivity(request: HttpRequest, key: str) -> HttpResponse:
    """Do what was pressed as the person behind the Slack account. 401 unless signed within the last five minutes.

    Slack waits three seconds, so the answer to the person follows by the sender. A repeat changes nothing.
    """
    connection = connection_of(Connection.Kind.SLACK, key)
    if connection is None:
        return HttpResponse("There is no such hook.", status=404)
    if not _is_signed(request, opened(connection.signing_encrypted)):
        return HttpResponse("The signature is missing, wrong or old.", status=401)
    try:
        content = json.loads(request.POST.get("payload", ""))
    except (ValueError, RecursionError):
        return HttpResponse("The payload is no JSON.", status=400)
    if text_at(content, "type") == "block_actions":
        _handle(content)
    return HttpResponse(status=200)


def _is_signed(request: HttpRequest, secret: str) -> bool:
    from slack_sdk.signature import SignatureVerifier  # only those who are called back pay for it

    timestamp = request.headers.get("X-Slack-Request-Timestamp", "")
    signature = request.headers.get("X-Slack-Signature", "")
    # It reads the number with int(), which takes more than digits.
    is_number = timestamp.isascii() and timestamp.isdigit() and len(timestamp) <= _LONGEST_TIMESTAMP
    if not secret or not is_number or not signature.isascii():
        return False
    try:
        return bool(SignatureVerifier(secret).is_valid(body=request.body, timestamp=timestamp, signature=signature))
    except UnicodeDecodeError:  # Slack sends text only
        return False


def _handle(content: Any) -> None:
    member, action = text_at(content, "user", "id"), text_at(content, "actions", 0, "action_id")
    if action not in {*_ACTIONS, CONFIRM} or not member:
        return
    value = text_at(content, "actions", 0, "value")
    try:
        about = json.loads(value)
        subject = Subject(str(about["kind"]), str(about["key"]))
        point_id = about.get("point")
    except (ValueError, KeyError, TypeError, AttributeError):
        return
    said = _confirm(point_id, member) if action == CONFIRM else _press(member, _ACTIONS[action], subject)
    if response_url := text_at(content, "response_url"):
        answer_later(response_url, f"{member}:{action}:{value}:{text_at(content, 'actions', 0, 'action_ts')}", said)


def _press(member: str, action: str, subject: Subject) -> str:
    try:
        user = person_behind(_KIND, address=member)
    except DomainError as error:
        return error.message
    return press(user, action, subject, "slack")


def _confirm(point_id: object, member: str) -> str:
    """Whoever pressed is the address: that proves it."""
    point = (
        ContactPoint.objects.filter(pk=point_id, kind=_KIND, address=member).first()
        if isinstance(point_id, int)
        else None
    )
    if point is None:
        return "This button belongs to somebody else."
    prove_contact_point(point.pk, external_id=member, actor=Actor.system("slack"))
    return "Thank you: pages reach you here."
