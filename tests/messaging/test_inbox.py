"""Ways to reach people, the in-app inbox, and who may see which message."""

from __future__ import annotations

import pytest
from django.test import Client
from django.urls import reverse

from apps.foundation.errors import NotFound
from apps.foundation.subjects import Subject
from apps.messaging import endpoints
from apps.messaging.models import Message
from apps.messaging.operations import NewMessage, mark_all_read, mark_read, messages_for_person
from apps.messaging.queries import unread_count, visible_to
from apps.people.models import ContactPoint, User
from tests.factories import actor, bearer, person, superuser
from tests.messaging.conftest import draft, enqueue

pytestmark = [pytest.mark.django_db, pytest.mark.urls("tests.messaging.urls")]


def way(user_id: int, channel: str, address: str) -> NewMessage:
    return draft(recipient_id=user_id, channel=channel, address=address)


def letter(user: User, title: str = "Hello") -> Message:
    return enqueue(channel="inbox", address="", recipient_id=user.pk, title=title)


def test_a_person_is_reached_in_the_inbox_and_at_every_address_that_is_not_disabled(
    django_assert_num_queries: object,
) -> None:
    ana, ben = person(), person()
    ContactPoint.objects.all().delete()
    for position, (kind, address, state) in enumerate(
        [("webhook", "https://a/", "unverified"), ("email", "a@x.com", "unverified"), ("email", "b@x.com", "disabled")]
    ):
        ContactPoint.objects.create(user=ana, kind=kind, address=address, state=state, position=position)
    with django_assert_num_queries(1):  # type: ignore[operator]  # a fixture of pytest-django
        found = messages_for_person([ana.pk, ben.pk], channels=None, make=way)
    assert [(it.recipient_id, it.channel, it.address) for it in found] == [
        (ana.pk, "inbox", ""),
        (ana.pk, "webhook", "https://a/"),
        (ana.pk, "email", "a@x.com"),
        (ben.pk, "inbox", ""),
    ]
    limited = messages_for_person([ana.pk], channels=["email"], make=way)
    assert [it.channel for it in limited] == ["inbox", "email"]


def test_reading_is_ones_own_and_a_repeat_changes_nothing() -> None:
    ana, ben = person(), person()
    mine, other = letter(ana), letter(ben)
    assert unread_count(ana) == 1
    assert [mark_read([mine.pk], actor=actor(ana)) for _ in range(2)] == [1, 0]
    with pytest.raises(NotFound):
        mark_read([other.pk], actor=actor(ana))
    assert (unread_count(ana), unread_count(ben)) == (0, 1)


def test_marking_all_stops_at_the_newest_that_was_shown() -> None:
    ana = person()
    first, _ = letter(ana), letter(ana)
    assert mark_all_read(up_to=first.pk, actor=actor(ana)) == 1
    assert unread_count(ana) == 1


def test_the_inbox_over_the_api() -> None:
    ana, ben = person(), person()
    mine, other = letter(ana, "For Ana"), letter(ben, "For Ben")
    client, headers = Client(), bearer(ana, "messaging:write")
    listed = client.get("/api/v1/inbox/", headers=headers).json()["results"]
    assert [row["title"] for row in listed] == ["For Ana"]
    assert client.get("/api/v1/inbox/unread/", headers=headers).json() == {"unread": 1}
    wrong = {"message_ids": [other.pk]}
    url = "/api/v1/inbox/mark-read/"
    assert client.post(url, wrong, "application/json", headers=headers).status_code == 404
    right = {"message_ids": [mine.pk]}
    assert client.post(url, right, "application/json", headers=headers).json() == {"unread": 0}
    assert client.get("/api/v1/inbox/?unread=true", headers=headers).json()["results"] == []


def test_texts_addresses_and_links_are_told_to_the_recipient_only() -> None:
    ana, boss = person("responder"), superuser()
    message = enqueue(recipient_id=ana.pk, payload={"ack_url": "https://x/ack/secret/"}, body="secret")
    client = Client()
    own = client.get(f"/api/v1/messages/{message.pk}/", headers=bearer(ana)).json()
    assert (own["body"], own["payload"]["ack_url"]) == ("secret", "https://x/ack/secret/")
    seen = client.get(f"/api/v1/messages/{message.pk}/", headers=bearer(boss))
    assert seen.json()["body"] is seen.json()["payload"] is seen.json()["address"] is None
    assert b"secret" not in seen.content
    client.force_login(boss)
    page = client.get(reverse("admin:messaging_message_change", args=[message.pk]))
    assert (page.status_code, b"ack/secret" in page.content) == (200, False)
    client.force_login(ana)
    assert b"ack/secret" in client.get(reverse("admin:messaging_message_change", args=[message.pk])).content


