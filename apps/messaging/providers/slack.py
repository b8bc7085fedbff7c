"""Slack: chat.postMessage with buttons, chat.update once it is answered, and answers to those who pressed."""

from __future__ import annotations

import json
from typing import Any
from urllib.error import URLError

from apps.foundation.egress.deadlines import Deadline, DeadlinePassed
from apps.messaging.models import Attempt
from apps.messaging.providers.base import Blame, Outgoing, Result, shortened
from apps.messaging.providers.guarded import RefusedConnection, guarded_connections
from apps.messaging.providers.http import ask_json, not_now, refused, retry_after
from apps.messaging.providers.plain import PlainTransport, cut, link_of, not_connected

OWN_ADDRESS = "https://slack.com/api/"
ACKNOWLEDGE, RESOLVE, CONFIRM = "portal_acknowledge", "portal_resolve", "portal_confirm"
_LONGEST_SECTION = 2900
_TOO_MANY = 429
_SERVER_ERROR = 500
# What Slack says when the token, and not this message, is wrong.
_BAD_CONNECTION = frozenset(
    [
        "invalid_auth",
        "not_authed",
        "account_inactive",
        "token_revoked",
        "token_expired",
        "missing_scope",
        "no_permission",
        "org_login_required",
        "ekm_access_denied",
        "access_denied",
        "team_access_not_granted",
    ]
)
_BAD_ADDRESS = frozenset(
    [
        "channel_not_found",
        "user_not_found",
        "users_not_found",
        "is_archived",
        "not_in_channel",
        "cannot_dm_bot",
        "user_disabled",
        "user_not_visible",
        "messages_tab_disabled",
        "restricted_action",
    ]
)
_TRY_AGAIN = frozenset(["internal_error", "fatal_error", "service_unavailable", "request_timeout", "team_added_to_org"])


def transport() -> PlainTransport:
    return PlainTransport(send, "slack_sdk", "slack_sdk.errors")


def send(message: Outgoing, deadline: Deadline) -> Result:
    """Post to a person or a channel, change what was posted (`update_of`), or answer a press (`response_url`)."""
    if message.payload.get("response_url"):
        return _answer_press(message, deadline)
    if message.credentials is None:
        return not_connected("Slack")
    from slack_sdk.errors import SlackApiError, SlackClientError  # only senders pay for the import

    try:
        with guarded_connections():
            said = _call(message, deadline)
    except SlackApiError as error:
        return _refusal(error.response)
    except (SlackClientError, OSError) as error:
        return _no_answer(error)
    return Result(Attempt.Outcome.ACCEPTED, "ok", provider_id=f"{said.get('channel', '')}:{said.get('ts', '')}"[:200])


def _no_answer(error: Exception) -> Result:
    """What it means that there is none: whether Slack can have the message."""
    reason: object = error.reason if isinstance(error, URLError) else error
    if isinstance(reason, RefusedConnection):
        return Result(Attempt.Outcome.REFUSED, shortened(reason), blame=Blame.CONNECTION)
    if isinstance(error, URLError) and not isinstance(reason, TimeoutError):
        return Result(Attempt.Outcome.RETRY, f"Not reachable: {shortened(reason)}", provider_broken=True)
    if isinstance(error, DeadlinePassed):
        return Result(Attempt.Outcome.RETRY, "There was no time left to ask.", provider_broken=True)
    said = shortened(reason) or type(reason).__name__
    return Result(Attempt.Outcome.UNKNOWN, f"No answer: {said}", provider_broken=True)


def _call(message: Outgoing, deadline: Deadline) -> Any:
    from slack_sdk import WebClient  # the same

    assert message.credentials is not None
    base = message.credentials.base_url or OWN_ADDRESS
    client = WebClient(
        token=message.credentials.token,
        base_url=base if base.endswith("/") else f"{base}/",
        timeout=max(int(deadline.remaining()), 1),
        # Its own repeats would be sent twice without a trace: the queue repeats.
        retry_handlers=[],
    )
    content: dict[str, Any] = {
        "text": escaped(cut(message.title, 300)),
        "blocks": blocks(message),
        "unfurl_links": False,
        "unfurl_media": False,
    }
    channel, _, ts = str(message.payload.get("update_of", "")).rpartition(":")
    if channel and ts:
        return client.chat_update(channel=channel, ts=ts, text=content["text"], blocks=content["blocks"])
    # Slack knows no idempotency key; the metadata tells a repeat to whoever reads the channel by API.
    metadata = {"event_type": "portal_message", "event_payload": {"idempotency_key": message.idempotency_key}}
    return client.chat_postMessage(channel=message.address, metadata=metadata, **content)


