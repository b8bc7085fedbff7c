"""One HTTP request of a transport: checked addresses, one deadline for all of it, and what its failures mean."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from functools import cache
from typing import Any

import httpx
from django.conf import settings

from apps.foundation.clock import now
from apps.foundation.egress.addresses import Address, PrivateAddress
from apps.foundation.egress.allowance import is_allowed
from apps.foundation.egress.deadlines import Deadline, DeadlinePassed, running_deadline
from apps.foundation.egress.transports import checked_client
from apps.messaging.models import Attempt
from apps.messaging.providers.base import Blame, Result, shortened

CONNECT_SECONDS = 5.0
MOST_CONNECTIONS = 64
KEEP_ALIVE_SECONDS = 2.0
MAX_ANSWER_BYTES = 64 * 1024
SHOWN_BYTES = 300
TOO_MANY = 429
PUBLIC_ONLY = "messages go to public addresses only."
_NEVER_LEFT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout)
_SERVER_ERROR = 500


@dataclass(frozen=True, slots=True)
class Reply:
    """What the provider answered; header names are in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def is_ok(self) -> bool:
        return httpx.codes.is_success(self.status)

    def text(self) -> str:
        return self.body.decode("utf-8", "replace")

    def json(self) -> dict[str, Any]:
        """The body as a JSON object; empty when it is none."""
        try:
            found = json.loads(self.body)
        except (ValueError, RecursionError):
            return {}
        return found if isinstance(found, dict) else {}

    def detail(self) -> str:
        """Status and beginning of the body, to be shown."""
        return shortened(f"HTTP {self.status} {self.body[:SHOWN_BYTES].decode('utf-8', 'replace')}".strip())


def may_reach(host: str, port: int, address: Address) -> bool:
    """Whether a private address may be reached: all with WEBHOOK_ALLOW_PRIVATE, and what EGRESS_ALLOW names."""
    return bool(settings.WEBHOOK_ALLOW_PRIVATE) or is_allowed(settings.EGRESS_ALLOW, host, port, address)


@cache
def _client(process: int) -> httpx.Client:
    """One client for a process: a fork must not share its parent's connections."""
    return checked_client(may_reach, most_connections=MOST_CONNECTIONS, keep_alive_seconds=KEEP_ALIVE_SECONDS)


def ask(method: str, url: str, *, body: bytes, headers: Mapping[str, str], deadline: Deadline) -> Reply | Result:
    """Send one request: the reply, whatever its status, or a result that says why there is none."""
    token = running_deadline.set(deadline)
    try:
        return _exchange(method, url, body, headers, deadline)
    except PrivateAddress as error:
        return Result(Attempt.Outcome.REFUSED, f"{shortened(error)}; {PUBLIC_ONLY}", blame=Blame.ADDRESS)
    except (*_NEVER_LEFT, DeadlinePassed) as error:
        return Result(Attempt.Outcome.RETRY, f"Not reachable: {shortened(error)}", provider_broken=True)
    except (httpx.InvalidURL, httpx.UnsupportedProtocol, httpx.LocalProtocolError) as error:
        detail = f"The address can't be used: {shortened(error)}"
        return Result(Attempt.Outcome.REFUSED, detail, blame=Blame.ADDRESS)
    except httpx.HTTPError as error:
        said = shortened(error) or type(error).__name__
        return Result(Attempt.Outcome.UNKNOWN, f"No answer: {said}", provider_broken=True)
    finally:
        running_deadline.reset(token)


def ask_json(
    method: str, url: str, content: object, *, deadline: Deadline, headers: Mapping[str, str] | None = None
) -> Reply | Result:
    """The same with a JSON body."""
    body = json.dumps(content, ensure_ascii=False).encode()
    return ask(
        method, url, body=body, headers={"Content-Type": "application/json", **(headers or {})}, deadline=deadline
    )


def _exchange(method: str, url: str, body: bytes, headers: Mapping[str, str], deadline: Deadline) -> Reply:
    left = deadline.remaining()
    timeout = httpx.Timeout(left, connect=min(CONNECT_SECONDS, left))
    with _client(os.getpid()).stream(method, url, content=body, headers=headers, timeout=timeout) as response:
        return Reply(response.status_code, dict(response.headers.items()), _beginning(response))


def _beginning(response: httpx.Response) -> bytes:
    """As much of the answer as is read at most. Reading little of it costs the connection, never the portal's memory.

    The status stands already: an answer that breaks off after it changes nothing.
    """
    found = b""
    try:
        for part in response.iter_raw():
            found += part
            if len(found) > MAX_ANSWER_BYTES:
                break
    except httpx.HTTPError:
        pass
    return found[:MAX_ANSWER_BYTES]


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds to wait, from a number of seconds or an HTTP date in `Retry-After`; None for neither."""
    value = next((text for name, text in headers.items() if name.lower() == "retry-after"), "").strip()
    whole, _, fraction = value.partition(".")
    if whole.isascii() and whole.isdigit() and (not fraction or (fraction.isascii() and fraction.isdigit())):
        return float(value[:9])
    try:
        return max((parsedate_to_datetime(value) - now()).total_seconds(), 0.0)
    except (TypeError, ValueError):
        return None


def not_now(reply: Reply) -> Result | None:
    """The result of a reply that asks to be tried again: 429 rests the whole lane, 5xx this message. None else."""
    if reply.status == TOO_MANY:
        wait = retry_after(reply.headers)
        return Result(Attempt.Outcome.RETRY, reply.detail(), retry_after_seconds=wait, provider_broken=True)
    if reply.status >= _SERVER_ERROR:
        return Result(Attempt.Outcome.RETRY, reply.detail(), retry_after_seconds=retry_after(reply.headers))
    return None


def refused(reply: Reply, *gone: int) -> Result:
    """A refusal for good; with a status among `gone` the address itself is no longer good."""
    blame = Blame.ADDRESS if reply.status in gone else Blame.NOBODY
    return Result(Attempt.Outcome.REFUSED, reply.detail(), blame=blame)
