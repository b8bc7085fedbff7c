"""PagerDuty's Events API v2: trigger, acknowledge and resolve by dedup key; and changes, which page nobody."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

from django.conf import settings

from apps.foundation.egress.deadlines import Deadline
from apps.messaging.models import Attempt
from apps.messaging.providers.base import Blame, Outgoing, Result
from apps.messaging.providers.http import Reply, ask_json, not_now, refused
from apps.messaging.providers.plain import PlainTransport, ack_link_of, cut, link_of

OWN_ADDRESS = "https://events.pagerduty.com"
_LONGEST_SUMMARY = 1024
_BAD_REQUEST = 400
_GONE = (401, 403, 404, 410)
CHANGE = "change"  # instead of an action: something was changed, and nothing is opened


def transport() -> PlainTransport:
    return PlainTransport(send)


def send(message: Outgoing, deadline: Deadline) -> Result:
    """One event for the service behind the integration key. The dedup key is the same for each repeat."""
    base = (message.credentials.base_url if message.credentials else "") or OWN_ADDRESS
    is_change = message.payload.get("event_action") == CHANGE
    path, body = ("/v2/change/enqueue", change(message)) if is_change else ("/v2/enqueue", event(message))
    reply = ask_json("POST", f"{base.rstrip('/')}{path}", body, deadline=deadline)
    return reply if isinstance(reply, Result) else _result(reply, message)


def event(message: Outgoing) -> dict[str, Any]:
    """The event's JSON."""
    action = str(message.payload.get("event_action", "trigger"))
    found: dict[str, Any] = {
        "routing_key": message.secret,
        "event_action": action,
        "dedup_key": dedup_key(message),
    }
    if action != "trigger":
        return found
    found["payload"] = {
        "summary": cut(message.title, _LONGEST_SUMMARY),
        "source": urlsplit(settings.PUBLIC_URL).hostname or "portal",
        "severity": str(message.payload.get("event_severity", "critical")),
        "custom_details": {"text": cut(message.body, 4000)},
    }
    found["client"], found["client_url"] = "Incident portal", link_of(message) or settings.PUBLIC_URL
    links = [
        {"href": ack_link_of(message), "text": "Acknowledge in the portal"},
        {"href": link_of(message), "text": "Open"},
    ]
    found["links"] = [link for link in links if link["href"]]
    return found


def change(message: Outgoing) -> dict[str, Any]:
    """The JSON of a change: it stands beside the incidents of the service."""
    found: dict[str, Any] = {
        "routing_key": message.secret,
        "payload": {
            "summary": cut(message.title, _LONGEST_SUMMARY),
            "source": urlsplit(settings.PUBLIC_URL).hostname or "portal",
            "custom_details": {"text": cut(message.body, 4000)},
        },
    }
    if link := link_of(message):
        found["links"] = [{"href": link, "text": "Open"}]
    return found


def dedup_key(message: Outgoing) -> str:
    """What PagerDuty recognises the alert by; what follows it up names the first message's."""
    return str(message.payload.get("dedup_key") or message.idempotency_key)


def _result(reply: Reply, message: Outgoing) -> Result:
    if reply.is_ok:
        return Result(Attempt.Outcome.ACCEPTED, reply.detail(), provider_id=dedup_key(message))
    if (wait := not_now(reply)) is not None:
        return wait
    said = reply.text().lower()
    if reply.status == _BAD_REQUEST and ("routing key" in said or "routing_key" in said or "integration" in said):
        return Result(Attempt.Outcome.REFUSED, reply.detail(), blame=Blame.ADDRESS)
    return refused(reply, *_GONE)
