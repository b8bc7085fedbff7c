"""Providers call back: signatures, presses as the right person, replies to text messages, and no second effect."""

from __future__ import annotations

import hashlib
import hmac
import json
import time
from datetime import timedelta
from typing import Any
from urllib.parse import urlencode

import pytest
from django.test import Client
from twilio.request_validator import RequestValidator

from apps.engine.operations import deliver
from apps.foundation.clock import ManualClock, now, use_clock
from apps.foundation.subjects import Subject
from apps.incidents.models import Incident
from apps.messaging.models import Connection, Message
from apps.messaging.operations import send_due
from apps.people.models import ContactPoint, User
from apps.people.operations import add_contact_point
from apps.people.queries import contact_code
from tests.factories import actor, answers_for, incident, person
from tests.messaging.conftest import Runs, enqueue
from tests.messaging.provider_rig import answers, connect, one_server, provider, reachable, to
from tests.messaging.servers import Receiver

__all__ = ["one_server", "provider"]
pytestmark = pytest.mark.django_db

MEMBER, PHONE, AGENT = "U024BE7LH", "+4915123456789", "PGR0VU2"
SLACK_OK = {"ok": True, "channel": "D024BE91L", "ts": "1503435956.000247"}


@pytest.fixture
def ana() -> User:
    return person("commander", username="ana", display_name="Ana")


def subject_of(row: Incident) -> Subject:
    return Subject("incident", str(row.pk))


# --- Slack ---


def pressed(
    action: str, row: Incident, *, member: str = MEMBER, response_url: str = "https://hooks.slack.com/a/1"
) -> str:
    value = json.dumps({"kind": "incident", "key": str(row.pk), "page": None, "point": None})
    content = {
        "type": "block_actions",
        "user": {"id": member},
        "actions": [{"action_id": f"portal_{action}", "value": value, "action_ts": "1.5"}],
        "response_url": response_url,
    }
    return urlencode({"payload": json.dumps(content)})


def slack(connection: Connection, body: str, *, at: float | None = None, secret: str = "shh") -> Any:  # noqa: S107  # of the test
    timestamp = str(int(time.time() if at is None else at))
    signed = hmac.new(secret.encode(), f"v0:{timestamp}:{body}".encode(), hashlib.sha256).hexdigest()
    return Client().post(
        f"/hooks/slack/{connection.callback_key}/",
        body,
        content_type="application/x-www-form-urlencoded",
        headers={"X-Slack-Request-Timestamp": timestamp, "X-Slack-Signature": f"v0={signed}"},
    )


def test_a_button_in_slack_acknowledges_as_its_person_once(provider: Receiver, ana: User) -> None:
    connection, row = connect("slack", provider), incident()
    reachable("slack", MEMBER, user=ana)
    for _ in range(2):
        assert slack(connection, pressed("acknowledge", row)).status_code == 200
    row.refresh_from_db()
    assert row.acknowledged_at is not None
    assert row.milestones.filter(name="acknowledged").count() == 1
    [answer] = Message.objects.filter(payload__has_key="response_url")
    assert answer.title == f"You have {row.number}: it is acknowledged."


@pytest.mark.parametrize(("age", "secret"), [(400, "shh"), (0, "wrong")])
def test_an_old_or_wrong_signature_changes_nothing(provider: Receiver, ana: User, age: int, secret: str) -> None:
    connection, row = connect("slack", provider), incident()
    reachable("slack", MEMBER, user=ana)
    assert slack(connection, pressed("acknowledge", row), at=time.time() - age, secret=secret).status_code == 401
    row.refresh_from_db()
    assert row.acknowledged_at is None


@pytest.mark.parametrize(("timestamp", "body"), [("9" * 5000, b"payload=1"), ("1", b"\xff\xfe")])
def test_what_slack_never_sends_is_a_wrong_signature(provider: Receiver, timestamp: str, body: bytes) -> None:
    connection = connect("slack", provider)
    headers = {"X-Slack-Request-Timestamp": timestamp, "X-Slack-Signature": "v0=0"}
    url, kind = f"/hooks/slack/{connection.callback_key}/", "application/x-www-form-urlencoded"
    assert Client().post(url, body, content_type=kind, headers=headers).status_code == 401


