"""One HTTP call to the outside: checked and pinned address, whole-call deadline, bounded answer, clear error."""

from __future__ import annotations

import json
import os
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any
from urllib.parse import urlsplit

import httpx
from django.conf import settings

from apps.foundation.egress.addresses import Address, PrivateAddress
from apps.foundation.egress.allowance import is_allowed
from apps.foundation.egress.deadlines import Deadline, DeadlinePassed, running_deadline
from apps.foundation.egress.transports import checked_client
from apps.foundation.redaction import redact_text

MOST_CONNECTIONS = 64
CONNECT_SECONDS = 5.0
_METHOD = re.compile(r"[A-Z]{1,20}")
_NEVER_LEFT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout)


class EgressError(Exception):
    """There is no answer. `maybe_sent` is False only when certainly nothing reached the other side."""

    def __init__(self, message: str, *, maybe_sent: bool) -> None:
        super().__init__(message)
        self.message = message
        self.maybe_sent = maybe_sent


@dataclass(frozen=True)
class Answer:
    """What came back. Header names are in lower case; `is_cut` says that `body` is only the beginning."""

    status: int
    headers: dict[str, str]
    body: bytes = field(repr=False)
    elapsed_seconds: float
    is_cut: bool = False

    @property
    def is_ok(self) -> bool:
        return httpx.codes.is_success(self.status)

    def text(self) -> str:
        """The body as UTF-8; what is no UTF-8 shows as replacement characters."""
        return self.body.decode("utf-8", "replace")

    def json(self) -> Any:
        """The body as JSON. ValueError when it is none, is cut off, or is nested too deep to be read."""
        if self.is_cut:
            raise ValueError("The answer is too long.")
        try:
            return json.loads(self.body)
        except RecursionError as error:
            raise ValueError("The answer is nested too deep.") from error


def _may_reach(host: str, port: int, address: Address) -> bool:
    return is_allowed(settings.EGRESS_ALLOW, host, port, address)


@cache
def _client(process: int) -> httpx.Client:
    """One client for a process: a fork must not share its parent's connections."""
    return checked_client(_may_reach, most_connections=MOST_CONNECTIONS, keep_alive_seconds=0)


def call(
    method: str,
    url: str,
    *,
    headers: Mapping[str, str] | None = None,
    body: bytes | None = None,
    timeout_seconds: float,
    most_bytes: int = 1_000_000,
) -> Answer:
    """Send one request and read its answer, whatever its status; never call it inside a transaction.

    It goes to public addresses and to those that EGRESS_ALLOW names, by http or https, and follows no redirects.
    `timeout_seconds` bounds looking up, connecting, sending and reading together. Of the answer at most `most_bytes`
    are read. Each call sends once: there are no repeats here. Raises EgressError.
    """
    request = _request(method, url, headers or {}, body)
    deadline, began = Deadline(timeout_seconds), time.monotonic()
    token = running_deadline.set(deadline)
    try:
        return _exchange(request, deadline, most_bytes, began)
    except PrivateAddress as error:
        hint = "only public addresses may be reached, and those that EGRESS_ALLOW names."
        raise EgressError(f"{_short(error)}: {hint}", maybe_sent=False) from error
    except _NEVER_LEFT as error:
        raise EgressError(f"{_place(url)} can't be reached: {_short(error)}", maybe_sent=False) from error
    except (httpx.InvalidURL, httpx.UnsupportedProtocol, httpx.LocalProtocolError) as error:
        raise EgressError(f"This can't be sent: {_short(error)}", maybe_sent=False) from error
    except DeadlinePassed as error:  # once something is sent, the transport turns it into a time-out of its own
        raise EgressError("There was no time left to ask.", maybe_sent=False) from error
    except httpx.TimeoutException as error:
        raise EgressError(f"{_place(url)} did not answer within {timeout_seconds:g} s.", maybe_sent=True) from error
    except httpx.HTTPError as error:
        raise EgressError(f"{_place(url)} broke off: {_short(error)}", maybe_sent=True) from error
    finally:
        running_deadline.reset(token)


def _request(method: str, url: str, headers: Mapping[str, str], body: bytes | None) -> httpx.Request:
    """The request, or an EgressError for what can't be one."""
    if not _METHOD.fullmatch(method):
        raise EgressError("The method is a word such as GET.", maybe_sent=False)
    try:
        if urlsplit(url).scheme not in {"http", "https"} or not urlsplit(url).hostname:
            raise EgressError("The address must begin with http:// or https:// and name a host.", maybe_sent=False)
        return _client(os.getpid()).build_request(method, url, headers=dict(headers), content=body)
    except (httpx.InvalidURL, ValueError, TypeError) as error:
        raise EgressError(f"This can't be sent: {_short(error)}", maybe_sent=False) from error


def _exchange(request: httpx.Request, deadline: Deadline, most_bytes: int, began: float) -> Answer:
    left = deadline.remaining()
    request.extensions["timeout"] = httpx.Timeout(left, connect=min(CONNECT_SECONDS, left)).as_dict()
    response = _client(os.getpid()).send(request, stream=True)
    try:
        body = b""
        for part in response.iter_raw():
            body += part
            if len(body) > most_bytes:
                break
    finally:
        response.close()
    return Answer(
        status=response.status_code,
        headers=dict(response.headers.items()),
        body=body[:most_bytes],
        elapsed_seconds=time.monotonic() - began,
        is_cut=len(body) > most_bytes,
    )


def _short(error: Exception) -> str:
    said = redact_text(str(error).replace("\x00", ""))[:300]
    return said or type(error).__name__


def _place(url: str) -> str:
    """Host and port of an address, which may be shown; paths and queries may hold secrets."""
    return urlsplit(url).netloc.rpartition("@")[2]
