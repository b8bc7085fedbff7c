"""Text messages through Twilio's client library, over the portal's own checked HTTP client."""

from __future__ import annotations

from base64 import b64encode
from functools import cache
from typing import Any
from urllib.parse import urlencode

from django.conf import settings

from apps.foundation.egress.deadlines import Deadline
from apps.messaging.models import Attempt
from apps.messaging.providers.base import Blame, Outgoing, Result, shortened
from apps.messaging.providers.http import TOO_MANY, ask, retry_after
from apps.messaging.providers.plain import PlainTransport, ack_link_of, cut, not_connected

OWN_ADDRESS = "https://api.twilio.com"
_LONGEST_TEXT = 480
_SERVER_ERROR = 500
# https://www.twilio.com/docs/api/errors: not a number, not a mobile, no route, blocked, unsubscribed.
_BAD_ADDRESS = frozenset({21211, 21214, 21217, 21265, 21408, 21421, 21610, 21612, 21614, 30003, 30004, 30005, 30006})
# Log-in refused, account suspended, not our number to send from, no messaging service.
_BAD_CONNECTION = frozenset({20003, 20005, 20404, 21212, 21606, 21659, 21660, 21701, 21703, 30002})


class NoAnswer(Exception):
    """The request ended without an answer; `result` says how."""

    def __init__(self, result: Result) -> None:
        super().__init__(result.detail)
        self.result = result


def transport() -> PlainTransport:
    return PlainTransport(send, "twilio.rest")


def send(message: Outgoing, deadline: Deadline) -> Result:
    """Send one text message; its number lets the person answer "ACK" to this page and no other."""
    account = message.credentials
    if account is None:
        return not_connected("Twilio")
    from twilio.base.exceptions import TwilioException, TwilioRestException  # slow to import
    from twilio.rest import Client  # the same

    http = _http_client_class()(account.base_url or OWN_ADDRESS, message.idempotency_key, deadline)
    client = Client(account.account, account.token, http_client=http)
    origin = "messaging_service_sid" if account.sender.startswith("MG") else "from_"
    about = f"m={message.message_id}&n={message.number}"
    callback = f"{settings.PUBLIC_URL}/hooks/twilio/{account.callback_key}/status/?{about}"
    try:
        made = client.messages.create(
            to=message.address, body=text(message), status_callback=callback, **{origin: account.sender}
        )
    except NoAnswer as error:
        return error.result
    except TwilioRestException as error:
        return _refusal(error, http.retry_after_seconds)
    except TwilioException as error:
        return Result(Attempt.Outcome.UNKNOWN, f"No readable answer: {shortened(error)}", provider_broken=True)
    return Result(Attempt.Outcome.ACCEPTED, f"Twilio took it: {made.status}", provider_id=str(made.sid)[:200])


def text(message: Outgoing) -> str:
    """What the phone shows: title, how to answer, and the link; or the whole text where there is nothing to answer."""
    page = message.payload.get("page_id")
    if not page and message.payload.get("bundle_id"):
        tail = f"\nReply ACK for all of them, or choose:\n{ack_link_of(message)}"
        return cut(message.title, _LONGEST_TEXT - len(tail)) + tail
    if not page:
        return cut(f"{message.title}\n{message.body.strip()}", _LONGEST_TEXT)
    link = ack_link_of(message)
    tail = f"\nReply ACK {page} to acknowledge." + (f"\n{link}" if link else "")
    return cut(message.title, _LONGEST_TEXT - len(tail)) + tail


def _refusal(error: Any, wait: float | None) -> Result:
    detail = shortened(f"HTTP {error.status} {error.code or ''} {error.msg}".strip())
    if error.status == TOO_MANY:
        return Result(Attempt.Outcome.RETRY, detail, retry_after_seconds=wait, provider_broken=True)
    if error.status >= _SERVER_ERROR:
        return Result(Attempt.Outcome.RETRY, detail, retry_after_seconds=wait)
    if error.code in _BAD_CONNECTION or error.status in {401, 403}:
        return Result(Attempt.Outcome.REFUSED, detail, blame=Blame.CONNECTION)
    return Result(Attempt.Outcome.REFUSED, detail, blame=Blame.ADDRESS if error.code in _BAD_ADDRESS else Blame.NOBODY)


@cache
def _http_client_class() -> Any:
    """Twilio's own seam for another HTTP client; made on first use, since its library is slow to import."""
    from twilio.http import HttpClient  # slow to import
    from twilio.http.response import Response  # the same

    class CheckedHttpClient(HttpClient):  # type: ignore[misc]  # the library is not typed
        """Sends to `base` what is meant for Twilio, within the attempt's deadline, and follows no redirects."""

        def __init__(self, base: str, key: str, deadline: Deadline) -> None:
            self._base, self._key, self._deadline = base.rstrip("/"), key, deadline
            self.retry_after_seconds: float | None = None

        def request(  # noqa: PLR0917  # the library calls it so
            self,
            method: str,
            url: str,
            params: dict[str, object] | None = None,
            data: dict[str, object] | None = None,
            headers: dict[str, str] | None = None,
            auth: tuple[str, str] | None = None,
            timeout: float | None = None,
            allow_redirects: bool = False,
        ) -> Any:
            sent = {**(headers or {}), "I-Twilio-Idempotency-Token": self._key}
            if auth is not None:
                sent["Authorization"] = f"Basic {b64encode(':'.join(auth).encode()).decode()}"
            sent["Content-Type"] = "application/x-www-form-urlencoded"
            body = urlencode(data or {}).encode()
            where = self._base + url.removeprefix(OWN_ADDRESS)
            reply = ask(method, where, body=body, headers=sent, deadline=self._deadline)
            if isinstance(reply, Result):
                raise NoAnswer(reply)
            self.retry_after_seconds = retry_after(reply.headers)
            return Response(reply.status, reply.text(), reply.headers)

    return CheckedHttpClient
