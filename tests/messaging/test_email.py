"""Email over a real SMTP server: how it looks, and how refusals and broken connections are told apart."""

from __future__ import annotations

from typing import Any

import pytest
from django.core import mail as django_mail

from apps.foundation.subjects import Subject
from apps.messaging.models import Message
from apps.messaging.operations import send_due
from tests.messaging.conftest import enqueue
from tests.messaging.servers import Post, free_port

pytestmark = pytest.mark.django_db


def sent(message: Message) -> tuple[str, str]:
    message.refresh_from_db()
    return message.state, "|".join(message.attempt_log.values_list("outcome", flat=True))


def test_an_email_has_text_html_buttons_and_stable_keys(post: Post) -> None:
    enqueue(
        dedupe_key="page:1",
        payload={"ack_url": "https://portal.example.com/ack/abc/", "url": "https://portal.example.com/i/1"},
        subject=Subject("incident", "42"),
        body="Paged <as> on call.",
    )
    send_due()
    [mail] = post.mails
    text, page = (mail.get_body(preferencelist=(kind,)) for kind in ("plain", "html"))
    assert text is not None
    assert page is not None
    assert text.get_content().strip() == "Paged <as> on call."
    assert 'href="https://portal.example.com/ack/abc/"' in page.get_content()
    assert "&lt;as&gt;" in page.get_content()
    assert mail["Message-ID"].startswith(f"<{mail['X-Idempotency-Key']}@")
    assert mail["Auto-Submitted"] == "auto-generated"
    assert mail["References"] == mail["In-Reply-To"]


def test_a_repeat_has_the_same_message_id(post: Post) -> None:
    message = enqueue()
    send_due()
    Message.objects.update(state="queued", sent_at=None)
    send_due()
    first, second = post.mails
    assert first["Message-ID"] == second["Message-ID"]
    message.refresh_from_db()
    assert message.attempts == 2


def test_a_line_break_in_a_title_adds_no_header(post: Post) -> None:
    enqueue(title="Down\r\nBcc: eve@example.com")
    send_due()
    assert (post.mails[0]["Subject"], post.mails[0]["Bcc"]) == ("Down Bcc: eve@example.com", None)


def test_a_recipient_refused_for_good_fails_at_once_and_the_others_go_on(post: Post) -> None:
    post.recipient_answers["gone@example.com"] = "550 no such user"
    bad, good = enqueue(address="gone@example.com"), enqueue()
    send_due()
    assert (sent(bad), sent(good)) == (("failed", "refused"), ("sent", "accepted"))
    assert bad.last_error == "550 no such user"


def test_a_recipient_refused_for_now_is_tried_again(post: Post) -> None:
    post.recipient_answers["ana@example.com"] = "451 come back later"
    message = enqueue()
    send_due()
    assert (sent(message), message.maybe_sent_at) == (("queued", "retry"), None)


def test_data_refused_for_good_fails(post: Post) -> None:
    post.data_answers["ana@example.com"] = "554 looks like spam"
    message = enqueue()
    send_due()
    assert sent(message) == ("failed", "refused")


def test_a_connection_that_breaks_after_the_data_may_have_sent_it(post: Post) -> None:
    post.swallow.add("ana@example.com")
    message = enqueue()
    send_due()
    assert sent(message) == ("queued", "unknown")
    assert message.maybe_sent_at is not None


def test_a_server_that_is_not_there_costs_one_attempt_not_one_for_each_message(settings: Any, post: Post) -> None:
    settings.EMAIL_PORT = free_port()
    messages = [enqueue() for _ in range(10)]
    send_due()
    for message in messages:
        message.refresh_from_db()
        assert (message.state, message.maybe_sent_at) == ("queued", None)
    assert sum(message.attempts for message in messages) <= 8


def test_a_server_that_closes_for_now_is_asked_again_later(post: Post) -> None:
    post.recipient_answers["ana@example.com"] = "421 shutting down"
    message = enqueue()
    send_due()
    assert sent(message) == ("queued", "retry")


def test_an_address_that_is_none_fails_with_a_reason(post: Post) -> None:
    message = enqueue(address="not an address")
    send_due()
    assert sent(message)[0] == "failed"
    assert message.last_error


def test_a_batch_shares_a_few_connections(post: Post) -> None:
    for _ in range(30):
        enqueue()
    send_due()
    assert len(post.mails) == 30
    assert post.connections <= 8


def test_other_backends_of_django_serve_too() -> None:
    message = enqueue()
    send_due()
    assert sent(message) == ("sent", "accepted")
    assert len(django_mail.outbox) == 1
