"""Webhook endpoints: who owns them, what they hear of, secrets, tests and replays."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from django.db import connection, transaction
from django.db.models import CharField
from django.db.models.functions import Cast
from django.test.utils import CaptureQueriesContext

from apps.engine.models import Delivery, Event
from apps.engine.operations import deliver, publish
from apps.foundation import subjects
from apps.foundation.actor import Actor
from apps.foundation.errors import Conflict, Forbidden, Invalid, NotFound
from apps.foundation.subjects import Subject, SubjectKind, register_subject
from apps.messaging import endpoints
from apps.messaging.events import MessageFailed
from apps.messaging.models import Message, WebhookEndpoint
from apps.messaging.operations import replay, send_due
from apps.messaging.subscribers import fan_out
from apps.people.models import User
from tests.factories import actor, person, superuser
from tests.messaging.servers import Answer, Receiver
from tests.messaging.test_webhooks import signed_with

pytestmark = pytest.mark.django_db

HAPPENED = MessageFailed(1, "email", None, "Ana", "", "title", "error", 3)


@pytest.fixture
def diaries() -> Iterator[None]:
    """A kind of subject that only the person of the same id may see."""

    def visible(user: Any) -> Any:
        mine = User.objects.filter(pk=user.pk).annotate(text_key=Cast("pk", CharField()))
        return mine.values_list("text_key", flat=True)

    register_subject(
        SubjectKind("diary", lambda keys: {key: f"Diary {key}" for key in keys}, lambda key: "/d/", visible)
    )
    yield
    del subjects._kinds["diary"]


def tell(subject: Subject = Subject("", ""), times: int = 1) -> None:  # noqa: B008  # it is frozen
    with transaction.atomic():
        for _ in range(times):
            publish(HAPPENED, subject=subject, actor=Actor.system())
    deliver()


def endpoint(user: User, url: str = "https://example.com/hook", *kinds: str) -> tuple[WebhookEndpoint, str]:
    return endpoints.create_endpoint("board", url, event_kinds=kinds, actor=actor(user))


def test_an_endpoint_hears_of_an_event_signed_with_its_own_secret(receiver: Receiver) -> None:
    user = person("manager")
    _, secret = endpoint(user, receiver.url())
    tell()
    send_due()
    [request] = receiver.requests
    assert signed_with(secret, request)
    content = json.loads(request.body)
    assert (content["type"], content["data"]["recipient"]) == ("messaging.message_failed", "Ana")
    assert request.headers["Portal-Event"] == "messaging.message_failed"


def test_secrets_are_sealed_and_kept_out_of_the_history() -> None:
    made, secret = endpoint(person("manager"))
    made.refresh_from_db()
    assert secret not in made.secret_encrypted
    record = made.history.get()
    assert not hasattr(record, "secret_encrypted")
    assert record.history_user_id == made.owner_id


@pytest.mark.parametrize(
    ("kinds", "count"),
    [((), 1), (("messaging.*",), 1), (("messaging.message_failed",), 1), (("incidents.*",), 0), (("messaging",), 0)],
)
def test_an_endpoint_hears_only_of_the_kinds_it_wants(kinds: tuple[str, ...], count: int) -> None:
    endpoint(person("manager"), "https://example.com/hook", *kinds)
    tell()
    assert Message.objects.filter(channel="webhook").count() == count


def test_an_endpoint_hears_only_of_what_its_owner_may_see(diaries: None) -> None:
    mine, theirs = person("manager"), person("manager")
    made, _ = endpoint(mine)
    endpoint(theirs)
    tell(Subject("diary", str(mine.pk)))
    assert list(Message.objects.values_list("endpoint_id", flat=True)) == [made.pk]


def test_an_owner_who_may_no_longer_see_it_is_not_told_any_more(diaries: None, receiver: Receiver) -> None:
    user, other = person("manager"), person()
    endpoint(user, receiver.url())
    tell(Subject("diary", str(user.pk)))
    Message.objects.update(subject_key=str(other.pk))  # as if the diary had changed hands
    send_due()
    assert (Message.objects.get().state, receiver.requests) == ("void", [])


def test_paused_endpoints_and_closed_accounts_hear_nothing(receiver: Receiver) -> None:
    user = person("manager")
    made, _ = endpoint(user, receiver.url())
    tell()
    endpoints.pause_endpoint(made.pk, actor=actor(user))
    tell()
    send_due()
    assert (Message.objects.get().state, receiver.requests) == ("void", [])
    endpoints.activate_endpoint(made.pk, actor=actor(user))
    User.objects.filter(pk=user.pk).update(is_active=False)
    tell()
    assert Message.objects.count() == 1


def test_the_portals_own_faults_stay_inside() -> None:
    endpoint(superuser())
    fan_out([Event(pk=1, kind="engine.portal_fault")])
    assert not Message.objects.exists()


def test_fanning_out_takes_the_same_queries_for_many_events_and_endpoints() -> None:
    user = person("manager")

    def queries(events: int) -> int:
        endpoint(user)
        rows = [Event.objects.create(kind="a.b") for _ in range(events)]
        with transaction.atomic(), CaptureQueriesContext(connection) as counted:
            fan_out(rows)
        return len([query for query in counted if query["sql"].startswith("SELECT")])

    first = queries(1)
    assert queries(5) == first


def test_an_event_that_is_delivered_again_is_not_sent_again() -> None:
    endpoint(person("manager"))
    tell()
    Delivery.objects.update(state="pending", done_at=None)
    deliver()
    assert Message.objects.count() == 1


def test_a_failing_endpoint_does_not_feed_itself(receiver: Receiver) -> None:
    receiver.answer = lambda request: Answer(status=400)
    endpoint(person("manager"), receiver.url())
    tell()
    send_due()
    deliver()
    assert (Message.objects.get().state, Event.objects.count()) == ("failed", 1)


def test_only_its_owner_says_where_an_endpoint_is() -> None:
    made, _ = endpoint(person("manager"))
    other = actor(person("manager"))
    with pytest.raises(Forbidden, match="owner"):
        endpoints.change_endpoint(made.pk, url="https://evil.example.com/", actor=other)
    with pytest.raises(Forbidden, match="owner"):
        endpoints.rotate_secret(made.pk, actor=other)
    assert endpoints.pause_endpoint(made.pk, actor=other).state == "paused"
    with pytest.raises(Forbidden, match="owner"):
        endpoints.activate_endpoint(made.pk, actor=other)


def test_without_the_permission_there_are_no_endpoints() -> None:
    made, _ = endpoint(person("manager"))
    with pytest.raises(Forbidden, match="add_webhookendpoint"):
        endpoint(person("responder"))
    with pytest.raises(NotFound):
        endpoints.delete_endpoint(made.pk, actor=actor(person("responder")))


@pytest.mark.parametrize(
    "url",
    [
        "",
        "ftp://a/",
        "https://",
        "https://user:pw@example.com/",
        "http://127.0.0.1/",
        "http://[fe80::1]/",
        "https://a b/",
        "http://[::1",
        "https://example.com:99999/",
        "https://example.com/" + "x" * 500,
    ],
)
def test_addresses_that_an_endpoint_may_not_have(url: str) -> None:
    with pytest.raises(Invalid):
        endpoint(person("manager"), url)


def test_a_new_secret_signs_from_then_on(receiver: Receiver) -> None:
    user = person("manager")
    made, old = endpoint(user, receiver.url())
    endpoints.send_test(made.pk, actor=actor(user))
    _, new = endpoints.rotate_secret(made.pk, actor=actor(user))
    send_due()
    assert (signed_with(new, receiver.requests[0]), signed_with(old, receiver.requests[0])) == (True, False)
    assert receiver.requests[0].headers["Portal-Event"] == "portal.test"


def test_a_replay_is_a_new_message_with_a_new_key_and_the_same_body(receiver: Receiver) -> None:
    user = person("manager")
    endpoint(user, receiver.url())
    tell()
    send_due()
    first = Message.objects.get()
    again = replay(first.pk, actor=actor(user))
    send_due()
    one, two = receiver.requests
    assert (again.replay_of_id, one.body) == (first.pk, two.body)
    assert one.headers["Idempotency-Key"] != two.headers["Idempotency-Key"]


def test_replays_are_refused_without_the_right_to_them(receiver: Receiver) -> None:
    user = person("manager")
    made, _ = endpoint(user, receiver.url())
    tell()
    waiting = Message.objects.get()
    with pytest.raises(Conflict, match="still waits"):
        replay(waiting.pk, actor=actor(user))
    send_due()
    with pytest.raises(NotFound):
        replay(waiting.pk, actor=actor(person("responder")))
    with pytest.raises(NotFound):
        endpoints.replay_many(made.pk, [waiting.pk, 10**9], actor=actor(user))
    assert len(endpoints.replay_many(made.pk, [waiting.pk], actor=actor(user))) == 1
