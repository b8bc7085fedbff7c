"""The sender: claims, last looks, outcomes, and workers that die."""

from __future__ import annotations

import threading
import time
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection, connections, transaction
from django.test.utils import CaptureQueriesContext

from apps.engine.models import Event
from apps.foundation.clock import now
from apps.messaging.models import Attempt, Message
from apps.messaging.operations import Guard, enqueue_many, send_due
from apps.messaging.providers.base import Result
from apps.messaging.sending.leases import claim, look
from apps.messaging.sending.outcomes import Finished, delay, record
from tests.factories import person
from tests.messaging.conftest import Runs, draft, enqueue, webhook
from tests.messaging.servers import Answer, Post, Receiver

pytestmark = pytest.mark.django_db


def due_now(message: Message) -> None:
    Message.objects.filter(pk=message.pk).update(due_at=now())


def outcomes(message: Message) -> list[str]:
    return list(message.attempt_log.values_list("outcome", flat=True))


def test_a_message_is_sent_once_and_says_when_it_was_looked_at(post: Post) -> None:
    message = enqueue()
    assert send_due() == 1
    message.refresh_from_db()
    assert (message.state, message.attempts, post.to) == ("sent", 1, ["ana@example.com"])
    assert message.last_look_at is not None
    assert message.sent_at is not None
    assert message.last_look_at <= message.sent_at
    assert (message.lease_token, message.provider_id) == ("", "queued as 4711")
    assert send_due() == 0


def test_the_same_dedupe_key_twice_is_one_message(post: Post) -> None:
    enqueue(dedupe_key="once")
    enqueue(dedupe_key="once", title="changed")
    send_due()
    assert [mail["Subject"] for mail in post.mails] == ["[P1] Nobody can log in"]


def test_urgent_messages_go_first(receiver: Receiver) -> None:
    webhook(receiver.url("/later"), priority=5)
    webhook(receiver.url("/first"), priority=0)
    send_due()
    assert [request.path for request in receiver.requests] == ["/first", "/later"]


def test_a_message_whose_run_is_over_is_void_at_the_last_look(post: Post, runs: Runs) -> None:
    runs.current = {"7": 3}
    stale, current = (enqueue(guard=Guard("test.run", "7", run)) for run in (2, 3))
    gone = enqueue(guard=Guard("test.run", "8", 1))
    send_due()
    for message in (stale, current, gone):
        message.refresh_from_db()
    assert [message.state for message in (stale, current, gone)] == ["void", "sent", "void"]
    assert "no longer in run 2" in stale.last_error
    assert (outcomes(stale), len(post.mails)) == (["void"], 1)


def test_a_run_that_ends_while_a_message_waits_behind_another_stops_it(receiver: Receiver, runs: Runs) -> None:
    runs.current = {"7": 1}

    def acknowledge(request: Any) -> Answer:
        runs.current["7"] = 2
        return Answer()

    receiver.answer = acknowledge
    webhook(receiver.url("/1"), guard=Guard("test.run", "7", 1), priority=0)
    second = webhook(receiver.url("/2"), guard=Guard("test.run", "7", 1), priority=1)
    send_due()
    second.refresh_from_db()
    assert ([request.path for request in receiver.requests], second.state) == (["/1"], "void")


def test_a_guard_that_nobody_registered_is_refused_when_enqueued() -> None:
    with pytest.raises(RuntimeError, match=r"nobody\.knows"):
        enqueue(guard=Guard("nobody.knows", "1", 1))


@pytest.mark.django_db(transaction=True)
def test_enqueueing_outside_a_transaction_is_refused() -> None:
    with pytest.raises(RuntimeError, match="transaction"):
        enqueue_many([draft()])


def test_enqueueing_many_takes_one_query_and_the_inbox_is_sent_at_once() -> None:
    user = person()
    drafts = [draft(channel="inbox", address="", recipient_id=user.pk) for _ in range(20)]
    with transaction.atomic(), CaptureQueriesContext(connection) as queries:
        enqueue_many(drafts)
    assert Message.objects.filter(state="sent", sent_at__isnull=False).count() == 20
    assert len([query for query in queries if "INSERT" in query["sql"]]) <= (1 if connection.vendor != "sqlite" else 2)


