"""Discord: messages through a channel's webhook, changed once they are answered."""

from __future__ import annotations

from typing import Any

from apps.foundation.egress.deadlines import Deadline
from apps.messaging.models import Attempt
from apps.messaging.providers.base import Outgoing, Result
from apps.messaging.providers.http import ask_json, not_now, refused
from apps.messaging.providers.plain import PlainTransport, ack_link_of, cut, link_of

_GONE = (401, 403, 404, 410)
_RED, _GREEN = 0xB91C1C, 0x15803D


def transport() -> PlainTransport:
    return PlainTransport(send)


def send(message: Outgoing, deadline: Deadline) -> Result:
    """Post to the webhook, or change what was posted there. Discord knows no key against repeats of webhooks."""
    update_of = str(message.payload.get("update_of", ""))
    url = f"{message.secret}/messages/{update_of}" if update_of else f"{message.secret}?wait=true"
    reply = ask_json("PATCH" if update_of else "POST", url, content(message), deadline=deadline)
    if isinstance(reply, Result):
        return reply
    if reply.is_ok:
        return Result(
            Attempt.Outcome.ACCEPTED, f"HTTP {reply.status}", provider_id=str(reply.json().get("id", ""))[:200]
        )
    return not_now(reply) or refused(reply, *(() if update_of else _GONE))


def content(message: Outgoing) -> dict[str, Any]:
    """The message's JSON; nobody is mentioned by what an alert says."""
    state_text = str(message.payload.get("state_text", ""))
    lines = [cut(state_text or message.body.strip(), 3500)]
    if (link := ack_link_of(message)) and not state_text:
        lines.append(f"[Acknowledge]({link})")
    embed: dict[str, Any] = {
        "title": cut(message.title, 250),
        "description": "\n\n".join(line for line in lines if line),
        "color": _GREEN if state_text else _RED,
    }
    if link := link_of(message):
        embed["url"] = link
    return {"embeds": [embed], "allowed_mentions": {"parse": []}}
