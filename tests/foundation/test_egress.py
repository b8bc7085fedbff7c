"""Calls to the outside over real sockets: where they may go, for how long, what is certain after a failure."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import ip_address
from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured

from apps.foundation.egress import EgressError, call
from apps.foundation.egress.allowance import is_allowed, parse
from incidentportal import env


class Target:
    """An HTTP server that keeps what it got; `behave` says how it answers a path."""

    def __init__(self) -> None:
        self.requests: list[tuple[str, str, bytes]] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                outer.requests.append((self.command, self.path, body))
                if self.path == "/hang-up":
                    self.connection.shutdown(socket.SHUT_RDWR)
                    return
                self.send_response(302 if self.path == "/elsewhere" else 200)
                self.send_header("Location", "http://10.0.0.1/")
                self.send_header("X-Version", "7")
                said = b'{"a": 1}' if self.path != "/long" else b"x" * 5000
                self.send_header("Content-Length", str(len(said)))
                self.end_headers()
                for byte in said:
                    self.wfile.write(bytes([byte]))
                    if self.path == "/drips":
                        time.sleep(0.2)

            do_PUT = do_POST = do_GET  # noqa: N815  # http.server names them so

            def log_message(self, *args: Any) -> None:
                """Nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.port = int(self._server.server_address[1])
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def url(self, path: str = "/") -> str:
        return f"http://127.0.0.1:{self.port}{path}"

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def target(settings: Any) -> Iterator[Target]:
    found = Target()
    settings.EGRESS_ALLOW = [f"127.0.0.1:{found.port}"]
    yield found
    found.close()


def refusal(url: str, method: str = "GET", **kwargs: Any) -> EgressError:
    with pytest.raises(EgressError) as caught:
        call(method, url, **{"timeout_seconds": 3, **kwargs})
    return caught.value


def test_an_answer_has_status_headers_and_body(target: Target) -> None:
    answer = call("PUT", target.url("/config"), headers={"If-Match": "6"}, body=b"{}", timeout_seconds=3)
    assert (answer.status, answer.headers["x-version"], answer.json(), answer.is_ok) == (200, "7", {"a": 1}, True)
    assert target.requests == [("PUT", "/config", b"{}")]
    assert 0 <= answer.elapsed_seconds < 3


def test_redirects_are_answers_and_are_not_followed(target: Target) -> None:
    assert call("GET", target.url("/elsewhere"), timeout_seconds=3).status == 302
    assert len(target.requests) == 1


def test_private_addresses_are_refused_unless_named(target: Target, settings: Any) -> None:
    settings.EGRESS_ALLOW = ["127.0.0.1:1", "10.0.0.0/8", "localhost"]
    failed = refusal(target.url())
    assert (failed.maybe_sent, target.requests) == (False, [])
    assert "EGRESS_ALLOW" in failed.message
    settings.EGRESS_ALLOW = ["127.0.0.0/8"]
    assert call("GET", target.url(), timeout_seconds=3).status == 200


def test_a_name_is_looked_up_once_and_the_checked_address_is_used(
    target: Target, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.EGRESS_ALLOW = ["config.internal"]
    looked_up: list[str] = []
    real = socket.getaddrinfo

    def lookup(host: str, port: int, *args: Any, **kwargs: Any) -> list[Any]:
        if not host.endswith(".internal"):
            return real(host, port, *args, **kwargs)
        looked_up.append(host)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port))]

    monkeypatch.setattr(socket, "getaddrinfo", lookup)
    url = f"http://config.internal:{target.port}/"
    assert call("GET", url, timeout_seconds=3).status == 200
    assert looked_up == ["config.internal"]
    assert refusal(f"http://other.internal:{target.port}/").maybe_sent is False


def test_an_answer_is_read_up_to_a_limit(target: Target) -> None:
    answer = call("GET", target.url("/long"), timeout_seconds=3, most_bytes=1000)
    assert (len(answer.body), answer.is_cut) == (1000, True)
    with pytest.raises(ValueError, match="too long"):
        answer.json()


def test_a_dripping_answer_ends_at_the_deadline_and_may_have_had_its_effect(target: Target) -> None:
    began = time.monotonic()
    failed = refusal(target.url("/drips"), method="POST", timeout_seconds=0.5)
    assert (failed.maybe_sent, time.monotonic() - began < 1.5) == (True, True)


def test_without_time_nothing_is_sent(target: Target) -> None:
    assert (refusal(target.url(), timeout_seconds=0).maybe_sent, target.requests) == (False, [])


def test_what_hangs_up_may_have_it_and_what_is_not_there_certainly_has_not(target: Target) -> None:
    assert refusal(target.url("/hang-up"), method="POST").maybe_sent is True
    target.close()
    assert refusal(target.url()).maybe_sent is False


@pytest.mark.parametrize(
    "url", ["ftp://example.com/", "http://", "nonsense", "http://[::1", "http://a\nb/", "http://a\x00b/", "file:///etc"]
)
def test_an_address_that_can_not_be_used_is_an_egress_error(url: str) -> None:
    assert refusal(url).maybe_sent is False


@pytest.mark.parametrize("headers", [{"X-A": "b\r\nX-C: d"}, {"X-A": "snow ☃"}, {"X A": "b"}])
def test_headers_that_can_not_be_sent_are_an_egress_error(target: Target, headers: dict[str, str]) -> None:
    assert refusal(target.url(), headers=headers).maybe_sent is False
    assert target.requests == []


def test_secrets_in_an_address_are_not_in_the_error(settings: Any) -> None:
    settings.EGRESS_ALLOW = []
    failed = refusal("http://user:hunter22@127.0.0.1:9/path?token=abc")
    assert "hunter22" not in failed.message
    assert "abc" not in failed.message


@pytest.mark.parametrize(
    ("entry", "host", "port", "address", "fits"),
    [
        ("127.0.0.1:8900", "127.0.0.1", 8900, "127.0.0.1", True),
        ("127.0.0.1:8900", "localhost", 8900, "127.0.0.1", True),
        ("127.0.0.1:8900", "127.0.0.1", 8901, "127.0.0.1", False),
        ("Config.Internal", "config.internal", 1, "10.1.2.3", True),
        ("config.internal:80", "config.internal", 443, "10.1.2.3", False),
        ("10.0.0.0/8", "whatever", 80, "10.200.0.1", True),
        ("10.0.0.0/8", "whatever", 80, "11.0.0.1", False),
        ("[::1]:80", "localhost", 80, "::1", True),
        ("::1", "localhost", 80, "::1", True),
        ("fd00::/8", "x", 80, "127.0.0.1", False),
    ],
)
def test_what_an_entry_lets_pass(entry: str, host: str, port: int, address: str, *, fits: bool) -> None:
    assert is_allowed([entry], host, port, ip_address(address)) is fits


@pytest.mark.parametrize(
    "entry", ["http://a/", "a b", "10.0.0.1/8", "a:0", "a:70000", "a:b", "999.1.1.1", "[host]:1", "*", "-a", ":80"]
)
def test_a_wrong_entry_stops_the_start_with_one_sentence(entry: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ValueError, match=r"."):
        parse(entry)
    monkeypatch.setenv("EGRESS_ALLOW", f"config.internal, {entry}")
    with pytest.raises(ImproperlyConfigured, match="EGRESS_ALLOW has the entry"):
        env.hosts("EGRESS_ALLOW", default=[])