def blocks(message: Outgoing) -> list[dict[str, Any]]:
    """The message as Slack's blocks: title, text, and the buttons that its state still allows."""
    found: list[dict[str, Any]] = [_section(f"*{escaped(message.title)}*")]
    body = message.payload.get("state_text") or _body(message)
    if body:
        found.append(_section(escaped(body)))
    if buttons := _buttons(message):
        found.append({"type": "actions", "elements": buttons})
    return found


def _body(message: Outgoing) -> str:
    """The text without the lines that the buttons replace."""
    several = "bundle_id" in message.payload and "page_id" not in message.payload
    if several or not message.can_respond:
        return message.body.strip()
    paragraphs = [part.strip() for part in message.body.split("\n\n")]
    return "\n\n".join(part for part in paragraphs if part and "://" not in part and part != message.title)


def _section(text: str) -> dict[str, Any]:
    return {"type": "section", "text": {"type": "mrkdwn", "text": cut(text, _LONGEST_SECTION)}}


def _buttons(message: Outgoing) -> list[dict[str, Any]]:
    value = json.dumps(
        {
            "kind": message.subject.kind,
            "key": message.subject.key,
            "page": message.payload.get("page_id"),
            "point": message.payload.get("contact_point_id"),
        }
    )
    found: list[dict[str, Any]] = []
    if message.payload.get("contact_point_id"):
        found.append({**_button("Yes, it reaches me", CONFIRM), "value": value, "style": "primary"})
    if message.can_respond:
        found.append({**_button("Acknowledge", ACKNOWLEDGE), "value": value, "style": "primary"})
    if message.can_respond or message.payload.get("can_resolve"):
        sure = {
            "title": {"type": "plain_text", "text": "Resolve it?"},
            "text": {"type": "plain_text", "text": "Paging stops and the incident ends."},
            "confirm": {"type": "plain_text", "text": "Resolve"},
            "deny": {"type": "plain_text", "text": "Cancel"},
        }
        found.append({**_button("Resolve", RESOLVE), "value": value, "confirm": sure})
    if link := link_of(message):
        found.append({**_button("Open", "portal_open"), "url": link})
    return found


def _button(text: str, action: str) -> dict[str, Any]:
    return {"type": "button", "text": {"type": "plain_text", "text": text}, "action_id": action}


def escaped(text: str) -> str:
    """Text in which nothing is a mention, a link or a channel of Slack's."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _refusal(response: Any) -> Result:
    data = response.data if isinstance(response.data, dict) else {}
    code, status = str(data.get("error", "")), int(response.status_code)
    detail = shortened(f"HTTP {status} {code}".strip())
    if status == _TOO_MANY or code in {"ratelimited", "rate_limited"}:
        wait = retry_after({str(name): str(value) for name, value in response.headers.items()})
        return Result(Attempt.Outcome.RETRY, detail, retry_after_seconds=wait, provider_broken=True)
    if status >= _SERVER_ERROR or code in _TRY_AGAIN:
        return Result(Attempt.Outcome.RETRY, detail)
    if code in _BAD_CONNECTION:
        return Result(Attempt.Outcome.REFUSED, detail, blame=Blame.CONNECTION)
    return Result(Attempt.Outcome.REFUSED, detail, blame=Blame.ADDRESS if code in _BAD_ADDRESS else Blame.NOBODY)


def _answer_press(message: Outgoing, deadline: Deadline) -> Result:
    """Tell only the person who pressed; Slack gave the address for it with the press."""
    content = {"response_type": "ephemeral", "replace_original": False, "text": escaped(message.title)}
    reply = ask_json("POST", str(message.payload["response_url"]), content, deadline=deadline)
    if isinstance(reply, Result):
        return reply
    if reply.is_ok:
        return Result(Attempt.Outcome.ACCEPTED, reply.detail())
    return not_now(reply) or refused(reply)