def test_messages_about_what_one_may_not_see_do_not_exist() -> None:
    ana, ben = person("responder"), person("responder")
    hidden = enqueue(recipient_id=ana.pk, subject=Subject("nobody-owns-this", "1"), title="Hidden title")
    assert list(visible_to(ben)) == []
    client = Client()
    assert client.get(f"/api/v1/messages/{hidden.pk}/", headers=bearer(ben)).status_code == 404
    client.force_login(ben)
    assert client.get(reverse("admin:messaging_message_change", args=[hidden.pk])).status_code == 302
    assert b"Hidden title" not in client.get(reverse("admin:messaging_message_changelist"), {"q": "Hidden"}).content
    assert list(visible_to(ana)) == [hidden]


def test_the_inbox_page_shows_and_marks_ones_own() -> None:
    ana = person("viewer")
    mine, _ = letter(ana, "For Ana"), letter(person(), "For Ben")
    client, url = Client(), reverse("admin:messaging_message_inbox")
    assert client.get(url).status_code == 302
    client.force_login(ana)
    page = client.get(url)
    assert (b"For Ana" in page.content, b"For Ben" in page.content) == (True, False)
    assert client.post(url, {"message": mine.pk}).status_code == 302
    assert unread_count(ana) == 0
    assert b"read everything" in client.get(url, {"show": "unread"}).content
    assert client.post(url, {"message": "9" * 30}).status_code == 302
    assert client.get(url, {"p": "nonsense"}).status_code == 200


def test_a_failed_message_can_be_sent_once_more_from_the_admin() -> None:
    boss = superuser()
    message = enqueue(recipient_id=boss.pk)
    Message.objects.update(state="failed")
    client = Client()
    client.force_login(boss)
    page = client.get(reverse("admin:messaging_message_change", args=[message.pk]))
    assert b"Send once more" in page.content
    url = reverse("admin:messaging_message_send_again", args=[message.pk])
    client.post(url, {"_form_submitted": "on"})
    assert Message.objects.filter(replay_of=message, state="queued").count() == 1


def test_endpoints_over_the_api() -> None:
    ana = person("manager")
    client, headers = Client(), bearer(ana, "messaging:write")
    made = client.post(
        "/api/v1/webhook-endpoints/",
        {"name": "board", "url": "https://example.com/", "event_kinds": ["incidents.*"]},
        "application/json",
        headers=headers,
    )
    assert made.status_code == 201
    secret, row = made.json()["secret"], f"/api/v1/webhook-endpoints/{made.json()['id']}/"
    shown = client.get(row, headers=headers)
    assert (secret in shown.content.decode(), shown.json()["event_kinds"]) == (False, ["incidents.*"])
    changed = client.patch(row, {"state": "paused", "name": "b"}, "application/json", headers=headers)
    assert (changed.json()["state"], changed.json()["name"]) == ("paused", "b")
    assert client.post(f"{row}test/", {}, "application/json", headers=headers).status_code == 409
    client.patch(row, {"state": "active"}, "application/json", headers=headers)
    assert client.post(f"{row}test/", {}, "application/json", headers=headers).json()["title"] == "Test event"
    assert client.post(f"{row}rotate-secret/", {}, "application/json", headers=headers).json()["secret"] != secret
    stale = client.delete(row, headers={**headers, "If-Match": '"old"'})
    assert (stale.status_code, client.delete(row, headers=headers).status_code) == (412, 204)


def test_a_token_that_may_only_read_changes_nothing() -> None:
    ana = person("manager")
    made, _ = endpoints.create_endpoint("board", "https://example.com/", actor=actor(ana))
    headers, client = bearer(ana, "messaging:read"), Client()
    row = f"/api/v1/webhook-endpoints/{made.pk}/"
    assert client.get(row, headers=headers).status_code == 200
    assert client.patch(row, {"name": "b"}, "application/json", headers=headers).status_code == 403
    assert client.get(row, headers=bearer(ana, "incidents:write")).status_code == 403


def test_endpoints_in_the_admin() -> None:
    ana = person("manager")
    client = Client()
    client.force_login(ana)
    given = {"_form_submitted": "on", "name": "board", "url": "https://example.com/", "event_kinds": "incidents.*\n"}
    made = client.post(reverse("admin:messaging_webhookendpoint_new"), given)
    assert b"whsec_" in made.content
    endpoint = ana.webhook_endpoints.get()
    assert endpoint.event_kinds == ["incidents.*"]
    page = client.get(reverse("admin:messaging_webhookendpoint_change", args=[endpoint.pk]))
    assert (page.status_code, b"Pause" in page.content, b"whsec_" in page.content) == (200, True, False)
    client.post(reverse("admin:messaging_webhookendpoint_pause", args=[endpoint.pk]), {"_form_submitted": "on"})
    endpoint.refresh_from_db()
    assert endpoint.state == "paused"
    assert client.get(reverse("admin:messaging_webhookendpoint_changelist")).status_code == 200


def test_the_schema_of_the_api_has_all_of_it() -> None:
    text = Client().get("/api/schema/").content.decode()
    for address in ("/inbox/mark-read/", "/messages/{id}/replay/", "/webhook-endpoints/{id}/rotate-secret/"):
        assert address in text
