"""Everything else, through Apprise: Teams, Telegram, Mattermost, Mastodon, ntfy, ... one address each."""

from __future__ import annotations

import logging
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from apps.foundation.egress.deadlines import Deadline, DeadlinePassed
from apps.foundation.redaction import redact_text
from apps.messaging.models import Attempt
from apps.messaging.providers.base import Blame, Outgoing, Result, shortened
from apps.messaging.providers.guarded import RefusedConnection, guarded_connections
from apps.messaging.providers.http import TOO_MANY
from apps.messaging.providers.plain import PlainTransport, ack_link_of, link_of

_STATUS = re.compile(r"error[ =]+([0-9]{3})")
# What a connection's failure quotes: its path or query holds the token.
_URL = re.compile(r"(?<=url: )\S+|https?://\S+", re.IGNORECASE)
_SERVER_ERROR = 500
_BAD_ADDRESS = frozenset({401, 403, 404, 410})
_CONNECT_SECONDS = 4.0


def transport() -> PlainTransport:
    return PlainTransport(send, "apprise", "requests")


def send(message: Outgoing, deadline: Deadline) -> Result:
    """Let Apprise's plugin for the address send it. Apprise says yes or no; its log says why."""
    import apprise  # slow to import
    import requests  # what its plugins speak with

    asset = apprise.AppriseAsset(app_id="Incident portal", app_url="", secure_logging=True, http_redirects=False)
    try:
        plugin = apprise.Apprise.instantiate(message.secret, asset=asset, suppress_exceptions=True)
        if plugin is None:
            return Result(Attempt.Outcome.REFUSED, "Apprise does not understand this address.", blame=Blame.ADDRESS)
        plugin.socket_connect_timeout = min(_CONNECT_SECONDS, deadline.remaining())
        plugin.socket_read_timeout = deadline.remaining()
        with guarded_connections(), _said() as lines:
            done = bool(plugin.notify(body=_text(message), title=message.title, notify_type=apprise.NotifyType.WARNING))
    except RefusedConnection as error:
        return Result(Attempt.Outcome.REFUSED, shortened(error), blame=Blame.ADDRESS)
    except DeadlinePassed:
        return Result(Attempt.Outcome.RETRY, "There was no time left to ask.", provider_broken=True)
    except (requests.RequestException, OSError, ValueError, TypeError) as error:
        return Result(Attempt.Outcome.UNKNOWN, f"The plugin failed: {_shown(error)}")
    return Result(Attempt.Outcome.ACCEPTED, "Apprise sent it.") if done else _failure(lines)


def _text(message: Outgoing) -> str:
    if message.payload.get("page_id"):
        return message.body.strip()
    links = [link for link in (ack_link_of(message), link_of(message)) if link and link not in message.body]
    return "\n".join([message.body.strip(), *links]).strip() or message.title


def _failure(lines: list[str]) -> Result:
    """What Apprise's log says of a failure: a status, a private address, or no connection."""
    said = _shown(" ".join(lines)) or "Apprise could not send it."
    if "private address" in said:
        return Result(Attempt.Outcome.REFUSED, said, blame=Blame.ADDRESS)
    found = _STATUS.search(said)
    status = int(found[1]) if found else 0
    if status == TOO_MANY:
        return Result(Attempt.Outcome.RETRY, said, provider_broken=True)
    if status >= _SERVER_ERROR:
        return Result(Attempt.Outcome.RETRY, said)
    if status:
        blame = Blame.ADDRESS if status in _BAD_ADDRESS else Blame.NOBODY
        return Result(Attempt.Outcome.REFUSED, said, blame=blame)
    if "timed out" in said.lower():
        return Result(Attempt.Outcome.UNKNOWN, said, provider_broken=True)
    return Result(Attempt.Outcome.RETRY, said, provider_broken=True)


def _shown(what: object) -> str:
    return shortened(redact_text(_URL.sub("…", str(what))))


class _Lines(logging.Handler):
    """Keeps what Apprise logs in one thread: other threads send other messages meanwhile."""

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.lines: list[str] = []
        self._thread = threading.get_ident()

    def emit(self, record: logging.LogRecord) -> None:
        # Its "info" lines say what went well.
        wanted = record.levelno >= logging.WARNING or "Exception" in record.getMessage()
        if record.thread == self._thread and wanted:
            self.lines.append(record.getMessage())


@contextmanager
def _said() -> Iterator[list[str]]:
    """The lines that Apprise logs meanwhile in this thread, also where logs are otherwise quieter."""
    logger: Any = logging.getLogger("apprise")
    handler = _Lines()
    logger.addHandler(handler)
    if logger.level == logging.NOTSET or logger.level > logging.DEBUG:
        # Its reasons (a refused connection, for one) are told at the level of debugging.
        logger.setLevel(logging.DEBUG)
        logger.propagate = False
    try:
        yield handler.lines
    finally:
        logger.removeHandler(handler)