def test_a_lease_that_ran_out_after_the_last_look_says_maybe_sent_before_the_repeat(
    receiver: Receiver, settings: Any
) -> None:
    message = webhook(receiver.url())
    [held] = claim()
    assert look([held]) == {message.pk: ""}  # and here the worker dies
    Message.objects.update(lease_until=now() - timedelta(seconds=1))
    [again] = claim()
    assert again.maybe_sent_at is not None
    message.refresh_from_db()
    assert (message.maybe_sent_at is not None, outcomes(message)) == (True, ["unknown"])
    Message.objects.update(lease_until=now() - timedelta(seconds=1))
    send_due()
    message.refresh_from_db()
    assert (message.state, message.attempts, outcomes(message)) == ("sent", 2, ["unknown", "accepted"])


def test_a_lease_that_ran_out_before_the_last_look_was_certainly_not_sent(post: Post) -> None:
    message = enqueue()
    claim()
    Message.objects.update(lease_until=now() - timedelta(seconds=1))
    send_due()
    message.refresh_from_db()
    assert (message.state, message.attempts, message.maybe_sent_at) == ("sent", 1, None)


def test_a_worker_that_comes_back_after_its_lease_changes_nothing(post: Post) -> None:
    message = enqueue()
    [mine] = claim()
    look([mine])
    Message.objects.update(lease_until=now() - timedelta(seconds=1))
    [theirs] = claim()
    assert look([mine]) == {}
    assert record([Finished(mine, Result(Attempt.Outcome.REFUSED, "too late"))]) == 0
    message.refresh_from_db()
    assert (message.state, message.lease_token) == ("sending", theirs.lease_token)


def test_a_lease_that_somebody_holds_is_left_alone(post: Post) -> None:
    enqueue()
    claim()
    assert send_due() == 0
    assert post.mails == []


def test_every_attempt_carries_the_same_idempotency_key(receiver: Receiver) -> None:
    message = webhook(receiver.url())
    receiver.answer = lambda request: Answer(status=503)
    send_due()
    due_now(message)
    receiver.answer = lambda request: Answer()
    send_due()
    first, second = receiver.requests
    assert first.headers["Idempotency-Key"] == second.headers["Idempotency-Key"]
    assert first.body == second.body
    assert [first.headers["Portal-Attempt"], second.headers["Portal-Attempt"]] == ["1", "2"]
    message.refresh_from_db()
    assert (message.state, message.maybe_sent_at) == ("sent", None)


def test_delays_grow_with_chance_and_honour_what_the_provider_asks() -> None:
    assert 1.0 <= delay(1).total_seconds() <= 2.0
    assert 16.0 <= delay(5).total_seconds() <= 32.0
    assert 150.0 <= delay(50).total_seconds() <= 300.0
    assert delay(1, 90.0).total_seconds() == 90.0
    assert delay(1, 1e9).total_seconds() == 3600.0


def test_after_the_last_attempt_a_message_fails_and_says_so(receiver: Receiver, settings: Any) -> None:
    settings.MESSAGE_MAX_ATTEMPTS = 2
    user = person()
    message = webhook(receiver.url(), recipient_id=user.pk)
    receiver.answer = lambda request: Answer(status=500, body=b"broken")
    for _ in range(3):
        send_due()
        due_now(message)
    message.refresh_from_db()
    assert (message.state, message.attempts, len(receiver.requests)) == ("failed", 2, 2)
    event = Event.objects.get(kind="messaging.message_failed")
    assert (event.payload["recipient"], event.payload["address"]) == (user.name, "")
    assert event.payload["error"] == "HTTP 500 broken"


def test_a_message_that_kills_its_workers_is_given_up(settings: Any, post: Post) -> None:
    settings.MESSAGE_MAX_ATTEMPTS = 1
    message = enqueue()
    look(claim())
    Message.objects.update(lease_until=now() - timedelta(seconds=1))
    send_due()
    message.refresh_from_db()
    assert (message.state, outcomes(message), post.mails) == ("failed", ["unknown", "refused"], [])


