"""Every provider over a real socket: what is sent, and what its answers mean."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from typing import Any

import http_ece
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from py_vapid import Vapid02

from apps.foundation.clock import now
from apps.foundation.subjects import Subject
from apps.messaging.models import Connection, Message
from apps.messaging.operations import send_due
from apps.messaging.push_keys import push_public_key
from apps.people.models import ContactPoint
from tests.messaging.provider_rig import again, answers, connect, form, one_server, provider, reachable, to
from tests.messaging.servers import Answer, Receiver, free_port

__all__ = ["one_server", "provider"]
pytestmark = pytest.mark.django_db

INCIDENT = Subject("incident", "7")
PAGE: dict[str, Any] = {
    "page_id": 12,
    "url": "https://portal.example.com/i/7",
    "ack_url": "https://portal.example.com/a/1",
}
SLACK_OK = {"ok": True, "channel": "D024BE91L", "ts": "1503435956.000247"}


class Browser:
    """A browser's push subscription and the keys that only it has."""

    def __init__(self, endpoint: str) -> None:
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.secret = b"0123456789abcdef"
        point = self.key.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
        keys = {"p256dh": _encoded(point), "auth": _encoded(self.secret)}
        self.subscription = json.dumps({"endpoint": endpoint, "keys": keys, "expirationTime": None})

    def read(self, body: bytes) -> dict[str, Any]:
        text = http_ece.decrypt(body, private_key=self.key, auth_secret=self.secret, version="aes128gcm")
        found: dict[str, Any] = json.loads(text)
        return found


