"""Webhooks over real HTTP: signatures, answers, and addresses they may not go to."""

from __future__ import annotations

import hashlib
import hmac
import json
import socket
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from ipaddress import ip_address
from typing import Any

import pytest

from apps.foundation.clock import now
from apps.foundation.egress import addresses
from apps.foundation.egress.addresses import PrivateAddress, is_public, resolve
from apps.foundation.subjects import Subject
from apps.messaging.models import Message
from apps.messaging.operations import send_due
from apps.messaging.providers.webhook import portal_signing_key
from tests.messaging.conftest import webhook
from tests.messaging.servers import Answer, Receiver, Request, free_port

pytestmark = pytest.mark.django_db


def signed_with(secret: str, request: Request) -> bool:
    """As a receiver checks it, from the documentation alone."""
    parts = dict(part.split("=", 1) for part in request.headers["Portal-Signature"].split(","))
    wanted = hmac.new(secret.encode(), parts["t"].encode() + b"." + request.body, hashlib.sha256).hexdigest()
    return hmac.compare_digest(wanted, parts["v1"]) and abs(int(parts["t"]) - request.at) < 5


def reload(message: Message) -> Message:
    message.refresh_from_db()
    return message


def test_a_page_to_a_persons_webhook_is_signed_with_the_portals_key(receiver: Receiver) -> None:
    webhook(receiver.url(), payload={"ack_url": "https://x/ack/1/"}, subject=Subject("incident", "7"))
    send_due()
    [request] = receiver.requests
    assert signed_with(portal_signing_key(), request)
    assert not signed_with("whsec_other", request)
    content = json.loads(request.body)
    assert (content["type"], content["data"], content["subject"]["key"]) == (
        "message",
        {"ack_url": "https://x/ack/1/"},
        "7",
    )
    assert content["id"] == request.headers["Idempotency-Key"]


@pytest.mark.parametrize(
    ("status", "state"),
    [
        (200, "sent"),
        (204, "sent"),
        (400, "failed"),
        (404, "failed"),
        (410, "failed"),
        (408, "queued"),
        (425, "queued"),
        (429, "queued"),
        (500, "queued"),
        (502, "queued"),
        (503, "queued"),
    ],
)
def test_what_an_answer_means(receiver: Receiver, status: int, state: str) -> None:
    receiver.answer = lambda request: Answer(status=status)
    message = webhook(receiver.url())
    send_due()
    assert reload(message).state == state


def test_redirects_are_not_followed(receiver: Receiver) -> None:
    receiver.answer = lambda request: Answer(status=302, headers={"Location": "http://169.254.169.254/"})
    message = webhook(receiver.url())
    send_due()
    assert (reload(message).state, len(receiver.requests)) == ("failed", 1)
    assert "redirects are not followed" in message.last_error


def test_retry_after_is_honoured_in_seconds_and_as_a_date(receiver: Receiver) -> None:
    at = datetime.now(UTC) + timedelta(minutes=10)
    values = iter(["120", format_datetime(at, usegmt=True)])
    receiver.answer = lambda request: Answer(status=503, headers={"Retry-After": next(values)})
    first, second = webhook(receiver.url("/1"), priority=0), webhook(receiver.url("/2"), priority=1)
    send_due()
    assert 115 < (reload(first).due_at - now()).total_seconds() <= 120
    assert abs(reload(second).due_at - at) < timedelta(seconds=2)


def test_a_receiver_that_hangs_up_may_have_it(receiver: Receiver) -> None:
    receiver.answer = lambda request: Answer(hang_up=True)
    message = webhook(receiver.url())
    send_due()
    assert (reload(message).state, message.maybe_sent_at is not None) == ("queued", True)


def test_a_receiver_that_is_not_there_certainly_has_it_not(settings: Any) -> None:
    settings.WEBHOOK_ALLOW_PRIVATE = True
    message = webhook(f"http://127.0.0.1:{free_port()}/")
    send_due()
    assert (reload(message).state, message.maybe_sent_at) == ("queued", None)
    assert "Not reachable" in message.last_error


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "localhost", "2130706433", "0x7f000001", "0", "[::1]", "[::ffff:127.0.0.1]"]
)
def test_private_addresses_are_refused_however_they_are_written(receiver: Receiver, settings: Any, host: str) -> None:
    settings.WEBHOOK_ALLOW_PRIVATE = False
    message = webhook(receiver.url(host=host))
    send_due()
    assert receiver.requests == []
    # A resolver that does not know such a name is as good.
    assert "private address" in reload(message).last_error or "looked up" in message.last_error


PRIVATE = ["10.0.0.1", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1", "0.0.0.0", "224.0.0.1"]  # noqa: S104  # an address to refuse
PRIVATE += ["255.255.255.255", "fe80::1", "fc00::1", "fec0::1", "ff02::1", "::", "::ffff:10.0.0.1", "64:ff9b::a00:1"]
PRIVATE += ["2002:a00:1::", "2001:0:0:0:0:0:f5ff:fffe", "::10.0.0.1"]


@pytest.mark.parametrize("address", PRIVATE)
def test_addresses_that_are_not_public(address: str) -> None:
    assert not is_public(ip_address(address))


@pytest.mark.parametrize(
    "address", ["8.8.8.8", "1.1.1.1", "2606:4700:4700::1111", "64:ff9b::808:808", "2002:808:808::"]
)
def test_addresses_that_are_public(address: str) -> None:
    assert is_public(ip_address(address))


def test_a_name_with_one_private_address_among_public_ones_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    def lookup(host: str, port: int, **kwargs: Any) -> list[Any]:
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)) for address in ("8.8.8.8", "10.0.0.1")]

    monkeypatch.setattr(addresses.socket, "getaddrinfo", lookup)
    with pytest.raises(PrivateAddress, match=r"10\.0\.0\.1"):
        resolve("rebind.example.com", 80, 5)


def test_the_connection_goes_to_the_address_that_was_checked(
    receiver: Receiver, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked_up: list[str] = []

    def lookup(host: str, port: int, **kwargs: Any) -> list[Any]:
        looked_up.append(host)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port))]

    real = socket.getaddrinfo
    monkeypatch.setattr(
        addresses.socket,
        "getaddrinfo",
        lambda host, port, *args, **kwargs: (
            lookup(host, port) if host == "hook.example.com" else real(host, port, *args, **kwargs)
        ),
    )
    message = webhook(receiver.url(host="hook.example.com"))
    send_due()
    assert (reload(message).state, looked_up) == ("sent", ["hook.example.com"])
    assert receiver.requests[0].headers["Host"].startswith("hook.example.com")


@pytest.mark.parametrize("url", ["ftp://example.com/", "http://", "nonsense", "http://[::1", "http://a\nb/"])
def test_an_address_that_can_not_be_used_fails_with_a_reason(url: str) -> None:
    message = webhook(url)
    send_due()
    assert reload(message).state in {"failed", "queued"}
    assert message.last_error