@pytest.mark.timeout(30)
def test_a_slow_provider_does_not_hold_back_the_others(post: Post, receiver: Receiver) -> None:
    receiver.answer = lambda request: Answer(after_seconds=1.5)
    for number in range(5):
        webhook(receiver.url(f"/{number}"), priority=0)
    mails = [enqueue(priority=5, address=f"p{number}@example.com") for number in range(10)]
    started = time.monotonic()
    sender = threading.Timer(0.0, lambda: None)
    sender.start()
    send_due()
    assert time.monotonic() - started > 1.5
    done = Message.objects.filter(pk__in=[mail.pk for mail in mails], state="sent")
    assert done.count() == 10
    first_hook = Message.objects.filter(channel="webhook", state="sent").order_by("sent_at")[0]
    assert max(mail.sent_at for mail in done if mail.sent_at) < (first_hook.sent_at or now())


@pytest.mark.timeout(30)
def test_a_dead_host_costs_one_attempt_and_its_other_messages_go_back(settings: Any, receiver: Receiver) -> None:
    settings.MESSAGE_TIMEOUT_SECONDS = 1
    receiver.answer = lambda request: Answer(after_seconds=5)
    for number in range(4):
        webhook(receiver.url(f"/{number}"))
    send_due()
    assert len(receiver.requests) == 1
    assert sorted(Message.objects.values_list("state", "attempts")) == [("queued", 0)] * 3 + [("queued", 1)]
    tried = Message.objects.get(attempts=1)
    assert tried.maybe_sent_at is not None  # it had the request
    assert not Message.objects.filter(attempts=0, due_at__lte=now()).exists()


@pytest.mark.timeout(30)
def test_an_answer_that_drips_for_ever_ends_at_the_deadline(settings: Any, receiver: Receiver) -> None:
    settings.MESSAGE_TIMEOUT_SECONDS = 1
    receiver.answer = lambda request: Answer(body=b"x" * 100)
    server = receiver._server.RequestHandlerClass

    def drip(handler: Any) -> None:
        handler.wfile.write(b"HTTP/1.1 200 OK\r\n")
        for _ in range(50):
            handler.wfile.write(b"X-Drip: 1\r\n")
            handler.wfile.flush()
            time.sleep(0.2)

    server.do_POST = drip  # type: ignore[attr-defined]  # the handler that the receiver made for itself
    message = webhook(receiver.url())
    started = time.monotonic()
    send_due()
    assert time.monotonic() - started < 3
    message.refresh_from_db()
    assert (message.state, outcomes(message)) == ("queued", ["unknown"])


@pytest.mark.postgres
@pytest.mark.django_db(transaction=True)
def test_two_senders_at_once_send_each_message_once(post: Post) -> None:
    with transaction.atomic():
        enqueue_many([draft(address=f"p{number}@example.com") for number in range(120)])
    failures: list[BaseException] = []

    def work() -> None:
        try:
            while send_due():
                pass
        except BaseException as error:  # noqa: BLE001  # shown in the main thread
            failures.append(error)
        finally:
            connections.close_all()

    workers = [threading.Thread(target=work) for _ in range(3)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert failures == []
    assert sorted(post.to) == sorted(f"p{number}@example.com" for number in range(120))
    assert Message.objects.filter(state="sent", attempts=1).count() == 120


def test_claiming_looking_and_recording_take_the_same_queries_for_any_number(runs: Runs) -> None:
    runs.current = {"7": 1}

    def count(messages: int) -> int:
        with transaction.atomic():
            enqueue_many([draft(guard=Guard("test.run", "7", 1)) for _ in range(messages)])
        with CaptureQueriesContext(connection) as queries:
            claimed = claim()
            look(claimed)
            record([Finished(message, Result(Attempt.Outcome.ACCEPTED, provider_id="x")) for message in claimed])
        assert len(claimed) == messages
        return len(queries)

    # SQLite takes only so many values at once.
    assert count(30 if connection.vendor == "postgresql" else 10) == count(2) <= 20