def _encoded(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def by_slack(provider: Receiver) -> Message:
    connect("slack", provider)
    return to(reachable("slack", "U024BE7LH"), payload=PAGE)


def by_pagerduty(provider: Receiver) -> Message:
    connect("pagerduty", provider)
    return to(reachable("pagerduty", "R0123456789ABCDEF0123456789ABCDE"), payload=PAGE)


def by_discord(provider: Receiver) -> Message:
    return to(reachable("discord", provider.url("/api/webhooks/4711471147114711/abcdefghijklmnop")), payload=PAGE)


def by_sms(provider: Receiver) -> Message:
    connect("sms", provider)
    return to(reachable("sms", "+49 151 2345-6789"), payload=PAGE)


def by_push(provider: Receiver) -> Message:
    push_public_key()
    return to(reachable("push", Browser(provider.url("/push/1")).subscription), payload=PAGE)


def by_apprise(provider: Receiver) -> Message:
    return to(reachable("apprise", f"json://127.0.0.1:{provider.port}/page"), payload=PAGE)


Way = Callable[[Receiver], Message]
WAYS: dict[str, tuple[Way, Any]] = {
    "slack": (by_slack, SLACK_OK),
    "pagerduty": (by_pagerduty, {"status": "success", "dedup_key": "x"}),
    "discord": (by_discord, {"id": "99"}),
    "sms": (by_sms, {"sid": "SM1", "status": "queued"}),
    "push": (by_push, None),
    "apprise": (by_apprise, None),
}
every_way = pytest.mark.parametrize("kind", WAYS)


@every_way
def test_what_a_provider_takes_is_sent_once(provider: Receiver, kind: str) -> None:
    way, said = WAYS[kind]
    provider.answer = answers(200, said)
    message = way(provider)
    send_due()
    assert (again(message).state, message.attempts, message.last_error) == ("sent", 1, "")
    assert send_due() == 0
    assert len(provider.requests) == 1


@every_way
def test_a_provider_that_is_not_there_is_tried_again_and_certainly_has_nothing(
    provider: Receiver, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(provider, "port", free_port())
    message = WAYS[kind][0](provider)
    send_due()
    assert (again(message).state, message.maybe_sent_at) == ("queued", None)
    assert message.last_error


@every_way
def test_a_provider_that_is_too_slow_may_have_it(provider: Receiver, kind: str, settings: Any) -> None:
    settings.MESSAGE_TIMEOUT_SECONDS = 1
    provider.answer = lambda request: Answer(status=200, after_seconds=1.6)
    message = WAYS[kind][0](provider)
    send_due()
    assert again(message).state == "queued"
    assert message.maybe_sent_at is not None


@every_way
def test_too_many_rests_the_whole_lane(provider: Receiver, kind: str) -> None:
    way, _ = WAYS[kind]
    provider.answer = answers(429, {"ok": False, "error": "ratelimited"}, **{"Retry-After": "30"})
    first = way(provider)
    second = to(ContactPoint.objects.get(kind=kind), payload=PAGE)
    send_due()
    assert len(provider.requests) == 1
    assert (again(first).attempts, again(second).attempts, second.state) == (1, 0, "queued")
    if kind != "apprise":  # Apprise keeps the header to itself
        assert min((row.due_at - now()).total_seconds() for row in (first, second)) > 25


REFUSALS: dict[str, tuple[int, Any]] = {
    "slack": (200, {"ok": False, "error": "user_not_found"}),
    "pagerduty": (400, {"status": "invalid event", "errors": ["Invalid routing key"]}),
    "discord": (404, {"message": "Unknown Webhook", "code": 10015}),
    "sms": (400, {"code": 21211, "message": "Invalid 'To' Phone Number", "status": 400}),
    "push": (410, None),
    "apprise": (403, None),
}


@every_way
def test_a_refusal_for_good_is_shown_and_marks_the_address(provider: Receiver, kind: str) -> None:
    status, said = REFUSALS[kind]
    provider.answer = answers(status, said)
    message = WAYS[kind][0](provider)
    send_due()
    assert (again(message).state, message.attempts) == ("failed", 1)
    assert message.fallback_at is not None
    point = ContactPoint.objects.get()
    assert (point.broken_at is not None, point.broken_detail) == (True, message.last_error[:300])


@every_way
def test_what_the_provider_needs_to_know_is_never_kept_in_the_message(provider: Receiver, kind: str) -> None:
    message = WAYS[kind][0](provider)
    kept = f"{message.address} {message.payload} {message.body} {ContactPoint.objects.get().address}"
    for secret in ("abcdefghijklmnop", "R0123456789", "p256dh", "/push/1", "xoxb"):
        assert secret not in kept


@pytest.mark.parametrize("kind", ["slack", "sms"])
def test_a_token_that_is_refused_marks_the_connection_and_not_the_person(provider: Receiver, kind: str) -> None:
    said = {"ok": False, "error": "invalid_auth", "code": 20003, "message": "Authenticate", "status": 401}
    provider.answer = answers(200 if kind == "slack" else 401, said)
    message = WAYS[kind][0](provider)
    send_due()
    assert again(message).state == "failed"
    assert Connection.objects.get(kind=kind).broken_detail
    assert ContactPoint.objects.get().broken_at is None


@pytest.mark.parametrize("kind", ["slack", "sms"])
def test_without_a_connection_the_message_fails_and_says_so(provider: Receiver, kind: str) -> None:
    message = WAYS[kind][0](provider)
    Connection.objects.update(state="paused")
    send_due()
    assert again(message).state == "failed"
    assert "Connections" in message.last_error


def test_slack_shows_buttons_that_name_the_incident_and_escapes_the_text(provider: Receiver) -> None:
    provider.answer = answers(200, SLACK_OK)
    connect("slack", provider)
    point = reachable("slack", "U024BE7LH")
    message = to(point, title="<!channel> & co", subject=INCIDENT, payload={**PAGE, "can_respond": True})
    send_due()
    [request] = provider.requests
    sent = json.loads(request.body)
    assert (request.path, request.headers["Authorization"]) == ("/chat.postMessage", "Bearer xoxb-secret")
    assert (sent["channel"], sent["text"]) == ("U024BE7LH", "&lt;!channel&gt; &amp; co")
    assert sent["blocks"][0]["text"]["text"] == "*&lt;!channel&gt; &amp; co*"
    buttons = {button["text"]["text"]: button for button in sent["blocks"][-1]["elements"]}
    assert list(buttons) == ["Acknowledge", "Resolve", "Open"]
    assert json.loads(buttons["Acknowledge"]["value"])["key"] == "7"
    assert again(message).provider_id == "D024BE91L:1503435956.000247"


def test_pagerduty_gets_a_dedup_key_that_stays_the_same(provider: Receiver) -> None:
    said = iter([(500, None), (202, {"status": "success"})])
    provider.answer = lambda request: answers(*next(said))(request)  # noqa: PLW0108  # each request has the next answer
    message = by_pagerduty(provider)
    send_due()
    Message.objects.update(due_at=now())
    send_due()
    first, second = (json.loads(request.body) for request in provider.requests)
    assert provider.requests[0].path == "/v2/enqueue"
    assert first["routing_key"] == "R0123456789ABCDEF0123456789ABCDE"
    assert (first["event_action"], first["payload"]["severity"]) == ("trigger", "critical")
    assert first["dedup_key"] == second["dedup_key"] == again(message).provider_id


def test_a_change_goes_to_pagerduty_as_one_and_opens_nothing(provider: Receiver) -> None:
    provider.answer = answers(202, {"status": "success"})
    connect("pagerduty", provider)
    point = reachable("pagerduty", "R0123456789ABCDEF0123456789ABCDE")
    message = to(point, title="Variant b was killed", payload={"event_action": "change", "url": "https://x.example"})
    send_due()
    [request] = provider.requests
    sent = json.loads(request.body)
    assert (request.path, sent["routing_key"]) == ("/v2/change/enqueue", "R0123456789ABCDEF0123456789ABCDE")
    assert (sent["payload"]["summary"], "event_action" in sent) == ("Variant b was killed", False)
    assert sent["links"] == [{"href": "https://x.example", "text": "Open"}]
    assert again(message).state == "sent"


def test_a_text_message_says_how_to_answer_and_where_to_report(provider: Receiver) -> None:
    provider.answer = answers(201, {"sid": "SM1", "status": "queued"})
    message = by_sms(provider)
    send_due()
    [request] = provider.requests
    sent = form(request)
    assert request.path == "/2010-04-01/Accounts/AC123/Messages.json"
    assert request.headers["Authorization"].startswith("Basic ")
    assert sent["To"] == "+4915123456789"
    assert "Reply ACK 12 to acknowledge." in sent["Body"]
    assert sent["StatusCallback"].endswith(f"/status/?m={message.pk}&n=1")
    assert again(message).provider_id == "SM1"


def test_a_web_push_is_read_by_the_browser_alone_and_signed_by_the_portal(provider: Receiver) -> None:
    provider.answer = answers(201, None, Location="https://push.example.com/m/1")
    public = push_public_key()
    browser = Browser(provider.url("/push/1"))
    message = to(reachable("push", browser.subscription), title="[P1] Nobody can log in", payload=PAGE)
    send_due()
    [request] = provider.requests
    shown = browser.read(request.body)
    assert (shown["title"], shown["url"], shown["ack_url"]) == (message.title, PAGE["url"], PAGE["ack_url"])
    assert b"log in" not in request.body
    assert request.headers["Authorization"].endswith(f"k={public}")
    assert Vapid02.verify(request.headers["Authorization"])
    assert (request.headers["Urgency"], len(request.headers["Topic"])) == ("high", 32)


def test_the_push_key_is_made_once() -> None:
    assert push_public_key() == push_public_key()
    assert Connection.objects.filter(kind="push").count() == 1
    assert "BEGIN" not in Connection.objects.get().token_encrypted


@pytest.mark.parametrize(
    "address", ["json://127.0.0.1:{port}/", "json://localtest.example:{port}/", "ntfy://[::1]:{port}/t"]
)
def test_apprise_reaches_no_private_address(
    provider: Receiver, settings: Any, address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    point = reachable("apprise", address.format(port=provider.port))
    settings.WEBHOOK_ALLOW_PRIVATE = False
    import socket

    real = socket.getaddrinfo
    monkeypatch.setattr(
        socket,
        "getaddrinfo",
        lambda host, *args, **kwargs: real("127.0.0.1" if host == "localtest.example" else host, *args, **kwargs),
    )
    message = to(point)
    send_due()
    assert provider.requests == []
    assert "private address" in again(message).last_error


def test_slack_can_not_be_sent_to_a_private_address(provider: Receiver, settings: Any) -> None:
    message = by_slack(provider)
    settings.WEBHOOK_ALLOW_PRIVATE = False
    send_due()
    assert (again(message).state, provider.requests) == ("failed", [])
    assert "private address" in message.last_error


def test_an_address_that_was_removed_gets_nothing(provider: Receiver) -> None:
    message = by_discord(provider)
    ContactPoint.objects.all().delete()
    send_due()
    assert (again(message).last_error, provider.requests) == ("This address was removed.", [])
