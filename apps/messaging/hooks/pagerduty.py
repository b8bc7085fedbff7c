"""PagerDuty's v3 webhooks: somebody acknowledged or resolved there what the portal triggered."""

from __future__ import annotations

import hashlib
import hmac
import json
from typing import Any

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_POST

from apps.foundation.actor import Actor
from apps.foundation.errors import DomainError
from apps.foundation.subjects import Subject
from apps.messaging.hooks.presses import connection_of, opened, person_behind, press, text_at
from apps.messaging.models import Connection, Message
from apps.people.models import ContactPoint
from apps.people.operations import prove_contact_point

_ACTIONS = {"incident.acknowledged": "acknowledge", "incident.resolved": "resolve"}
_KIND = ContactPoint.Kind.PAGERDUTY


@csrf_exempt  # PagerDuty signs its requests
@require_POST
def webhook(request: HttpRequest, key: str) -> HttpResponse:
    """Acknowledge or resolve here what a person did there. 401 unless one of the signatures is right.

    What the portal does not know, and what no person did, changes nothing and is answered 200, or PagerDuty would
    repeat it for days. A repeat changes nothing.
    """
    connection = connection_of(Connection.Kind.PAGERDUTY, key)
    if connection is None:
        return HttpResponse("There is no such hook.", status=404)
    if not _is_signed(
        request.body, request.headers.get("X-PagerDuty-Signature", ""), opened(connection.signing_encrypted)
    ):
        return HttpResponse("No signature is right.", status=401)
    try:
        event = json.loads(request.body)["event"]
    except (ValueError, RecursionError, KeyError, TypeError):
        return HttpResponse("This is no v3 webhook.", status=400)
    return JsonResponse({"result": _handle(event)})


def _is_signed(body: bytes, header: str, secrets: str) -> bool:
    """While a secret is rotated there are several of them, here and in the header: one that fits is enough."""
    wanted = [
        b"v1=" + hmac.new(secret.encode(), body, hashlib.sha256).hexdigest().encode() for secret in secrets.split()
    ]
    given = [part.strip().encode() for part in header.split(",")]
    return any(hmac.compare_digest(one, other) for one in wanted for other in given)


def _handle(event: Any) -> str:
    action = _ACTIONS.get(text_at(event, "event_type"))
    if action is None:
        return "Nothing to do for this kind of event."
    message = _triggered_by(text_at(event, "data", "incident_key"))
    if message is None:
        return "The portal did not trigger this."
    agent, kind = text_at(event, "agent", "id"), text_at(event, "agent", "type")
    if not kind.startswith("user") or not agent:
        # The portal's own events come back too: nobody pressed anything.
        return "No person did this."
    if message.contact_point_id is not None and message.payload.get("contact_point_id"):
        return _prove(message.contact_point_id, agent)
    try:
        user = person_behind(_KIND, external_id=agent)
    except DomainError as error:
        return error.message
    return press(user, action, Subject(message.subject_kind, message.subject_key), "pagerduty")


def _prove(contact_point_id: int, agent: str) -> str:
    try:
        prove_contact_point(contact_point_id, external_id=agent, actor=Actor.system("pagerduty"))
    except DomainError as error:
        return error.message
    return "The contact point is verified."


def _triggered_by(dedup_key: str) -> Message | None:
    if not dedup_key:
        return None
    rows = Message.objects.filter(
        channel=Message.Channel.PAGERDUTY, provider_id=dedup_key, payload__update_of__isnull=True
    )
    return rows.order_by("id").first()