def test_somebody_unknown_in_slack_is_told_how_to_become_known(provider: Receiver, ana: User) -> None:
    connection, row = connect("slack", provider), incident()
    add_contact_point(ana.pk, "slack", MEMBER, actor=actor(ana))  # not verified: anybody could say so
    slack(connection, pressed("acknowledge", row, response_url=provider.url("/answer")))
    send_due()
    [request] = [request for request in provider.requests if request.path == "/answer"]
    said = json.loads(request.body)
    assert said["response_type"] == "ephemeral"
    assert f"does not know who {MEMBER} is" in said["text"]
    row.refresh_from_db()
    assert row.acknowledged_at is None


def test_who_may_not_resolve_is_told_so_in_slack(provider: Receiver) -> None:
    connection, row = connect("slack", provider), incident()
    reachable("slack", MEMBER, user=person("viewer"))
    slack(connection, pressed("resolve", row))
    row.refresh_from_db()
    assert row.phase != Incident.Phase.RESOLVED
    assert "may not" in Message.objects.get(payload__has_key="response_url").title


def test_what_was_posted_is_changed_after_the_answer(provider: Receiver, ana: User) -> None:
    provider.answer = answers(200, SLACK_OK)
    connection, row = connect("slack", provider), incident()
    point = reachable("slack", MEMBER, user=ana)
    to(point, subject=subject_of(row), payload={"can_respond": True}, contact_point_id=point.pk)
    send_due()
    slack(connection, pressed("acknowledge", row))
    deliver()
    deliver()
    send_due()
    [update] = [json.loads(request.body) for request in provider.requests if request.path == "/chat.update"]
    assert (update["channel"], update["ts"]) == ("D024BE91L", "1503435956.000247")
    assert "Acknowledged by Ana" in update["blocks"][1]["text"]["text"]
    assert [button["text"]["text"] for button in update["blocks"][2]["elements"]] == ["Resolve", "Open"]


def test_a_press_in_slack_verifies_the_address_that_was_asked(provider: Receiver, ana: User) -> None:
    provider.answer = answers(200, SLACK_OK)
    connection = connect("slack", provider)
    point = add_contact_point(ana.pk, "slack", MEMBER, actor=actor(ana))
    deliver()
    send_due()
    blocks = json.loads(provider.requests[0].body)["blocks"]
    button = blocks[-1]["elements"][0]
    content = {"type": "block_actions", "user": {"id": "U0EVE0000"}, "actions": [button]}
    slack(connection, urlencode({"payload": json.dumps(content)}))
    point.refresh_from_db()
    assert point.state == "unverified"
    content["user"] = {"id": MEMBER}
    slack(connection, urlencode({"payload": json.dumps(content)}))
    point.refresh_from_db()
    assert (point.state, point.external_id) == ("verified", MEMBER)


# --- PagerDuty ---


def pagerduty(connection: Connection, kind: str, dedup_key: str, *, secrets: str = "shh", agent: str = AGENT) -> Any:
    event = {
        "id": "01BZ",
        "event_type": kind,
        "agent": {"id": agent, "type": "user_reference"},
        "data": {"id": "Q1", "type": "incident", "incident_key": dedup_key},
    }
    body = json.dumps({"event": event})
    signed = ",".join(
        f"v1={hmac.new(secret.encode(), body.encode(), hashlib.sha256).hexdigest()}" for secret in secrets.split()
    )
    return Client().post(
        f"/hooks/pagerduty/{connection.callback_key}/",
        body,
        content_type="application/json",
        headers={"X-PagerDuty-Signature": signed},
    )


def in_pagerduty(provider: Receiver, ana: User, row: Incident) -> tuple[Connection, str]:
    """The incident, triggered at a service of Ana's."""
    provider.answer = answers(202, {"status": "success"})
    connection = connect("pagerduty", provider, signing_secret="old\nshh")  # of the test
    point = reachable("pagerduty", "R0123456789ABCDEF0123456789ABCDE", user=ana, external_id=AGENT)
    to(point, subject=subject_of(row), contact_point_id=point.pk)
    send_due()
    return connection, json.loads(provider.requests[0].body)["dedup_key"]


