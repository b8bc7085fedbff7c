"""Connections, destinations and what follows from them: secrets that stay secret, permissions, posts, reminders."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest
from django.db import transaction
from django.test import Client

from apps.engine.operations import deliver
from apps.foundation.clock import now
from apps.foundation.errors import Conflict, DomainError, Forbidden, Invalid, TooMany
from apps.foundation.subjects import Subject
from apps.messaging import connections
from apps.messaging.contact_codes import is_any_stale, remind
from apps.messaging.models import Connection, Message
from apps.messaging.operations import send_due
from apps.messaging.posts import Post, post
from apps.people.addresses import check_address
from apps.people.models import ContactPoint
from apps.people.operations import add_contact_point, confirm_contact_point, want_contact_code
from tests.factories import actor, bearer, person
from tests.messaging.provider_rig import SYSTEM, answers, connect, one_server, provider, reachable
from tests.messaging.servers import Receiver

__all__ = ["one_server", "provider"]
pytestmark = pytest.mark.django_db
KEY = "R0123456789ABCDEF0123456789ABCDE"


def test_only_who_may_makes_a_connection_and_nobody_reads_its_secrets() -> None:
    fields = {"token": "xoxb-1", "signing_secret": "shh"}
    with pytest.raises(Forbidden):
        connections.create_connection("Slack", "slack", **fields, actor=actor(person("responder")))
    manager = person("manager")
    made = Client().post(
        "/api/v1/connections/",
        {"name": "Slack", "kind": "slack", **fields},
        content_type="application/json",
        headers=bearer(manager),
    )
    assert made.status_code == 201
    assert "/hooks/slack/" in made.json()["callback_url"]
    assert not {"token", "signing_secret"} & set(made.json())
    row = Connection.objects.get()
    assert "xoxb" not in row.token_encrypted
    assert "callback_key" not in [field.name for field in Connection.history.model._meta.fields]


def test_a_new_base_address_asks_for_the_token_again(provider: Receiver) -> None:
    row = connect("slack", provider)
    with pytest.raises(Invalid, match="token"):
        connections.change_connection(row.pk, base_url="https://evil.example.com/", actor=SYSTEM)
    changed = connections.change_connection(row.pk, base_url="https://proxy.example.com/", token="xoxb-2", actor=SYSTEM)
    assert changed.base_url == "https://proxy.example.com/"


def test_a_connection_takes_no_integration_keys_along_to_its_address() -> None:
    connections.create_destination("pagerduty", "economy-oncall", KEY, actor=SYSTEM)
    with pytest.raises(Conflict, match=r"sent to https://evil\.example\.com"):
        connections.create_connection("PD", "pagerduty", base_url="https://evil.example.com", actor=SYSTEM)
    assert not Connection.objects.exists()
    own = connections.create_connection("PD", "pagerduty", actor=SYSTEM)
    other = connections.create_connection("EU", "pagerduty", base_url="https://eu.example.com", actor=SYSTEM)
    for verb in (connections.pause_connection, connections.delete_connection):
        with pytest.raises(Conflict):
            verb(own.pk, actor=SYSTEM)
    connections.pause_connection(other.pk, actor=SYSTEM)
    connections.pause_connection(own.pk, actor=SYSTEM)
    with pytest.raises(Conflict):
        connections.activate_connection(other.pk, actor=SYSTEM)
    connections.activate_connection(own.pk, actor=SYSTEM)


def test_a_connection_whose_keys_would_go_elsewhere_is_not_deleted() -> None:
    connections.create_connection("EU", "pagerduty", base_url="https://eu.example.com", actor=SYSTEM)
    us = connections.create_connection("US", "pagerduty", actor=SYSTEM)
    place = connections.create_destination("pagerduty", "economy-oncall", KEY, connection_id=us.pk, actor=SYSTEM)
    with pytest.raises(Conflict):
        connections.delete_connection(us.pk, actor=SYSTEM)
    connections.delete_destination(place.pk, actor=SYSTEM)
    connections.delete_connection(us.pk, actor=SYSTEM)


@pytest.mark.parametrize("kind", ["slack", "sms"])
def test_a_connection_says_what_it_lacks(kind: str) -> None:
    with pytest.raises(Invalid) as caught:
        connections.create_connection("x", kind, actor=SYSTEM)
    assert set(caught.value.fields) == set(connections.NEEDED[kind])


def test_a_test_of_a_connection_and_of_a_destination_arrives(provider: Receiver) -> None:
    provider.answer = answers(202, {"ok": True, "channel": "C1", "ts": "1.2"})
    slack, pagerduty = connect("slack", provider), connect("pagerduty", provider)
    connections.test_connection(slack.pk, "#incidents", actor=SYSTEM)
    place = connections.create_destination("pagerduty", "economy-oncall", KEY, connection_id=pagerduty.pk, actor=SYSTEM)
    connections.test_destination(place.pk, actor=SYSTEM)
    send_due()
    sent = {request.path: json.loads(request.body) for request in provider.requests}
    assert sent["/chat.postMessage"]["channel"] == "#incidents"
    assert sent["/v2/enqueue"]["routing_key"] == KEY
    assert KEY not in f"{place.target} {place.target_encrypted}"


def test_a_post_goes_to_each_place_once_and_names_the_unknown_ones(provider: Receiver) -> None:
    connections.create_destination("email", "leadership", "leads@example.com", actor=SYSTEM)
    what = Post("declared:7", Subject("incident", "7"), "[P0] Economy", "It burns.", "https://portal.example.com/7")
    places = [("slack", "#alerts-economy"), ("pagerduty", "economy-oncall"), ("email", "leadership")]
    for _ in range(2):
        with transaction.atomic():
            assert post(what, places) == ["economy-oncall"]
    rows = Message.objects.order_by("channel").values_list("channel", "address", "recipient")
    assert list(rows) == [("email", "leads@example.com", None), ("slack", "#alerts-economy", None)]


def test_a_destination_has_a_name_of_its_own() -> None:
    connections.create_destination("slack", "#alerts", "C024BE91L", actor=SYSTEM)
    with pytest.raises(Conflict):
        connections.create_destination("slack", "#alerts", "#other", actor=SYSTEM)


WRONG = [
    ("slack", "ana"),
    ("sms", "0151 2345678"),
    ("pagerduty", "short"),
    ("discord", "https://discord.com/channels/1"),
    ("push", "{}"),
    ("push", "[]"),
    ("apprise", "dbus://"),
    ("apprise", "syslog://localhost"),
    ("apprise", "file:///etc/passwd"),
    ("apprise", "workflows://host/a/b/?template=/etc/passwd"),
    ("apprise", "workflows://host/a/b/?a=1;template=/etc/passwd"),
    ("apprise", "workflows://host/a/b/?templ%61te=/etc/passwd"),
    ("apprise", "workflows://host/a/b/?a=1#&verify=no"),
    ("apprise", "json://169.254.169.254/"),
    ("apprise", "json://localhost/"),
    ("fax", "1"),
]


@pytest.mark.parametrize(("kind", "address"), WRONG)
def test_an_address_that_can_not_be_is_refused_with_a_reason(kind: str, address: str) -> None:
    with pytest.raises(DomainError) as caught:
        check_address(kind, address)
    assert caught.value.fields


def test_a_secret_address_is_sealed_told_apart_and_given_once() -> None:
    ana = person()
    first = add_contact_point(ana.pk, "apprise", "tgram://123:abc/42", actor=actor(ana))
    assert add_contact_point(ana.pk, "apprise", "tgram://123:abc/42", actor=actor(ana)).pk == first.pk
    second = add_contact_point(ana.pk, "apprise", "tgram://123:abc/43", actor=actor(ana))
    assert first.address != second.address
    assert "123" not in first.address + first.secret_encrypted
    assert "secret_encrypted" not in [field.name for field in ContactPoint.history.model._meta.fields]


# --- is the proof old? ---


def test_an_old_proof_is_asked_for_once_and_the_answer_counts_anew(settings: Any) -> None:
    ana = person()
    point = reachable("email", "ana@example.com", user=ana)
    assert not is_any_stale(now())
    ContactPoint.objects.filter(pk=point.pk).update(confirmed_at=now() - timedelta(days=91))
    assert is_any_stale(now())
    assert (remind(), remind()) == (1, 0)
    assert sorted(Message.objects.values_list("channel", flat=True)) == ["email", "inbox"]
    confirm_contact_point(point.pk, actor=actor(ana))
    point.refresh_from_db()
    assert (point.reminded_at, is_any_stale(now())) == (None, False)


def test_nobody_confirms_for_somebody_else_or_what_was_never_verified() -> None:
    ana = person()
    point = add_contact_point(ana.pk, "email", "ana@example.com", actor=actor(ana))
    with pytest.raises(Conflict):
        confirm_contact_point(point.pk, actor=actor(ana))
    with pytest.raises(DomainError, match="no such"):
        confirm_contact_point(point.pk, actor=actor(person()))


def test_a_test_sends_the_code_again_each_time() -> None:
    ana = person()
    point = reachable("email", "ana@example.com", user=ana)
    Message.objects.all().delete()
    for _ in range(2):
        want_contact_code(point.pk, actor=actor(ana))
    deliver()
    deliver()
    sent = Message.objects.filter(address="ana@example.com", title__startswith="Confirm")
    assert sent.count() == 2  # the first code was not needed: it was verified before it left


def test_nobody_sends_codes_without_end() -> None:
    ana = person()
    point = reachable("sms", "+4915123456789", user=ana)
    for _ in range(5):
        want_contact_code(point.pk, actor=actor(ana))
    with pytest.raises(TooMany):
        want_contact_code(point.pk, actor=actor(ana))


# --- pages ---


def test_the_pages_of_connections_and_destinations_show_no_secret_and_need_few_queries(
    client: Client, provider: Receiver, django_assert_max_num_queries: Any
) -> None:
    row = connect("slack", provider)
    place = connections.create_destination("pagerduty", "economy-oncall", KEY, actor=SYSTEM)
    client.force_login(person("manager"))
    for path in (
        "connection/",
        f"connection/{row.pk}/change/",
        "destination/",
        f"destination/{place.pk}/change/",
        "message/device/",
    ):
        with django_assert_max_num_queries(40):
            page = client.get(f"/admin/messaging/{path}")
        assert page.status_code == 200
        assert "xoxb-secret" not in page.content.decode()
        assert KEY not in page.content.decode()


def test_the_portal_can_be_installed(client: Client) -> None:
    manifest = client.get("/manifest.webmanifest").json()
    assert (manifest["display"], manifest["start_url"]) == ("standalone", "/admin/")
    assert {icon["sizes"] for icon in manifest["icons"]} == {"192x192", "512x512"}
    worker = client.get("/service-worker.js")
    assert worker["Content-Type"].startswith("text/javascript")
    assert b"showNotification" in worker.content