def test_who_acknowledges_and_resolves_in_pagerduty_does_so_here(provider: Receiver, ana: User) -> None:
    row = incident()
    connection, key = in_pagerduty(provider, ana, row)
    for kind in ("incident.acknowledged", "incident.acknowledged", "incident.resolved", "incident.resolved"):
        assert pagerduty(connection, kind, key, secrets="unknown shh").status_code == 200
    row.refresh_from_db()
    assert (row.acknowledged_at is not None, row.phase) == (True, "resolved")
    deliver()
    send_due()
    sent = [json.loads(request.body) for request in provider.requests]
    assert [(event["event_action"], event["dedup_key"] == key) for event in sent] == [
        ("trigger", True),
        ("acknowledge", True),
        ("resolve", True),
    ]


def test_pagerduty_without_a_right_signature_or_a_known_person_changes_nothing(provider: Receiver, ana: User) -> None:
    row = incident()
    connection, key = in_pagerduty(provider, ana, row)
    assert pagerduty(connection, "incident.acknowledged", key, secrets="wrong").status_code == 401
    said = pagerduty(connection, "incident.acknowledged", key, agent="PEVE").json()
    assert "does not know who PEVE is" in said["result"]
    assert (
        pagerduty(connection, "incident.acknowledged", "theirs").json()["result"] == "The portal did not trigger this."
    )
    row.refresh_from_db()
    assert row.acknowledged_at is None


def test_another_account_in_pagerduty_that_sees_the_proof_becomes_nobody(provider: Receiver, ana: User) -> None:
    provider.answer = answers(202, {"status": "success"})
    connection = connect("pagerduty", provider)
    point = reachable("pagerduty", "R0123456789ABCDEF0123456789ABCDE", user=ana, external_id=AGENT)
    to(point, subject=Subject("", ""), contact_point_id=point.pk, payload={"contact_point_id": point.pk})
    send_due()
    key = json.loads(provider.requests[0].body)["dedup_key"]
    said = pagerduty(connection, "incident.acknowledged", key, agent="PEVE").json()
    point.refresh_from_db()
    assert (point.external_id, "proved this contact point before" in said["result"]) == (AGENT, True)


def test_acknowledging_the_code_in_pagerduty_tells_who_the_person_is_there(provider: Receiver, ana: User) -> None:
    provider.answer = answers(202, {"status": "success"})
    connection = connect("pagerduty", provider)
    point = add_contact_point(ana.pk, "pagerduty", "R0123456789ABCDEF0123456789ABCDE", actor=actor(ana))
    deliver()
    send_due()
    key = json.loads(provider.requests[0].body)["dedup_key"]
    assert "verified" in pagerduty(connection, "incident.acknowledged", key).json()["result"]
    point.refresh_from_db()
    assert (point.state, point.external_id) == ("verified", AGENT)


# --- Twilio ---


def twilio(
    connection: Connection,
    path: str,
    fields: dict[str, str],
    settings: Any,
    *,
    token: str = "xoxb-secret",  # noqa: S107  # of the test
) -> Any:
    url = f"/hooks/twilio/{connection.callback_key}/{path}"
    signature = RequestValidator(token).compute_signature(f"{settings.PUBLIC_URL}{url}", fields)
    return Client().post(
        url,
        urlencode(fields),
        content_type="application/x-www-form-urlencoded",
        headers={"X-Twilio-Signature": signature},
    )


def texted(ana: User, row: Incident, page: int, runs: Runs, provider: Receiver) -> Message:
    """A text message about a page that still waits."""
    runs.current[str(page)] = 1
    message = enqueue(
        channel="sms",
        address=PHONE,
        recipient_id=ana.pk,
        title=row.title,
        subject=subject_of(row),
        payload={"page_id": page},
    )
    Message.objects.filter(pk=message.pk).update(
        state="sent", sent_at=message.created_at, guard_kind="test.run", guard_key=str(page), guard_run=1
    )
    return message


@pytest.mark.parametrize("text", ["ACK", " ok ", "Ack 12", "12", "#12."])
def test_a_reply_acknowledges_the_page(provider: Receiver, ana: User, runs: Runs, settings: Any, text: str) -> None:
    connection, row = connect("sms", provider), incident()
    reachable("sms", PHONE, user=ana)
    texted(ana, row, 12, runs, provider)
    said = twilio(connection, "", {"From": PHONE, "Body": text, "MessageSid": "SM2"}, settings)
    assert f"You have {row.number}" in said.content.decode()
    row.refresh_from_db()
    assert row.acknowledged_at is not None


def test_with_two_open_pages_a_bare_ack_asks_which_and_a_number_answers(
    provider: Receiver, ana: User, runs: Runs, settings: Any
) -> None:
    connection, first, second = connect("sms", provider), incident(), incident()
    reachable("sms", PHONE, user=ana)
    texted(ana, first, 12, runs, provider)
    texted(ana, second, 13, runs, provider)
    said = twilio(connection, "", {"From": PHONE, "Body": "ack"}, settings).content.decode()
    assert "2 pages wait" in said
    twilio(connection, "", {"From": PHONE, "Body": "ack 12"}, settings)
    assert [Incident.objects.get(pk=row.pk).acknowledged_at is not None for row in (first, second)] == [True, False]
    del runs.current["12"]
    twilio(connection, "", {"From": PHONE, "Body": "ok"}, settings)
    second.refresh_from_db()
    assert second.acknowledged_at is not None


def test_a_bare_ack_after_a_message_that_names_several_acknowledges_all_of_them(
    provider: Receiver, ana: User, settings: Any
) -> None:
    connection, clock = connect("sms", provider), ManualClock(now())
    reachable("sms", PHONE, user=ana)
    answers_for("primary", ana)
    provider.answer = answers(201, {"sid": "SM1", "status": "queued"})
    with use_clock(clock):
        first, *others = (incident(), incident(), incident())
        send_due()
        clock.advance(timedelta(seconds=61))
        send_due()
        clock.advance(timedelta(seconds=1))
        texts = list(Message.objects.filter(channel="sms", state="sent").order_by("sent_at"))
        assert ["page_id" in row.payload for row in texts] == [True, False]
        said = twilio(connection, "", {"From": PHONE, "Body": "ACK"}, settings).content.decode()
        assert "You have 2 of them" in said
        assert f"ACK {texts[0].payload['page_id']}:" in said
        deliver()
        assert all(Incident.objects.get(pk=row.pk).acknowledged_at is not None for row in others)
        twilio(connection, "", {"From": PHONE, "Body": "ACK"}, settings)
    first.refresh_from_db()
    assert first.acknowledged_at is not None


def test_a_reply_with_a_wrong_signature_or_of_a_stranger_changes_nothing(
    provider: Receiver, ana: User, runs: Runs, settings: Any
) -> None:
    connection, row = connect("sms", provider), incident()
    reachable("sms", PHONE, user=ana)
    texted(ana, row, 12, runs, provider)
    fields = {"From": PHONE, "Body": "ACK"}
    assert twilio(connection, "", fields, settings, token="wrong").status_code == 403  # of the test
    stranger = twilio(connection, "", {"From": "+15005550000", "Body": "ACK 12"}, settings).content.decode()
    assert "does not know who +15005550000 is" in stranger
    row.refresh_from_db()
    assert row.acknowledged_at is None


def test_replying_with_the_code_verifies_the_number(provider: Receiver, ana: User, settings: Any) -> None:
    connection = connect("sms", provider)
    point = add_contact_point(ana.pk, "sms", PHONE, actor=actor(ana))
    twilio(connection, "", {"From": PHONE, "Body": contact_code(point).upper()}, settings)
    assert ContactPoint.objects.get(pk=point.pk).state == "verified"


def test_a_text_message_that_was_not_delivered_failed_after_all(
    provider: Receiver, ana: User, runs: Runs, settings: Any
) -> None:
    connection, row = connect("sms", provider), incident()
    lost, arrived = texted(ana, row, 12, runs, provider), texted(ana, row, 13, runs, provider)
    for _ in range(2):
        twilio(connection, f"status/?m={lost.pk}", {"MessageStatus": "undelivered", "ErrorCode": "30003"}, settings)
    twilio(connection, f"status/?m={arrived.pk}", {"MessageStatus": "delivered"}, settings)
    lost.refresh_from_db()
    arrived.refresh_from_db()
    assert (lost.state, lost.last_error) == ("failed", "Twilio: undelivered 30003")
    assert lost.fallback_at is not None
    assert (arrived.state, arrived.delivered_at is not None) == ("sent", True)


@pytest.mark.parametrize("path", ["slack", "pagerduty", "twilio"])
def test_a_key_that_nobody_has_is_not_found(path: str) -> None:
    assert Client().post(f"/hooks/{path}/unknown/", b"{}", content_type="application/json").status_code == 404
